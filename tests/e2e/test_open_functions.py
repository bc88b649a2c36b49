"""What a user brings: a loss, a penalty, a projection, a denoiser and a network of this file go through a whole run."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jptycho
from jptycho.config.run import with_changes
from jptycho.objective.projections import ProbePower
from jptycho.preprocess.prepare import prepare
from jptycho.reconstruction.checkpoint import fingerprint
from jptycho.reconstruction.context import Context
from jptycho.representations.networks.unet import UNetSpec

PIXELS = {"pixels": {"epochs": 4, "half_sets": False}, "validation": {"fraction": 0.1}}
NETS = {
    "epochs": 3,
    "start_epochs": 3,
    "pretrain_steps": 10,
    "probe": "pixels",
    "half_sets": False,
    "residual": False,
    "polish_epochs": 0,
}
PRIOR = {"method": "dgp", "dgp": NETS, "validation": {"fraction": 0.0}, "probe": {"fixed": True}}
TRACED = []
"""What was traced: once a program, not once an epoch."""


@dataclasses.dataclass(frozen=True)
class Amplitudes:
    """As the amplitude loss, with a constant of its own."""

    floor: float = 0.03

    def __call__(self, predicted, measured, noise):
        TRACED.append("loss")
        floor = self.floor / predicted.size
        return 2 * (jnp.sqrt(predicted + floor) - jnp.sqrt(jnp.maximum(measured, 0) + floor)) ** 2


def phase_power(estimate, reference):
    """Mean square of the phase about its mean: what a heavy weight leaves little of."""
    phase = estimate.object[:, 0]
    return jnp.mean((phase - jnp.mean(phase)) ** 2)


def in_blocks(image, size):
    """The mean of each block of the last two axes, repeated; what is left over at the far edges stays."""
    *_, rows, columns = image.shape
    y, x = rows // size * size, columns // size * size
    means = image[..., :y, :x].reshape(*image.shape[:-2], y // size, size, x // size, size).mean(axis=(-3, -1))
    return image.at[..., :y, :x].set(jnp.repeat(jnp.repeat(means, size, axis=-2), size, axis=-1))


@dataclasses.dataclass(frozen=True)
class Blocks:
    """An object of square blocks, its contrast lowered by the level."""

    size: int = 2

    def __call__(self, channels, level):
        TRACED.append("denoiser")
        return (1 - level) * in_blocks(channels, self.size)


@dataclasses.dataclass(frozen=True)
class DarkEdge:
    """No phase in the first rows."""

    rows: int
    touches = ("object",)
    instead = "nothing"

    def __call__(self, channels, probe, reference):
        return channels.at[:, :, : self.rows].set(0.0), probe


class Coarse(nn.Module):
    """Two convolutions on the means of blocks of four by four pixels."""

    channels: int

    @nn.compact
    def __call__(self, image):
        n, y, x, c = image.shape
        mean = image.reshape(n, y // 4, 4, x // 4, 4, c).mean(axis=(2, 4))
        mean = nn.Conv(self.channels, (3, 3), padding="CIRCULAR")(nn.relu(nn.Conv(8, (3, 3), padding="CIRCULAR")(mean)))
        return jnp.repeat(jnp.repeat(mean, 4, axis=1), 4, axis=2)


@dataclasses.dataclass(frozen=True)
class CoarseNetwork:
    """What a network must be."""

    multiple: int = 4
    slices_are_images: bool = False

    def init(self, key, image):
        return Coarse(image.shape[-1]).init(key, image)

    def apply(self, params, image):
        return Coarse(image.shape[-1]).apply(params, image)

    def silence(self, params):
        return {"params": params["params"] | {"Conv_1": jax.tree.map(jnp.zeros_like, params["params"]["Conv_1"])}}


def contrast(result):
    return np.asarray(result.phase).std()


def unevenness(phase, size):
    """How far the pixels of a block differ, in the contrast of the image."""
    image = jnp.asarray(phase)
    return float(jnp.abs(image - in_blocks(image, size)).max() / image.std())


def test_an_own_loss_is_minimised_and_validates(small_scan):
    named = jptycho.reconstruct(small_scan, **PIXELS, loss="amplitude")
    own = jptycho.reconstruct(small_scan, **PIXELS, extension=jptycho.Extension(loss=Amplitudes()))
    np.testing.assert_allclose(own.phase, named.phase, atol=1e-5)
    for name in ("loss", "validation_loss"):
        np.testing.assert_allclose(own.history[name], named.history[name], rtol=1e-5)
    assert "own loss: Amplitudes(floor=0.03)" in own.attributes["objective"]
    assert "loss: poisson" not in own.attributes["objective"]
    before = len(TRACED)
    jptycho.reconstruct(small_scan, **PIXELS, extension=jptycho.Extension(loss=Amplitudes()))
    assert len(TRACED) == before  # equal settings share their programs
    other = jptycho.reconstruct(small_scan, **PIXELS, extension=jptycho.Extension(loss=Amplitudes(0.3)))
    assert float(np.abs(other.phase - own.phase).max()) > 1e-3


def test_an_own_penalty_lowers_what_it_penalises(small_scan):
    said = []
    contrasts = [contrast(jptycho.reconstruct(small_scan, **PIXELS))]
    for weight in (1.0, 100.0):
        extension = jptycho.Extension(penalties=(jptycho.objective.Penalty(phase_power, weight),))
        contrasts.append(contrast(jptycho.reconstruct(small_scan, **PIXELS, extension=extension, log=said.append)))
    assert contrasts[1] < 0.9 * contrasts[0]
    assert contrasts[2] < 0.3 * contrasts[0]
    assert "own penalties: phase_power 100" in "\n".join(said)


@pytest.mark.parametrize("solver", ["gradient", "epie"])
def test_an_own_denoiser_shapes_the_result(small_scan, solver):
    TRACED.clear()
    pixels = {"epochs": 4, "half_sets": False, "solver": solver}
    pixels |= {"coverage_weighting": False} if solver == "gradient" else {}
    settings = {"pixels": pixels, "probe": {"fixed": True}}  # so that every pixel can be set, and no ramp is a gauge
    extension = jptycho.Extension(denoisers=(jptycho.objective.Denoising(Blocks(), 0.2),))
    result = jptycho.reconstruct(small_scan, **settings, extension=extension)
    assert unevenness(result.phase, 2) < 1e-2
    assert TRACED == ["denoiser"]  # in the compiled epoch, whatever the number of epochs
    assert "own denoisers: Blocks(size=2) 0.2" in result.attributes["objective"]
    without = jptycho.reconstruct(small_scan, **settings)
    assert unevenness(without.phase, 2) > 0.5
    assert contrast(result) < 0.9 * contrast(without)


@pytest.mark.slow
def test_half_sets_are_denoised_too(small_scan):
    settings = {"pixels": {"epochs": 4}}
    extension = jptycho.Extension(denoisers=(jptycho.objective.Denoising(jptycho.objective.TotalVariation(20), 0.05),))
    plain, smooth = (jptycho.reconstruct(small_scan, **settings, extension=e) for e in (jptycho.Extension(), extension))
    variation = [np.abs(np.diff(result.phase, axis=-1)).mean() for result in (plain, smooth)]
    assert variation[1] < 0.8 * variation[0]


def test_an_own_projection_is_obeyed(small_scan):
    settings = {"pixels": {"epochs": 3, "solver": "lsqml"}, "projections": {"low_pass": 0.6}}
    result = jptycho.reconstruct(small_scan, **settings, extension=jptycho.Extension(projections=(DarkEdge(20),)))
    assert float(np.abs(result.phase[:, :20]).max()) == 0  # after the filter, which would spread what is there
    assert contrast(result) > 0
    assert "own projections: DarkEdge(rows=20)" in result.attributes["objective"]


def test_an_own_network_makes_the_object(small_scan):
    network = jptycho.Extension(network=CoarseNetwork())
    result = jptycho.reconstruct(small_scan, **PRIOR, extension=network)
    assert unevenness(result.phase, 4) < 1e-3
    assert contrast(result) > 1e-2
    assert "own network: CoarseNetwork(multiple=4, slices_are_images=False)" in result.attributes["objective"]
    assert "unet" not in result.attributes["objective"]


@pytest.mark.slow
def test_an_own_loss_and_penalty_reach_the_weights_of_an_own_network(small_scan):
    network = jptycho.Extension(network=CoarseNetwork())
    result = jptycho.reconstruct(small_scan, **PRIOR, extension=network)
    heavy = jptycho.Extension(
        network=CoarseNetwork(), loss=Amplitudes(), penalties=(jptycho.objective.Penalty(phase_power, 100.0),)
    )
    flat = jptycho.reconstruct(small_scan, **PRIOR, extension=heavy)
    assert contrast(flat) < 0.9 * contrast(result)
    assert np.isfinite(flat.history["loss"]).all()


def test_an_own_network_adds_to_the_estimate_nothing_at_first(small_scan):
    model = jptycho.representations.GeneratedObject("phase", CoarseNetwork(), 0.0, residual=True)
    params, constants = model.init(jax.random.key(0), prepare(small_scan).estimate)
    np.testing.assert_array_equal(model.raw(params, constants, None), constants[0].image[0])
    rows, columns = constants[0].image.shape[2:4]
    assert (rows % 4, columns % 4) == (0, 0)


LOSS = {"loss": Amplitudes()}
PENALTY = {"penalties": (jptycho.objective.Penalty(phase_power, 1.0),)}
DENOISER = {"denoisers": (jptycho.objective.Denoising(Blocks(), 0.1),)}
NETWORK = {"network": CoarseNetwork()}


def unchecked(made, **changes):
    """A dataclass with fields of any type, as a user gets it, whose annotations are not executed."""
    copy = dataclasses.replace(made)
    for name, value in changes.items():
        object.__setattr__(copy, name, value)
    return copy


@dataclasses.dataclass
class NotFrozen:
    """Cannot be hashed."""

    def __call__(self, predicted, measured, noise):
        return predicted


@pytest.mark.parametrize(("brought", "settings", "message"), [
    (LOSS, {"loss": "poisson"}, 'loss: the extension brings one, and the configuration names "poisson"'),
    (LOSS, {"pixels": {"solver": "epie"}}, 'loss: solver "epie" corrects amplitudes'),
    ({"loss": "poisson"}, {}, "loss: 'poisson' is no function"),
    ({"loss": NotFrozen()}, {}, r"loss: NotFrozen\(\) cannot be hashed"),
    (PENALTY, {"pixels": {"solver": "lsqml"}}, 'penalties: solver "lsqml" minimises no loss'),
    ({"penalties": (phase_power,)}, {}, r"penalties: <function.*expected a Penalty\(term, weight\)"),
    ({"penalties": jptycho.objective.Penalty(phase_power, 1.0)}, {}, "penalties: Penalty.* is no tuple"),
    ({"penalties": (unchecked(PENALTY["penalties"][0], term="tv_phase"),)}, {}, "penalties: 'tv_phase' is no function"),
    (DENOISER, {"method": "dgp"}, r"denoisers: Blocks\(size=2\): the object is generated"),
    ({"denoisers": (Blocks(),)}, {}, r"denoisers: Blocks\(size=2\); expected a Denoising"),
    ({"denoisers": (jptycho.objective.Denoising(Blocks(), 0.0),)}, {}, "denoisers: .*positive level"),
    ({"projections": (DarkEdge(3),)}, {"method": "dgp"}, r"projections: DarkEdge\(rows=3\): the object is generated"),
    ({"projections": (ProbePower(),)}, {"probe": {"fixed": True}}, r"projections: ProbePower\(\): probe\.fixed"),
    ({"projections": (DarkEdge,)}, {}, "projections: <class.*expected a frozen dataclass"),
    (NETWORK, {}, 'network: has no effect with method = "pixels"'),
    (NETWORK, {"method": "dgp", "dgp": {"object": "pixels", "probe": "network"}}, 'dgp.object = "pixels"'),
    (NETWORK, {"method": "dgp", "dgp": {"levels": 2}}, r"dgp\.levels: has no effect on a network of your own"),
    ({"network": Coarse(1)}, {"method": "dgp"}, r"network: Coarse[\s\S]*expected a frozen dataclass"),
])  # fmt: skip
def test_what_cannot_be_is_refused(small_scan, brought, settings, message):
    with pytest.raises(jptycho.ConfigError, match=message):
        jptycho.reconstruct(small_scan, extension=unchecked(jptycho.Extension(), **brought), **settings)


def test_a_checkpoint_knows_the_functions(small_scan):
    problem = prepare(small_scan)

    def facts(**brought):
        extension = jptycho.Extension(**brought)
        run = Context(
            with_changes(None, {}), problem, problem, print, print, print, bool, None, 0.0, extension=extension
        )
        return fingerprint(run)

    assert facts(**LOSS) == facts(loss=Amplitudes())
    made = [facts(), facts(**LOSS), facts(loss=Amplitudes(0.1)), facts(**PENALTY), facts(**DENOISER), facts(**NETWORK)]
    made += [facts(denoisers=(jptycho.objective.Denoising(Blocks(), 0.2),)), facts(network=UNetSpec())]
    assert len({fact["data"] for fact in made}) == len(made)
