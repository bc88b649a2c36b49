"""The far field of abTEM's multislice, from the same potential slices: an independent program."""

import jax.numpy as jnp
import numpy as np
import pytest

import jptycho
from jptycho.optics.electron import interaction_parameter, wavelength
from jptycho.optics.probe import Beam, beam_probe
from jptycho.simulate.scattering import projected_potential
from jptycho.types import Grid

from ..tolerances import ABTEM

abtem = pytest.importorskip("abtem")
ase_build = pytest.importorskip("ase.build")


def test_far_field_equals_abtem():
    crystal = ase_build.bulk("Si", cubic=True) * (3, 2, 2)
    with abtem.config.set({"antialias.taper": 0.0, "local_diagnostics.progress_bar": False}):
        potential = abtem.Potential(crystal, gpts=(120, 80), slice_thickness=5.431 / 4).build(lazy=False)
        probe = abtem.Probe(energy=200e3, semiangle_cutoff=12.0, defocus=80.0)
        position = (4.1, 5.3)
        waves = probe.multislice(potential, scan=abtem.CustomScan([position]), lazy=False)
        expected = np.asarray(waves.diffraction_patterns(max_angle=None, fftshift=False).array).squeeze()
    # abTEM's first axis is x, ours y: the names do not matter here, the first axis stays the first.
    grid = Grid(potential.gpts, potential.sampling)
    phase = interaction_parameter(200e3) * np.asarray(potential.array)
    k = np.hypot(
        *np.meshgrid(*[np.fft.fftfreq(n, d) for n, d in zip(grid.shape, grid.sampling, strict=True)], indexing="ij")
    )
    passes = k <= (2 / 3) / (2 * max(grid.sampling))
    slices = np.fft.ifft2(np.fft.fft2(np.exp(1j * phase)) * passes)  # abTEM band-limits each transmission
    centre = np.array(position) / grid.sampling
    rolled = np.roll(slices, [n // 2 - round(c) for n, c in zip(grid.shape, centre, strict=True)], axis=(1, 2))
    where = centre - np.round(centre) + [n // 2 for n in grid.shape]
    fields = jptycho.Fields(
        jnp.asarray(rolled, jnp.complex64),
        beam_probe(grid, Beam(200e3, 12.0, (("C10", -80.0),)))[None],
        jptycho.ScanFields(jnp.asarray(where, jnp.float32)[None]),
        jnp.asarray(5.431 / 4, jnp.float32),
        jnp.zeros(2),
    )
    setup = jptycho.Setup(jnp.ones(grid.shape), jnp.ones(()), grid, wavelength(200e3), 2 / 3)
    found = np.asarray(jptycho.predict(fields, setup, fields.scan[0])) * passes
    expected = expected * passes
    assert found.sum() == pytest.approx(1, abs=0.02)
    np.testing.assert_allclose(
        found / found.sum(), expected / expected.sum(), atol=ABTEM * (expected / expected.sum()).max()
    )


@pytest.mark.parametrize("element", ["C", "Au"])
def test_projected_potential_of_an_atom_equals_abtem(element):
    grid = Grid((128, 96), (0.05, 0.05))
    atoms = {element: np.array([[0.0, 3.21, 2.37]])}
    ours = projected_potential(atoms, grid, {element: 0.08}, 9.0)
    lobato = abtem.parametrizations.LobatoParametrization()
    factor = lobato.scattering_factor(element)
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(128, 0.05), np.fft.fftfreq(96, 0.05), indexing="ij"))
    spectrum = np.asarray(factor(k**2)) * np.exp(-2 * np.pi**2 * 0.08**2 * k**2) * (k <= 9.0)
    ky, kx = np.meshgrid(np.fft.fftfreq(128, 0.05), np.fft.fftfreq(96, 0.05), indexing="ij")
    image = np.fft.ifft2(spectrum * np.exp(-2j * np.pi * (ky * 3.21 + kx * 2.37))).real / 0.05**2 * 47.87801
    np.testing.assert_allclose(ours, image, atol=1e-4 * image.max())
