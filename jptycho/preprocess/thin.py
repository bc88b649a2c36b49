"""Split the electrons of a scan in two: one part to reconstruct from, one to judge the result by."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np

from jptycho.errors import ConfigError
from jptycho.forward.model import Noise, Setup
from jptycho.preprocess.gain import are_multiples
from jptycho.preprocess.prepare import Problem
from jptycho.types import Shaped


def thin(
    counts: Shaped[np.ndarray, "scan ky kx"], unit: float, share: float, seed: int
) -> tuple[Shaped[np.ndarray, "scan ky kx"], Shaped[np.ndarray, "scan ky kx"]]:
    """Give each electron to one of two parts at random; of a Poisson process both are independent Poisson processes.

    Args:
        counts: multiples of the unit.
        unit: counts that one electron leaves.
        share: probability of the second part.
        seed: of the choice.

    Returns:
        electrons of the first and of the second part; they add up to those of the scan.

    Source:
        Kingman, Poisson Processes (1993), section 5.1 (colouring theorem).

    Example:
        >>> first, second = thin(np.full((2, 3, 3), 10.0), 5.0, 0.5, 0)
        >>> (first + second == 2).all().item()
        True
    """
    electrons = np.round(counts / unit).astype(np.uint32)
    second = np.random.default_rng([seed, 1]).binomial(electrons, share).astype(np.uint32)
    first = electrons - second
    kind = np.min_scalar_type(int(electrons.max()))
    return first.astype(kind), second.astype(kind)


def hold_out(problem: Problem, share: float, seed: int) -> tuple[Problem, Problem]:
    """A scan as two scans of fewer electrons.

    Args:
        problem: the scan made ready.
        share: of the electrons that are held out.
        seed: of the choice.

    Returns:
        what is reconstructed, and what judges it; each has every position.

    Raises:
        ConfigError: counts that are no electrons, so that they cannot be divided.
    """
    unit = problem.unit.value
    if problem.counts.min() < 0:
        raise ConfigError(
            "stop.held_out: electrons can be divided only where they are counted; read-out noise made some counts "
            "negative. Set stop.held_out = 0."
        )
    if problem.unit.source == "estimated" or not are_multiples(problem.counts, unit):
        raise ConfigError(
            "stop.held_out: electrons can be divided only where counts are whole multiples of what one leaves; "
            f"they are no multiples of {unit:.3g} ({problem.unit.source}). Set stop.held_out = 0."
        )
    parts = thin(problem.counts, unit, share, seed)
    return _with_counts(problem, parts[0]), _with_counts(problem, parts[1])


def _with_counts(problem: Problem, electrons: Shaped[np.ndarray, "scan ky kx"]) -> Problem:
    seen = np.asarray(problem.setup.mask) > 0
    dose = float((electrons.mean(axis=0, dtype=np.float64) * seen).sum())
    if dose == 0:
        raise ConfigError("stop.held_out: no electron fell to one of the parts. Raise the share or set it to 0.")
    setup: Setup = problem.setup
    read_out = jnp.zeros(()) if setup.noise is None else setup.noise.read_out
    noise = Noise(jnp.asarray(dose, jnp.float32), read_out)
    setup = dataclasses.replace(setup, dose=jnp.asarray(dose, jnp.float32), noise=noise)
    return dataclasses.replace(problem, counts=electrons, setup=setup, electrons=dose)
