"""What a user need not choose: loss, batch, rates and the two constants of the spectral preconditioner, noise."""

from __future__ import annotations

import math

import numpy as np

from jptycho.parallel import memory_of_device
from jptycho.preprocess.prepare import Problem, per_electron
from jptycho.representations.pixels import Preconditioner

PATTERNS_PER_CORE = 4
STEPS = 26  # an epoch, where the batch is free
HELD_OUT = 0.1  # of the electrons, that validate a DGP
SPLIT_NOISE = 0.1  # of a generator's input, where halves of the electrons validate each other: any up to 0.3 serves
PROBE_ELECTRONS = 5e3  # a pattern, above which a network does not reproduce the probe as well as pixels know it
NOISY = 3.0  # electrons a detector pixel, below which a second network serves
COPIES = 0.1  # of memory, that the half sets of a second network may take
PROBE_RATE = 3e-2  # of the mean amplitude a step, at one electron a detector pixel and above
OBJECT_RATE = 0.1  # rad a step at one electron a detector pixel and above, of the contrast
FAST = 0.2  # contrast that is taken for the least where noise does not matter
CONTRAST_SAMPLE = 4096  # patterns that show it
BLOCK = 4  # pixels


def choose_loss(counted: bool, read_noise: float) -> str:
    """Poisson for counted electrons, amplitude where a count is no electron, mixed where the read-out adds noise.

    Args:
        counted: whether every count is a whole number of electrons.
        read_noise: electrons per pixel.

    Returns:
        name of the loss.

    Example:
        >>> choose_loss(True, 0.0), choose_loss(False, 0.0), choose_loss(False, 0.7)
        ('poisson', 'amplitude', 'mixed')
    """
    if counted:
        return "poisson"
    return "mixed" if read_noise > 0 else "amplitude"


