"""The mean of an ensemble's members: angles, waves whose phase is nobody's, and their power."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jptycho.representations.estimate import Estimate
from jptycho.solvers.ensemble import mean_of_members


def members(shared: list[dict[str, float]], phases: list[float]) -> Estimate:
    """Estimates that differ in what is shared and in the phase of a probe, with a leading axis."""
    wave = np.random.default_rng(0).normal(size=(1, 5, 6)) + 1j
    every = []
    for parts, phase in zip(shared, phases, strict=True):
        probe = jnp.asarray(wave * np.exp(1j * phase), jnp.complex64)
        flat = Estimate(
            jnp.zeros((1, 1, 8, 9)), probe, jnp.zeros((2, 2)), jnp.zeros(()), jnp.zeros(2), jnp.ones((8, 9))
        )
        named = {name: jnp.float32(value) for name, value in parts.items()}
        every.append(dataclasses.replace(flat, shared=named | {"coherent_probe": probe[0]}))
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *every)


def test_aberrations_are_averaged_as_vectors():
    """Of twofold astigmatism, azimuths of 89 and -89 degrees are two degrees apart."""
    found = mean_of_members(
        members(
            [
                {"C12": 10.0, "phi12": np.radians(89), "C30": 2.0, "source_size": 0.1},
                {"C12": 10.0, "phi12": np.radians(-89), "C30": 4.0, "source_size": 0.3},
            ],
            [0.0, 0.0],
        )
    ).shared
    assert abs(np.degrees(found["phi12"])) == pytest.approx(90, abs=1e-3)
    assert float(found["C12"]) == pytest.approx(10 * np.cos(np.radians(2)), rel=1e-5)
    assert float(found["C30"]) == pytest.approx(3.0)
    assert float(found["source_size"]) == pytest.approx(0.2)


def test_a_phase_of_its_own_takes_nothing_from_the_wave_of_a_point_source():
    every = members([{}, {}], [0.0, 2.5])
    found = mean_of_members(every)
    np.testing.assert_allclose(found.shared["coherent_probe"], every.probe[0, 0], atol=1e-5)
    np.testing.assert_allclose(found.probe, every.probe[0], atol=1e-5)
