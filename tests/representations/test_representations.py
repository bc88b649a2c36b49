"""Pixels, generators and the network, against independent formulations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy import ndimage

from jptycho.representations.base import ModelSpec, initialise, render
from jptycho.representations.estimate import Estimate, fields_of, transmission
from jptycho.representations.generated import GeneratedObject, GeneratedProbe
from jptycho.representations.networks import convolution, unet
from jptycho.representations.networks.pretraining import Pretraining, pretrain
from jptycho.representations.networks.unet import PARITY, UNet, UNetSpec, initial_weights, parameter_count
from jptycho.representations.object_kinds import constrain, free_of, positive, unconstrain, weighted_plane
from jptycho.representations.pixels import PixelObject, PixelProbe, Preconditioner, precondition

from ..tolerances import DOUBLE, SINGLE

SAMPLING = (0.31, 0.47)


def guess_of(slices=2, channels=1, canvas=(19, 26), window=(9, 14), modes=2, seed=0):
    rng = np.random.default_rng(seed)
    stack = rng.normal(size=(slices, channels, *canvas)) * 0.3
    if channels == 2:
        stack[:, 1] = 0.2 + 0.1 * rng.uniform(size=stack[:, 1].shape)
    probe = rng.normal(size=(modes, *window)) + 1j * rng.normal(size=(modes, *window))
    return Estimate(
        jnp.asarray(stack, jnp.float32),
        jnp.asarray(probe / np.linalg.norm(probe), jnp.complex64),
        jnp.full((5, 2), 10.0),
        jnp.asarray(4.0),
        jnp.zeros(2),
        jnp.asarray(rng.uniform(0.5, 1.5, canvas), jnp.float32),
    )


@pytest.mark.parametrize(
    ("levels", "base_channels", "channels", "count"),
    [(2, 16, 1, 156_113), (3, 16, 1, 645_009), (4, 16, 1, 2_597_649), (3, 32, 1, 2_574_113), (3, 16, 16, 649_344)],
)
def test_parity_network_has_the_reference_number_of_parameters(levels, base_channels, channels, count):
    network = UNet(UNetSpec(levels, base_channels, "transposed"), channels)
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 16, 16, channels)))
    assert parameter_count(shapes) == count


def test_parity_configuration_is_the_reference_one():
    assert UNetSpec(3, 16, "transposed") == PARITY


@pytest.mark.usefixtures("x64")
def test_convolution_is_circular_correlation():
    rng = np.random.default_rng(0)
    image, kernel = rng.normal(size=(5, 8, 2)), rng.normal(size=(3, 3, 2, 3))
    expected = np.stack(
        [sum(ndimage.correlate(image[..., i], kernel[..., i, o], mode="wrap") for i in range(2)) for o in range(3)], -1
    )
    found = convolution.circular_convolution(jnp.asarray(image)[None], jnp.asarray(kernel))
    np.testing.assert_allclose(found[0], expected, atol=DOUBLE)


@pytest.mark.usefixtures("x64")
def test_convolution_gradients_on_every_platform():
    rng = np.random.default_rng(0)
    image, kernel = jnp.asarray(rng.normal(size=(2, 5, 8, 2))), jnp.asarray(rng.normal(size=(3, 3, 2, 3)))

    def objective(i, k):
        return jnp.sum(convolution.circular_convolution(jnp.asarray(i), jnp.asarray(k)) ** 3)

    check_grads(objective, (image, kernel), order=1, modes=["rev"], eps=1e-5)
    padded, cotangent = convolution._wrap(image), jnp.asarray(rng.normal(size=(2, 5, 8, 3)))
    np.testing.assert_allclose(
        convolution._kernel_gradient(padded, cotangent),
        convolution._kernel_gradient_rows(padded, cotangent),
        atol=DOUBLE,
    )


@pytest.mark.usefixtures("x64")
def test_transposed_convolution_is_zero_insertion_and_correlation():
    """PyTorch's stride 2, padding 1, output padding 1, written as scattered stamps."""
    rng = np.random.default_rng(0)
    image, kernel = rng.normal(size=(3, 4, 2)), rng.normal(size=(3, 3, 2, 3))
    canvas = np.zeros((8, 10, 3))
    for i in range(3):
        for j in range(4):
            canvas[2 * i : 2 * i + 3, 2 * j : 2 * j + 3] += np.einsum("c,yxco->yxo", image[i, j], kernel)
    found = unet._upsample_transposed(jnp.asarray(image)[None], jnp.asarray(kernel))
    np.testing.assert_allclose(found[0], canvas[1:7, 1:9], atol=DOUBLE)