def choose_micro_batches(batch: int, devices: int, platform: str) -> int:
    """Parts into which a step is divided.

    Four patterns of 128² and what is computed from them stay in a core's cache; with one part a step, two cores took
    half as much time again. A GPU wants the whole step at once.

    Args:
        batch: patterns a step.
        devices: that share it.
        platform: of the devices, as JAX names it.

    Returns:
        at least 1.

    Example:
        >>> choose_micro_batches(64, 2, "cpu"), choose_micro_batches(64, 1, "cpu"), choose_micro_batches(64, 1, "gpu")
        (8, 1, 1)
    """
    return max(1, batch // devices // PATTERNS_PER_CORE) if platform == "cpu" and devices > 1 else 1


def choose_object_rate(problem: Problem) -> float:
    """Learning rate of the pixels: a tenth of the patterns' contrast, less where the gradient is mostly noise.

    Adam's step does not shrink with the signal. So it follows the object's strength, which the patterns' contrast
    shows, and at low dose a smaller one walks less at random: the fourth root of the electrons a detector pixel, up to
    one. Where a pixel sees an electron or more, noise does not matter, and short steps would only take longer.

    Slices have almost the same gradient, so their steps add up: with the rate of one slice 16 slices diverge, with a
    sixteenth of it their mean is slow; the root is between.

    Args:
        problem: the scan.

    Returns:
        rad a step, before the preconditioner.
    """
    slices, seen = problem.estimate.object.shape[0], _per_pixel(problem)
    strength = max(pattern_contrast(problem), FAST * seen**2)
    return OBJECT_RATE * strength * seen**0.25 / math.sqrt(slices)


def choose_probe_rate(problem: Problem) -> float:
    """Learning rate of a probe of pixels: the root of the electrons a detector pixel, up to one.

    All patterns share the probe, so its gradient is less noisy than the object's; but Adam's steps of a probe that is
    known well are noise, and more so the fewer the electrons.

    Args:
        problem: the scan.

    Returns:
        relative to the probe's mean amplitude a step.
    """
    return PROBE_RATE * math.sqrt(_per_pixel(problem))


def _per_pixel(problem: Problem) -> float:
    """Electrons of a pattern, a detector pixel; one at most."""
    return min(1.0, _all_per_pixel(problem))


def pattern_contrast(problem: Problem) -> float:
    """How much patterns change from position to position beyond shot noise, relative to their mean.

    C² = Σ (variance - mean) / Σ mean², in electrons, over the detector in blocks of 2 x 2 pixels, which hold less
    noise; its standard error is added, so that noise does not hide what is there. A weak object's contrast is about its
    phase's standard deviation in rad.

    Args:
        problem: the scan.

    Returns:
        C, at most one. Where counts are no electrons their noise is not taken out.
    """
    calibration, mask = problem.dataset.calibration, np.asarray(problem.setup.mask)
    chosen, unit = (
        np.arange(0, len(problem.counts), max(1, len(problem.counts) // CONTRAST_SAMPLE)),
        per_electron(problem),
    )
    rows, columns = (n // 2 for n in problem.counts.shape[1:])
    total, squares = np.zeros((rows, columns)), np.zeros((rows, columns))
    for first in range(0, len(chosen), 256):  # a copy of all would not fit everywhere
        electrons = (problem.counts[chosen[first : first + 256]] * mask)[:, : 2 * rows, : 2 * columns] / unit
        blocks = electrons.reshape(-1, rows, 2, columns, 2).sum(axis=(2, 4), dtype=np.float64)
        total, squares = total + blocks.sum(axis=0), squares + (blocks**2).sum(axis=0)
    mean = total / len(chosen)
    shot = np.zeros_like(mean) if problem.unit.source == "estimated" else mean + BLOCK * calibration.read_noise**2
    power = max(float((mean**2).sum()), 1e-12)
    excess = float((squares / len(chosen) - mean**2 - shot).sum()) / power
    error = math.sqrt(float((2 * mean**2 + shot).sum()) / len(chosen)) / power
    return min(math.sqrt(max(excess, 0.0) + error), 1.0)


def choose_batch(patterns: int) -> int:
    """Patterns a step, so that an epoch has about ``STEPS`` steps.

    Args:
        patterns: in the scan.

    Returns:
        a multiple of 8 between 16 and 256, no more than the scan has.

    Example:
        >>> choose_batch(1600), choose_batch(625), choose_batch(16384), choose_batch(9)
        (64, 24, 256, 9)
    """
    return min(max(16, min(256, 8 * round(patterns / STEPS / 8))), patterns)


def choose_probe(problem: Problem, fixed: bool, object_by: str) -> str:
    """A network for a DGP's probe where its estimate is noisy, pixels where the dose determines it well.

    A network takes the noise away, but reproduces no probe exactly: on specimens from 100 to 1e4 e/Å² it gave the
    better object at 110 and 3,000 electrons a pattern, as good a one at 1,000 and a worse one at 14,000.

    Args:
        problem: the scan.
        fixed: whether the probe is kept.
        object_by: what stands for the object; where that is pixels, the network is the probe's.

    Returns:
        ``"network"`` or ``"pixels"``.
    """
    if object_by == "pixels":
        return "network"
    return "pixels" if fixed or problem.electrons > PROBE_ELECTRONS else "network"


def choose_ensemble_size(problem: Problem) -> int:
    """Networks of a DGP from half sets: two where electrons are few and memory holds their half sets, else one.

    Each has a random division of the electrons of its own, so that their mean is less noisy: on seventeen recordings
    of 30 to 1,000 e/Å² (0.01 to 3 electrons a detector pixel) two gave 0.011 more SSIM than one on average, 0.026 at
    most and less on three of them (by 0.009, 0.002 and 0.001), for 0.16 to 0.44 more of the time (five scans). Above,
    it was not tried.

    Args:
        problem: the scan.

    Returns:
        1 or 2.
    """
    fits = 4 * problem.counts.nbytes < COPIES * memory_of_device()
    return 2 if fits and _all_per_pixel(problem) < NOISY else 1


def _all_per_pixel(problem: Problem) -> float:
    """Electrons of a pattern, a detector pixel."""
    return problem.electrons / math.prod(problem.counts.shape[1:])


def choose_input_noise(problem: Problem) -> float:
    """Noise on a generator's input, relative to the input's standard deviation.

    The input is the noisy estimate itself; noise as large as its own keeps the network from learning it by heart, and
    more only blurs. The estimate's noise falls with the dose: 0.5 n^-0.35, n the electrons a detector pixel, between
    0.1 and 1. Measured on a gold particle at 200, 500 and 1e4 e/Å² (n = 0.1, 0.3, 5: best at 1, 0.5 to 1, below 0.2)
    and a stack of graphene layers at 500 e/Å² (n = 0.8).

    Args:
        problem: the scan.

    Returns:
        standard deviation of the noise.
    """
    return min(max(0.5 * _all_per_pixel(problem) ** -0.35, 0.1), 1.0)


def choose_preconditioner(problem: Problem) -> Preconditioner:
    """Constants of w(k) = 1 + A / (1 + (k / k0)²) from field of view, sampling and dose.

    k0 = 1.25 / L, with L the side of the field of view: what spans a fraction of it is slow. A = 0.15 L / dx, for the
    number of pixels in L is how far apart the slowest and the finest structure are; at most 4 √(electrons a pattern),
    for slow structure is measured by shifts of the whole pattern, to that precision.

    Args:
        problem: the scan.

    Returns:
        the preconditioner, its gain between 5 and 60.
    """
    sampling = problem.setup.grid.sampling
    spread = np.ptp(np.asarray(problem.estimate.positions), axis=0)
    side = math.sqrt(float(np.prod((spread + 1) * np.asarray(sampling))))
    pixels = side / math.sqrt(math.prod(sampling))
    gain = min(0.15 * pixels, 4 * math.sqrt(problem.electrons))
    return Preconditioner(min(max(gain, 5.0), 60.0), 1.25 / side, sampling)
