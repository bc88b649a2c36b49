"""Split the electrons of a scan: a part to judge the result by, and halves that judge each other's estimates."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np

from jptycho.errors import ConfigError
from jptycho.forward.model import Noise, Setup
from jptycho.preprocess.gain import CountUnit, are_multiples
from jptycho.preprocess.prepare import Problem
from jptycho.types import Shaped

HALVES = 1 << 20  # added to the seed, so that halves are not drawn as the held-out electrons are


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


def divisible(problem: Problem) -> str:
    """Why the electrons of a scan cannot be divided.

    Args:
        problem: the scan made ready.

    Returns:
        the reason in words; empty where they can.
    """
    unit = problem.unit
    if problem.counts.min() < 0:
        return "read-out noise made some counts negative"
    if unit.source == "estimated" or not are_multiples(problem.counts, unit.value):
        return f"counts are no multiples of {unit.value:.3g}, what an electron leaves ({unit.source})"
    return ""


def hold_out(problem: Problem, share: float, seed: int) -> tuple[Problem, Problem, str]:
    """A scan as what is reconstructed and what judges it: electrons, or detector pixels where they are not counted.

    Args:
        problem: the scan made ready.
        share: of the electrons, or of the pixels, that are held out.
        seed: of the choice.

    Returns:
        both parts, each with every position; and in words what was held out.

    Raises:
        ConfigError: nothing is left for a part.
    """
    reason = divisible(problem)
    if reason:
        first, second = _with_masks(problem, share, seed)
        return first, second, f"{share:.0%} of the detector's pixels, for electrons cannot be divided: {reason}"
    parts = thin(problem.counts, problem.unit.value, share, seed)
    first, second = (_with_counts(problem, part) for part in parts)
    return first, second, f"{share:.0%} of the electrons of each pattern"


def halve(problem: Problem, seed: int) -> tuple[Problem, Problem]:
    """A scan as two of half the electrons each, both with every position.

    Args:
        problem: the scan made ready, its counts divisible.
        seed: of the choice.

    Returns:
        the halves; both expect half the dose.
    """
    parts = thin(problem.counts, problem.unit.value, 0.5, seed + HALVES)
    first, second = (_with_counts(problem, part) for part in parts)
    return first, dataclasses.replace(second, setup=first.setup)


def _with_masks(problem: Problem, share: float, seed: int) -> tuple[Problem, Problem]:
    mask = np.asarray(problem.setup.mask)
    held = np.random.default_rng([seed, 1]).random(mask.shape) < share
    parts = []
    for seen in (mask * ~held, mask * held):
        if not (problem.counts.mean(axis=0) * seen).sum():
            raise ConfigError("stop.held_out: no count fell to one of the parts. Raise the share or set it to 0.")
        parts.append(dataclasses.replace(problem, setup=dataclasses.replace(problem.setup, mask=jnp.asarray(seen))))
    return parts[0], parts[1]


def _with_counts(problem: Problem, electrons: Shaped[np.ndarray, "scan ky kx"]) -> Problem:
    seen = np.asarray(problem.setup.mask) > 0
    dose = float((electrons.mean(axis=0, dtype=np.float64) * seen).sum())
    if dose == 0:
        raise ConfigError(
            "data.counts: no electron fell to one of the parts into which they are divided. "
            "Set stop.held_out = 0 and dgp.split = false."
        )
    setup: Setup = problem.setup
    read_out = jnp.zeros(()) if setup.noise is None else setup.noise.read_out
    noise = Noise(jnp.asarray(dose, jnp.float32), read_out)
    setup = dataclasses.replace(setup, dose=jnp.asarray(dose, jnp.float32), noise=noise)
    unit = CountUnit(1.0, problem.unit.source)
    return dataclasses.replace(problem, counts=electrons, setup=setup, electrons=dose, unit=unit)