def test_complex_convolution_multiplies_complex_numbers():
    rng = np.random.default_rng(0)
    layer = unet.Convolution(3, complex_valued=True)
    x = rng.normal(size=(4, 6, 2)) + 1j * rng.normal(size=(4, 6, 2))
    pair = jnp.asarray(np.concatenate([x.real, x.imag], -1), jnp.float32)[None]
    params = layer.init(jax.random.key(0), pair)
    params = jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), jnp.float32), params)
    p = {k: np.asarray(v) for k, v in params["params"].items()}
    kernel, bias = p["kernel_0"] + 1j * p["kernel_1"], p["bias_0"] + 1j * p["bias_1"]
    expected = np.stack(
        [
            sum(
                ndimage.correlate(a, np.ascontiguousarray(b), mode="wrap") * unit
                for i in range(2)
                for a, b, unit in (
                    (x[..., i].real, kernel[..., i, o].real, 1),
                    (x[..., i].imag, kernel[..., i, o].imag, -1),
                    (x[..., i].real, kernel[..., i, o].imag, 1j),
                    (x[..., i].imag, kernel[..., i, o].real, 1j),
                )
            )
            for o in range(3)
        ],
        -1,
    )
    found = np.asarray(layer.apply(params, pair))[0]
    np.testing.assert_allclose(found[..., :3] + 1j * found[..., 3:], expected + bias, atol=1e-4)


def test_norm_is_that_of_a_batch_of_one():
    x = np.random.default_rng(0).normal(3, 2, (2, 6, 5, 4)).astype(np.float32)
    layer = unet.InstanceNorm()
    found = layer.apply(layer.init(jax.random.key(0), jnp.asarray(x)), jnp.asarray(x))
    expected = (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5)
    np.testing.assert_allclose(found, expected, atol=SINGLE)


def test_initial_weights_fill_their_bounds():
    network = UNet(UNetSpec(1, 8), 1)
    image = jnp.zeros((1, 8, 8, 1))
    weights = initial_weights(network, jax.random.key(0), image)["params"]["Block_1"]
    kernel = np.asarray(weights["Convolution_1"]["kernel_0"])
    bound = 1 / np.sqrt(9 * kernel.shape[2])
    assert np.abs(kernel).max() <= bound
    assert kernel.std() == pytest.approx(bound / np.sqrt(3), rel=0.05)
    np.testing.assert_array_equal(weights["InstanceNorm_0"]["scale"], 1.0)


@pytest.mark.parametrize("upsampling", ["nearest", "transposed"])
@pytest.mark.parametrize("complex_valued", [False, True])
def test_network_has_gradients_everywhere(upsampling, complex_valued):
    network = UNet(UNetSpec(2, 4, upsampling, complex_valued), 2)
    image = jax.random.normal(jax.random.key(1), (1, 8, 12, 4 if complex_valued else 2))
    weights = initial_weights(network, jax.random.key(0), image)
    assert jax.eval_shape(network.apply, weights, image).shape == image.shape
    gradient = jax.jit(jax.grad(lambda w: jnp.sum(network.apply(w, image) ** 2)))(weights)
    # Biases that a norm follows at once have no effect: those of the 1x1 convolutions.
    flat = jax.tree_util.tree_leaves_with_path(gradient)
    assert all(float(jnp.abs(leaf).max()) > 0 for path, leaf in flat if "Block" in str(path))


@pytest.mark.parametrize(
    ("kind", "canvas"),
    [
        ("complex", (19, 26)),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in (("phase", (19, 26)), ("potential", (19, 26)))),
        pytest.param("phase", (16, 24), marks=pytest.mark.slow),
    ],
)
def test_generators_take_any_size_and_give_the_physical_ranges(kind, canvas):
    estimate = guess_of(channels=2 if kind == "complex" else 1, canvas=canvas)
    model = ModelSpec(
        GeneratedObject(kind, UNetSpec(2, 4), 0.1), GeneratedProbe(UNetSpec(2, 4, complex_valued=True), 0.1)
    )

    @jax.jit
    def made(estimate):
        params, constants = initialise(model, jax.random.key(0), estimate)
        fields = fields_of(render(model, params, constants, jax.random.key(1)))
        return fields, model.object.apply(params["object"], constants["object"], None)

    fields, channels = made(estimate)
    assert fields.object.shape == (2, *canvas)
    assert fields.probe.shape == (2, 9, 14)
    if kind == "potential":
        assert float(channels.min()) >= 0
    if kind == "complex":
        assert float(channels[:, 1].min()) >= 0
    else:
        np.testing.assert_allclose(jnp.abs(fields.object), 1, atol=1e-5)


def test_noise_needs_a_key_and_changes_with_it():
    model = GeneratedObject("phase", UNetSpec(1, 4), 0.3)
    params, constants = model.init(jax.random.key(0), guess_of())
    clean = [model.apply(params, constants, None) for _ in range(2)]
    noisy = [model.apply(params, constants, jax.random.key(k)) for k in (1, 2)]
    np.testing.assert_array_equal(*clean)
    assert float(jnp.abs(noisy[0] - noisy[1]).max()) > 1e-3


def test_pretraining_reproduces_the_guess_and_stops_by_itself():
    smooth = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(2, 1, 24, 32)), (0, 0, 3, 3))
    estimate = guess_of(canvas=(24, 32))
    estimate = Estimate(
        jnp.asarray(smooth, jnp.float32),
        estimate.probe,
        estimate.positions,
        estimate.thickness,
        estimate.tilt,
        estimate.coverage,
    )
    model = GeneratedObject("phase", UNetSpec(2, 8), 0.01)
    params, constants = model.init(jax.random.key(0), estimate)
    params, error, steps = pretrain(model, params, constants, jax.random.key(1), Pretraining(400, 1e-2, 0.15))
    assert float(error) <= 0.15
    assert int(steps) < 400
    found, target = model.raw(params, constants, None), constants[0].target[0]
    assert float(jnp.linalg.norm(found - target) / jnp.linalg.norm(target)) < 0.25


