"""Tables and captions of a report."""

import dataclasses

import numpy as np

from jptycho.report.page import figures_of, run_table, unknowns_table

from .results import made_up


def test_a_run_is_a_row_with_its_last_numbers():
    table = run_table({"a": made_up(), "b": made_up()})
    assert table.rows == [[name, "done", "3", "7.2", "0.03125", "0.1250"] for name in ("a", "b")]
    assert len(table.head) == len(table.rows[0])


def test_further_unknowns_are_rows_with_mean_and_spread():
    found = {"gain": np.array([1.0, 2.0, 3.0, 6.0]), "angle": np.full(6, -0.5)}
    one = made_up(extra=found, units={"angle": "mrad"})
    table = unknowns_table({"a": one, "b": made_up()})
    assert table.rows == [["a", "gain", "3", "1.9", ""], ["a", "angle", "-0.5", "0", "mrad"]]
    assert unknowns_table({"b": made_up()}).rows == []


def test_slices_are_shown_where_there_is_more_than_a_projected_phase():
    thin = made_up(slices=1)
    rich = dataclasses.replace(thin, absorption=np.ones((1, 40, 50)) * np.arange(50))
    found = figures_of({"thin": thin, "thick": made_up(), "rich": rich})
    expected = {"object", "probe", "loss", "slices_thick", "slices_rich"}
    assert set(found) == expected | {f"patterns_{name}" for name in ("thin", "thick", "rich")}
    assert found["slices_thick"][0] == "Slices: thick"


def test_an_ensemble_says_how_many_agree_on_what():
    result = made_up(deviation=np.random.default_rng(0).uniform(size=(2, 40, 50)))
    _, caption, figure = figures_of({"a": result})["slices_a"]
    assert "over 3 members, which agree on detail down to 1.25 Å." in caption
    assert "Deviation" not in figures_of({"a": made_up()})["slices_a"][1]
    assert len(figure.axes) == 2 * 4
