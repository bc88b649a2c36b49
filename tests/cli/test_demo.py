"""The demonstration's table, and whose files it may replace."""

from pathlib import Path

import h5py
import pytest

from jptycho.cli.demo import RESULT, Scored, convergence_table, made_by_demo
from jptycho.diagnostics.similarity import Similarity
from jptycho.solvers.epochs import Record


def scored(ssims: list[float], stage: str = "pixels") -> list[Scored]:
    """Epochs of those similarities, and the result, as good as the last."""
    epochs = [
        Scored(Record(stage, i + 1, len(ssims), 1.0 / (i + 1), 0.1, 2.0 * i), i + 1, Similarity(0.9, 0.5, ssim, 1.0))
        for i, ssim in enumerate(ssims)
    ]
    last = Record(RESULT, len(ssims), len(ssims), 0.125, 0.1, 99.0)
    return [*epochs, Scored(last, len(ssims), Similarity(0.875, 0.625, ssims[-1], 1.0))]


def test_the_table_has_some_epochs_the_best_and_the_result():
    table = convergence_table({"pixels": scored([0.1, 0.2, 0.3, 0.4, 0.5, 0.9, 0.6, 0.5, 0.4])})
    assert [row[1] for row in table.rows] == ["1", "2", "4", "6", "8", "9"]
    assert [row[-1] for row in table.rows] == ["pixels", "pixels", "pixels", "best epoch", "pixels", RESULT]
    assert table.rows[-1] == ["pixels", "9", "99.0", "0.1250", "0.8750", "0.6250", "0.4000", RESULT]
    assert all(len(row) == len(table.head) for row in table.rows)


def test_the_first_of_equally_good_epochs_is_the_best():
    rows = convergence_table({"pixels": scored([0.3, 0.7, 0.7])}).rows
    assert [row[1] for row in rows if row[-1] == "best epoch"] == ["2"]


def test_what_a_prior_starts_with_is_called_so():
    """Half sets are the start of a prior, and the method itself of pixels."""
    runs = {"pixels": scored([0.3, 0.4], "half sets"), "dgp": scored([0.3, 0.4], "half sets")}
    rows = convergence_table(runs).rows
    assert [(row[0], row[-1]) for row in rows] == [
        *(("pixels", word) for word in ("half sets", "best epoch", RESULT)),
        *(("dgp", word) for word in ("start", "best epoch", RESULT)),
    ]


@pytest.mark.parametrize(("attributes", "own"), [({"demo": True}, True), ({"demo": False}, False), ({"a": 1}, False)])
def test_a_file_is_the_demo_s_where_it_says_so(tmp_path: Path, attributes: dict[str, object], own: bool):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs.update(attributes)
    assert made_by_demo(tmp_path / "a.h5") == own


def test_a_file_that_cannot_be_read_is_not_the_demo_s(tmp_path: Path):
    (tmp_path / "a.h5").write_text("somebody's notes")
    assert not made_by_demo(tmp_path / "a.h5")
    assert not made_by_demo(tmp_path / "none.h5")
