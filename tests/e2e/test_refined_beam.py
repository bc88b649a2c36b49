"""Imperfections of beam and detector: worse without, found with them as unknowns, written and kept."""

import re

import numpy as np
import pytest

import jptycho
from jptycho.assembly.listed import model_of
from jptycho.assembly.start import estimate_from_result
from jptycho.assembly.unknowns import begun
from jptycho.config.run import with_changes
from jptycho.preprocess.prepare import prepare
from jptycho.report.page import write_report
from jptycho.simulate.imperfect import Imperfections, simulate_imperfect
from jptycho.simulate.scan import GoldSettings

SCAN = dict(diameter=12.0, carbon_thickness=3.0, scan_shape=(14, 14), step=1.2, detector=(32, 32), defocus=100.0)
PIXELS = {"epochs": 16, "half_sets": False}
NETS = {"epochs": 6, "base_channels": 4, "levels": 1, "start_epochs": 6, "pretrain_steps": 5, "probe": "pixels"}


def made(dose=3e4, defocus=100.0, **imperfect):
    settings = GoldSettings(**(SCAN | {"dose": dose, "jitter": 0.0}))
    scan = simulate_imperfect(settings, Imperfections(**imperfect))
    return scan, with_defocus(scan.dataset, defocus)


def with_defocus(dataset, defocus):
    import dataclasses  # noqa: PLC0415

    return dataclasses.replace(dataset, calibration=dataclasses.replace(dataset.calibration, defocus=defocus))


def run(scan, **settings):
    return jptycho.reconstruct(scan, **({"pixels": PIXELS, "validation": {"fraction": 0.0}} | settings))


def correlation(result, scan):
    a, t = result.attributes, scan.truth
    truth = (t.phase, t.sampling, t.origin)
    found = jptycho.compare_with_truth(result.phase, a["sampling"], a["origin"], result.field_of_view, truth)
    return found.correlation


@pytest.mark.slow
@pytest.mark.parametrize("method", ["pixels", "dgp"])
def test_background_flux_and_descan_are_found_together(method, tmp_path):
    true, scan = made(dose=1e6, background=60.0, flux=0.15, descan=((1.2, -0.4), (0.5, 1.5)))
    settings = {"probe": {"model": "parametric"}, "method": method, "dgp": NETS}
    wanted = {"background": "constant", "flux": "smooth", "descan": "plane"}
    result = run(scan, refine=wanted, **settings)
    assert result.shared["background"] == pytest.approx(60.0, rel=0.1)  # noise of the object scatters likewise
    assert np.std(result.extra["flux"] - true.flux) < 0.03
    assert np.abs(result.extra["descan"] - true.descan).max() < 0.1
    assert correlation(result, scan) > correlation(run(scan, **settings), scan) + 0.05
    jptycho.write_result(tmp_path / "result.h5", result)
    back = jptycho.read_result(tmp_path / "result.h5")
    for name, values in (result.extra | result.shared).items():
        np.testing.assert_array_equal((back.extra | back.shared)[name], values)
    assert back.units == result.units
    assert {name: back.units[name] for name in wanted} == {
        "background": "electrons a detector pixel", "flux": "of an average pattern", "descan": "detector pixels"
    }  # fmt: skip
    write_report(tmp_path / "report.html", {"hazy": back}, "with a background")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.search(rf"background.*{result.shared['background'].mean():.4g}", page, re.DOTALL)
    assert re.search(r"background [\d.]+ electrons a detector pixel", repr(back))
    config = with_changes(None, {"refine": wanted} | settings)
    problem = begun(config, prepare(scan), model_of(config, jptycho.Extension()))
    again = estimate_from_result(problem, back)
    assert float(again.shared["background"]) * problem.electrons == pytest.approx(float(result.shared["background"]))
    np.testing.assert_allclose(again.extra["descan"], result.extra["descan"], atol=1e-6)


@pytest.mark.slow
def test_a_wrong_defocus_is_found_and_said():
    _, scan = made(layers=1, defocus=180.0)
    settings = {"probe": {"model": "parametric", "aberrations": ["C10"]}}
    said = []
    result = run(scan, log=said.append, **settings)
    assert float(result.shared["defocus"]) == pytest.approx(100, abs=4)
    assert result.units["defocus"] == "Å"
    assert "probe of C10" in "\n".join(said)
    assert correlation(result, scan) > correlation(run(scan, probe={"fixed": True}), scan) + 0.05


@pytest.mark.parametrize("kind", [pytest.param("parametric", marks=pytest.mark.slow), "pixels"])
def test_it_goes_on_from_a_checkpoint(kind, tmp_path):
    class PowerCutError(Exception):
        pass

    _, scan = made()
    settings = {
        "probe": {"model": kind, "modes": 3},
        "refine": {"background": "smooth", "source_size": True},
        "pixels": PIXELS | {"epochs": 4},
        "output": {"checkpoint_minutes": 0.0},
    }
    whole = run(scan, **settings)

    def cut(record, channels):
        if record.epoch == 2:
            raise PowerCutError

    with pytest.raises(PowerCutError):
        run(scan, **settings, checkpoint=tmp_path / "c", callback=cut)
    resumed = run(scan, **settings, checkpoint=tmp_path / "c")
    assert len(resumed.history["loss"]) == 4
    for name, values in whole.shared.items():
        np.testing.assert_allclose(resumed.shared[name], values, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_a_stage_holds_what_the_one_before_found():
    _, scan = made(background=2.0)
    stages = [
        {"method": "pixels", "epochs": 8, "refine": {"background": "constant"}},
        {"method": "pixels", "epochs": 2},
    ]
    result = jptycho.reconstruct(scan, stages=stages, validation={"fraction": 0.0})
    assert result.shared["background"] == pytest.approx(2.0, rel=0.25)
    with pytest.raises(jptycho.ConfigError, match="stages: a window changes the detector"):
        jptycho.reconstruct(scan, stages=[*stages, {"method": "pixels", "window": 24}])


def test_names_are_not_given_twice():
    class Nothing:
        def init(self, key, estimate):
            return None, None

        def apply(self, params, constants, key):
            return None

    extension = jptycho.Extension({"flux": jptycho.Unknown(Nothing(), 0.1)})
    with pytest.raises(jptycho.ConfigError, match=r"unknowns: 'flux' is what refine\.flux is called"):
        jptycho.reconstruct(made()[1], extension=extension, refine={"flux": "free"})
