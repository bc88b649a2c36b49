"""What a user brings: an unknown and a property of the detector that this file defines go through a whole run."""

import dataclasses
import re
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jptycho
from jptycho.assembly.extension import extended
from jptycho.assembly.start import estimate_from_result
from jptycho.config.run import with_changes
from jptycho.objective.losses import poisson_loss
from jptycho.preprocess.prepare import prepare
from jptycho.reconstruction.checkpoint import fingerprint
from jptycho.reconstruction.confirmed import band_losses
from jptycho.reconstruction.context import Context
from jptycho.reconstruction.stages import validation_loss
from jptycho.report.page import write_report
from jptycho.solvers.band_gains import frequency_bands

LEVEL = 0.12
"""Share of the electrons that a uniform background adds."""
NETS = {"epochs": 6, "base_channels": 4, "levels": 1, "probe_levels": 1, "start_epochs": 6, "pretrain_steps": 5}


@dataclasses.dataclass(frozen=True)
class Background:
    """One number for all patterns, never negative."""

    start: float = 0.02

    def init(self, key, estimate):
        rows = estimate.extra.get("background")
        level = jnp.asarray(self.start) if rows is None else jnp.mean(rows)
        return jnp.sqrt(level), jnp.ones_like(estimate.positions[:, 0])

    def apply(self, params, constants, key):
        return constants * params**2


@dataclasses.dataclass(frozen=True)
class AddBackground:
    """It falls evenly on the detector; the specimen's pattern holds the rest."""

    def __call__(self, intensity, row):
        level = row.extra["background"]
        return (1 - level) * intensity + level / intensity.size


UNKNOWNS = {"background": jptycho.Unknown(Background(), rate=1e-2, unit="of all electrons")}
EFFECTS = (AddBackground(),)
MINE = jptycho.Extension(UNKNOWNS, EFFECTS)


@pytest.fixture(scope="module")
def hazy():
    """A gold particle whose patterns lie on a background, and the same counts for everybody."""
    made = dict(diameter=14.0, carbon_thickness=4.0, scan_shape=(16, 16), step=1.2, detector=(32, 32), defocus=100.0)
    ideal = jptycho.simulate_gold(dose=float("inf"), **made)
    clean = ideal.read().astype(float).reshape(ideal.shape)
    clean /= clean.sum(axis=(-2, -1), keepdims=True).mean()
    expected = 4000 * ((1 - LEVEL) * clean + LEVEL / clean[0, 0].size)
    counts = np.random.default_rng(3).poisson(expected).astype(np.uint16)
    return jptycho.from_arrays(counts, ideal.calibration, ideal.positions, truth=ideal.truth)


def correlation(result, scan):
    a, t = result.attributes, scan.truth
    truth = (t.phase, t.sampling, t.origin)
    found = jptycho.compare_with_truth(result.phase, a["sampling"], a["origin"], result.field_of_view, truth)
    return found.correlation


@pytest.mark.parametrize("method", ["pixels", pytest.param("dgp", marks=pytest.mark.slow)])
def test_an_unknown_of_the_user_is_found_and_written(hazy, method, tmp_path):
    settings = {
        "method": method,
        "pixels": {"epochs": 15, "half_sets": False},
        "dgp": NETS,
        "validation": {"fraction": 0.1},
    }
    result = jptycho.reconstruct(hazy, **settings, extension=MINE)
    level = result.extra["background"]
    assert level.shape == (256,)
    assert np.ptp(level) == 0
    assert level[0] == pytest.approx(LEVEL, abs=0.02)
    # Without it the model does not explain the patterns, and the specimen suffers.
    without = jptycho.reconstruct(hazy, **settings)
    assert correlation(result, hazy) > correlation(without, hazy) + 0.005
    with_it, without_it = (np.nanmin(r.history["validation_loss"]) for r in (result, without))
    held_out = 0.1 * hazy.read().sum()
    assert (without_it - with_it) * held_out > 50  # nats: one unknown more may gain half a nat by chance
    jptycho.write_result(tmp_path / "result.h5", result)
    back = jptycho.read_result(tmp_path / "result.h5")
    np.testing.assert_array_equal(back.extra["background"], level)
    assert back.units == result.units == {"background": "of all electrons"}
    again = estimate_from_result(dataclasses.replace(prepare(hazy), unknowns=UNKNOWNS), back)
    np.testing.assert_array_equal(again.extra["background"], level)
    write_report(tmp_path / "report.html", {"hazy": back}, "with a background")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.search(rf"background.*{level.mean():.4g}", page, re.DOTALL)


