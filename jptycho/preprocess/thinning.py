"""Split the electrons of a scan: a part to validate the result by, and halves that validate each other's estimates."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np

from jptycho.data.lazy_counts import Change, Counts, LazyCounts, mapped, statistics
from jptycho.errors import ConfigError
from jptycho.forward.fields import Noise, Setup
from jptycho.preprocess.prepare import Problem
from jptycho.randomness import named_seed
from jptycho.types import Int, Shaped

VALIDATION = "validation"
"""Names the random numbers that say which electrons are held out."""


def thin(
    electrons: Shaped[np.ndarray, "scan ky kx"], share: float, seed: int | list[int], first: int = 0
) -> tuple[Shaped[np.ndarray, "scan ky kx"], Shaped[np.ndarray, "scan ky kx"]]:
    """Give each electron to one of two parts at random; of a Poisson process both are independent Poisson processes.

    Each pattern has random numbers of its own, so a part of a scan is divided as it is within the whole.

    Args:
        electrons: whole numbers.
        share: probability of the second part.
        seed: of the choice.
        first: number of the first pattern in the scan.

    Returns:
        electrons of the first and of the second part; they add up to those of the scan.

    Source:
        Kingman, Poisson Processes (1993), section 5.1 (colouring theorem).

    Example:
        >>> kept, held = thin(np.full((2, 3, 3), 10, np.uint8), 0.5, 0)
        >>> (kept + held == 10).all().item()
        True
        >>> (thin(np.full((1, 3, 3), 10, np.uint8), 0.5, 0, first=1)[1] == held[1]).all().item()
        True
    """
    return thin_rows(electrons, share, seed, np.arange(first, first + len(electrons)))


def thin_rows(
    electrons: Shaped[np.ndarray, "n ky kx"],
    share: float,
    seed: int | list[int],
    rows: Int[np.ndarray, "n"],
    beside: bool = False,
) -> tuple[Shaped[np.ndarray, "n ky kx"], Shaped[np.ndarray, "n ky kx"]]:
    """:func:`thin` of any patterns of a scan.

    Args:
        electrons: whole numbers.
        share: probability of the second part.
        seed: of the choice.
        rows: numbers of the patterns in the scan.
        beside: whether both parts of a pattern lie side by side in one array (n, 2, ky, kx), of which they are views.

    Returns:
        electrons of the first and of the second part.
    """
    if beside:
        both = np.zeros((len(electrons), 2, *electrons.shape[1:]), electrons.dtype)
        first, second = both[:, 0], both[:, 1]
    else:
        first, second = np.empty_like(electrons), np.zeros_like(electrons)
    for number, pattern, taken in zip(rows.tolist(), electrons, second, strict=True):
        where = np.nonzero(pattern)
        draw = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
        taken[where] = _taken(draw, pattern[where].astype(np.int64), share)
    np.subtract(electrons, second, out=first)
    return first, second


def thinned(electrons: Counts, share: float, seed: int | list[int], both: bool = False) -> tuple[Counts, Counts]:
    """:func:`thin` of a whole scan, in memory or read when it is asked for: the same electrons either way.

    Args:
        electrons: whole numbers.
        share: probability of the second part.
        seed: of the choice.
        both: whether the parts are asked for in turn, so that the second need not be made again, and lie side by side.

    Returns:
        both parts.
    """
    if not isinstance(electrons, LazyCounts):
        return thin_rows(electrons, share, seed, np.arange(len(electrons)), both)
    if both:
        return _in_turn(electrons, share, seed)

    def part(number: int) -> Change:
        return lambda patterns, rows: thin_rows(patterns, share, seed, rows)[number]

    held = statistics(electrons, part(1))
    means = (electrons.total - held, held)
    likes = (dataclasses.replace(electrons, total=mean, least=0.0) for mean in means)
    first, second = (mapped(electrons, part(n), like) for n, like in enumerate(likes))
    return first, second


def _in_turn(electrons: LazyCounts, share: float, seed: int | list[int]) -> tuple[LazyCounts, LazyCounts]:
    """Both parts of patterns of which the second is asked for right after the first, and then kept no longer."""
    waiting: dict[bytes, np.ndarray] = {}

    def first(rows: np.ndarray) -> np.ndarray:
        waiting.clear()
        one, waiting[rows.tobytes()] = thin_rows(electrons.read(rows), share, seed, rows)
        return one

    def second(rows: np.ndarray) -> np.ndarray:
        found = waiting.pop(rows.tobytes(), None)
        return thin_rows(electrons.read(rows), share, seed, rows)[1] if found is None else found

    half = statistics(electrons, lambda part, rows: thin_rows(part, share, seed, rows)[0])
    like = dataclasses.replace(electrons, least=0.0)
    one = dataclasses.replace(like, total=half, read=first)
    return one, dataclasses.replace(like, total=electrons.total - half, read=second)


def _taken(draw: np.random.Generator, electrons: Shaped[np.ndarray, "n"], share: float) -> Shaped[np.ndarray, "n"]:
    """Binomial numbers of at least one electron each: mostly it is the only one, and one number decides."""
    taken = (draw.random(len(electrons)) < share).astype(np.int64)
    several = np.flatnonzero(electrons > 1)
    taken[several] += draw.binomial(electrons[several] - 1, share)
    return taken


def hold_out(problem: Problem, share: float, seed: int, purpose: str = VALIDATION) -> tuple[Problem, Problem, str]:
    """A scan as what is reconstructed and what validates it: electrons, or detector pixels where they are not counted.

    Args:
        problem: the scan made ready.
        share: of the electrons, or of the pixels, that are held out.
        seed: of the choice.
        purpose: of what is held out: parts for several are drawn independently.

    Returns:
        both parts, each with every position; and in words what was held out.

    Raises:
        ConfigError: nothing is left for a part.
    """
    if problem.undivided:
        first, second = _with_masks(problem, share, named_seed(seed, purpose))
        why = f"electrons cannot be divided: {problem.undivided}"
        return first, second, f"{share:.0%} of the detector's pixels, for {why}"
    parts = thinned(problem.counts, share, named_seed(seed, purpose))
    first, second = (_with_counts(problem, part) for part in parts)
    return first, second, f"{share:.0%} of the electrons of each pattern"


def make_half_sets(problem: Problem, seed: int, member: int = 0) -> tuple[Problem, Problem]:
    """A scan as two of half the electrons each, both with every position.

    Args:
        problem: the scan made ready, its counts electrons.
        seed: of the choice.
        member: of an ensemble, each of which has halves of its own.

    Returns:
        the halves; both expect half the dose.
    """
    parts = thinned(problem.counts, 0.5, named_seed(seed, "half sets", member), both=True)
    first, second = (_with_counts(problem, part) for part in parts)
    return first, dataclasses.replace(second, setup=first.setup)


def _with_masks(problem: Problem, share: float, seed: list[int]) -> tuple[Problem, Problem]:
    mask = np.asarray(problem.setup.mask)
    held = np.random.default_rng(seed).random(mask.shape) < share
    parts = []
    for seen in (mask * ~held, mask * held):
        if not (problem.counts.mean(axis=0) * seen).sum():
            raise ConfigError("validation.fraction: no count fell to one of the parts. Raise the share or set it to 0.")
        parts.append(dataclasses.replace(problem, setup=dataclasses.replace(problem.setup, mask=jnp.asarray(seen))))
    return parts[0], parts[1]


def _with_counts(problem: Problem, electrons: Counts) -> Problem:
    seen = np.asarray(problem.setup.mask) > 0
    dose = float((electrons.mean(axis=0, dtype=np.float64) * seen).sum())
    if dose == 0:
        raise ConfigError(
            "data.counts: no electron fell to one of the parts into which they are divided. "
            "Set validation.fraction = 0, and pixels.half_sets = false or dgp.half_sets = false."
        )
    setup: Setup = problem.setup
    read_out = jnp.zeros(()) if setup.noise is None else setup.noise.read_out
    noise = Noise(jnp.asarray(dose, jnp.float32), read_out)
    setup = dataclasses.replace(setup, dose=jnp.asarray(dose, jnp.float32), noise=noise)
    return dataclasses.replace(problem, counts=electrons, setup=setup, electrons=dose)