@pytest.mark.parametrize("kind", ["phase", "potential", "complex"])
def test_pixels_start_at_the_guess(kind):
    estimate = guess_of(channels=2 if kind == "complex" else 1)
    wanted = constrain(kind, jnp.abs(estimate.object) + 0.1, estimate.coverage)
    estimate = Estimate(
        wanted, estimate.probe, estimate.positions, estimate.thickness, estimate.tilt, estimate.coverage
    )
    model = ModelSpec(PixelObject(kind, Preconditioner(30.0, 0.1, SAMPLING)), PixelProbe())
    params, constants = initialise(model, jax.random.key(0), estimate)
    fields = fields_of(render(model, params, constants))
    np.testing.assert_allclose(fields.object, transmission(wanted), atol=2e-4)
    np.testing.assert_allclose(fields.probe, estimate.probe, atol=1e-6)


def test_preconditioner_multiplies_frequencies_of_the_mean_slice():
    rng = np.random.default_rng(0)
    phase = rng.normal(size=(3, 12, 15))
    spec = Preconditioner(30.0, 0.2, SAMPLING)
    ky, kx = np.meshgrid(np.fft.fftfreq(12, 0.31), np.fft.fftfreq(15, 0.47), indexing="ij")
    weight = 1 + 30 / (1 + (ky**2 + kx**2) / 0.2**2)
    found = np.asarray(precondition(spec, jnp.asarray(phase, jnp.float32)))
    mean = np.fft.ifft2(np.fft.fft2(phase.mean(0)) * weight).real
    np.testing.assert_allclose(found.mean(0), mean, atol=1e-4)
    np.testing.assert_allclose(found - found.mean(0), phase - phase.mean(0), atol=1e-4)


@pytest.mark.usefixtures("x64")
def test_gauge_is_the_weighted_least_squares_plane():
    rng = np.random.default_rng(0)
    image, weight = rng.normal(size=(11, 17)), rng.uniform(0.1, 2, (11, 17))
    y, x = np.meshgrid(np.arange(11.0), np.arange(17.0), indexing="ij")
    basis = np.stack([np.ones_like(y), y, x], -1).reshape(-1, 3)
    root = np.sqrt(weight).reshape(-1)
    solution = np.linalg.lstsq(basis * root[:, None], image.reshape(-1) * root, rcond=None)[0]
    mean, ramp = weighted_plane(jnp.asarray(image), jnp.asarray(weight))
    np.testing.assert_allclose(mean + ramp, (basis @ solution).reshape(11, 17), atol=DOUBLE)


def test_phase_kind_does_not_see_constant_or_ramp():
    estimate = guess_of()
    y, x = np.meshgrid(np.arange(19.0), np.arange(26.0), indexing="ij")
    tilted = estimate.object + jnp.asarray(0.05 * y - 0.02 * x + 0.7, jnp.float32)[None, None]
    plain, moved = (constrain("phase", free, estimate.coverage) for free in (estimate.object, tilted))
    np.testing.assert_allclose(plain, moved, atol=1e-4)
    plain, moved = (constrain("phase", free, estimate.coverage, False) for free in (estimate.object, tilted))
    kept = jnp.sum(moved - plain, axis=(0, 1)) - len(plain) * (0.05 * y - 0.02 * x)
    assert float(jnp.ptp(kept)) < 1e-4, "a ramp that is measured stays"


def test_pixels_of_a_potential_in_many_slices_do_not_die():
    """A step below zero leaves a gradient that brings the pixel back, however weak its slice is."""
    free = jnp.full((16, 1, 4, 4), -0.05)
    slope = jax.grad(lambda x: constrain("potential", x, jnp.ones((4, 4))).sum())(free)
    assert float(slope.min()) > 0.1


@pytest.mark.parametrize("slices", [1, 4, 16])
def test_a_potential_keeps_its_vacuum_level_however_many_slices_share_it(slices):
    """A slab beside vacuum, assigned and read back: neither tilted nor lifted."""
    slab = jnp.zeros((slices, 1, 20, 24)).at[..., 12:].set(1.0 / slices)
    back = constrain("potential", unconstrain("potential", slab), jnp.ones((20, 24)))
    total = np.asarray(back.sum(axis=(0, 1)))
    np.testing.assert_allclose(total[:, :12], 0, atol=0.011)
    np.testing.assert_allclose(total[:, 12:], 1, atol=1e-4)


def test_positive_is_invertible_and_positive():
    values = jnp.linspace(0.02, 2, 50)
    np.testing.assert_allclose(positive(free_of(values)), values, rtol=1e-4)
    assert float(positive(jnp.linspace(-5, 0, 20)).min()) >= 0