def test_it_is_resumed_from_a_checkpoint(hazy, tmp_path):
    class PowerCutError(Exception):
        pass

    settings = {"pixels": {"epochs": 6, "half_sets": False}, "output": {"checkpoint_minutes": 0.0}}
    whole = jptycho.reconstruct(hazy, **settings, extension=MINE)

    def cut(record, channels):
        if record.epoch == 4:
            raise PowerCutError

    with pytest.raises(PowerCutError):
        jptycho.reconstruct(hazy, **settings, extension=MINE, checkpoint=tmp_path / "c", callback=cut)
    resumed = jptycho.reconstruct(hazy, **settings, extension=MINE, checkpoint=tmp_path / "c")
    assert len(resumed.history["loss"]) == 6
    np.testing.assert_allclose(resumed.extra["background"], whole.extra["background"], rtol=1e-6)
    np.testing.assert_allclose(resumed.phase, whole.phase, atol=1e-5)
    other = jptycho.Extension(
        {"background": jptycho.Unknown(Background(0.05), rate=1e-2, unit="of all electrons")}, EFFECTS
    )
    with pytest.raises(jptycho.ConfigError, match="made with other data"):
        jptycho.reconstruct(hazy, **settings, extension=other, checkpoint=tmp_path / "c")


@pytest.mark.parametrize(("unknowns", "settings", "message"), [
    (UNKNOWNS, {"pixels": {"solver": "epie"}}, 'unknowns: "epie" optimises object and probe only'),
    (UNKNOWNS, {"pixels": {"optimiser": "lbfgs"}}, 'unknowns: "lbfgs"'),
    ({"probe": UNKNOWNS["background"]}, {}, "unknowns: 'probe' is an unknown of every run"),
    ({"a/b": UNKNOWNS["background"]}, {}, "unknowns: 'a/b' is no name"),
    ({"background": Background()}, {}, "expected an Unknown"),
    ({"background": jptycho.Unknown(Background(), 0.0)}, {}, "of positive rate"),
])  # fmt: skip
def test_what_cannot_be_is_refused(hazy, unknowns, settings, message):
    with pytest.raises(jptycho.ConfigError, match=message):
        jptycho.reconstruct(hazy, extension=jptycho.Extension(unknowns, EFFECTS), **settings)


def halve_above(intensity, row):
    """A plain function is an effect too."""
    return intensity * jnp.where(row.position[0] > 20, 0.5, 1.0)


class WithoutRepr:
    """As a user may write it: it shows its address."""

    def init(self, key, estimate):
        return jnp.zeros(()), jnp.ones_like(estimate.positions[:, 0])

    def apply(self, params, constants, key):
        return constants * params


def test_a_checkpoint_knows_functions_by_name_and_not_by_address(hazy):
    def facts_with(effect):
        extension = jptycho.Extension({"x": jptycho.Unknown(WithoutRepr(), 0.1)}, (effect,))
        problem = extended(prepare(hazy), extension)
        return fingerprint(Context(with_changes(None, {}), problem, problem, print, print, print, bool, None, 0.0))

    def halve_below(intensity, row):
        return 0.5 * intensity

    copy = types.FunctionType(halve_above.__code__, globals(), "halve_above")
    assert repr(copy) != repr(halve_above)
    assert facts_with(copy) == facts_with(halve_above)
    assert facts_with(halve_below) != facts_with(halve_above)


@dataclasses.dataclass(frozen=True)
class Divide:
    """Finite for what a row holds, and for no row of zeros."""

    def __call__(self, intensity, row):
        return intensity / row.extra["background"]


@pytest.mark.parametrize("patterns", [96, 100])
def test_what_fills_up_a_part_is_a_row_that_there_is(hazy, patterns):
    """Parts of the validation and of the bands do not divide 100 patterns."""
    counts, positions = hazy.read().reshape(256, 32, 32)[:patterns], hazy.positions[:patterns]
    scan = jptycho.from_arrays(counts, hazy.calibration, positions)
    extension = jptycho.Extension({"background": jptycho.Unknown(Background(1.0), 1e-2)}, (Divide(),))
    problem = extended(prepare(scan), extension)
    mesh = jptycho.make_mesh(jax.devices()[:1])
    assert np.isfinite(validation_loss(problem, poisson_loss, mesh, problem.estimate))
    bands = jnp.asarray(frequency_bands(problem.estimate.coverage.shape, problem.setup.grid.sampling, 4), jnp.float32)
    losses = band_losses(poisson_loss, problem.estimate, bands, problem)
    assert np.isfinite(losses.slope).all()
    assert np.isfinite(losses.curvature).all()
