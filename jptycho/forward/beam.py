"""What the beam does to the modes of the probe before they meet the object, as functions of one position.

Each gives as many modes or more, which are mutually incoherent: a step costs as much as so many modes of the probe.
What does not differ from pattern to pattern is computed once for a batch.
"""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from jptycho.forward.fields import ScanFields, Setup
from jptycho.forward.patches import fourier_shift
from jptycho.optics.propagation import fresnel_kernel, propagate
from jptycho.optics.waves import intensity, to_complex
from jptycho.types import Array, Complex, Float

VARIATION, WEIGHTS = "probe_variation", "probe_weights"
FOCAL_SPREAD, FLY = "focal_spread", "fly"
"""Names of the unknowns that these effects read."""


@dataclasses.dataclass(frozen=True)
class VaryProbe:
    """F⁻¹[exp(Σ_j w_j Q_j) F[P]]: the probe differs from pattern to pattern by a few modes that all share.

    Lens and aperture act on the spectrum by a factor, whose logarithm is linear in what drifts, and on all modes of a
    probe alike. For small weights this adds Σ_j w_j F⁻¹[Q_j F[P]], as orthogonal probe relaxation does; a large phase
    stays a phase. The intensity is that of the probe. ``probe_variation`` holds Q (n, ky, kx) in FFT order, its
    imaginary part phase in rad and its real part the amplitude's logarithm, ``probe_weights`` of a row w (n,).

    Source:
        Odstrcil et al., Opt. Express 24 (2016) 8360, orthogonal probe relaxation.
    """

    def __call__(
        self, modes: Complex[Array, "modes y x"], row: ScanFields, setup: Setup
    ) -> Complex[Array, "modes y x"]:
        """As many modes."""
        del setup
        spectra = jnp.fft.fft2(modes, norm="ortho")
        factor = jnp.exp(jnp.tensordot(to_complex(row.extra[WEIGHTS]), row.extra[VARIATION], 1))
        varied = spectra * factor[None]
        share = jnp.sum(intensity(spectra)) / jnp.sum(intensity(varied))
        return jnp.fft.ifft2(varied * to_complex(jnp.sqrt(share)), norm="ortho")


MOST_NODES = 33
"""Of the sum over defocus."""
COHERENCE_ERROR = 0.03
"""Of that sum at most, in the coherence between the middle of the aperture and its edge."""


def focal_nodes(phase: float) -> int:
    """How many nodes a sum over defocus needs.

    Two rays at a difference of x rad between a standard deviation of defocus and none keep a coherence of
    exp(-x²/2); n nodes give Σ w cos(x t), which returns to one where they are too few, as if the beam were coherent.

    Args:
        phase: π α² σ / λ, of the aperture's edge over a standard deviation of defocus, in rad.

    Returns:
        the least number that gives every coherence up to there within ``COHERENCE_ERROR``; ``MOST_NODES`` where more
        would be needed, which is beyond :func:`largest_phase`.

    Source:
        Abramowitz & Stegun, Handbook of Mathematical Functions (1964), 25.4.46.

    Example:
        >>> focal_nodes(1.0), focal_nodes(2.0), focal_nodes(3.8)
        (3, 5, 10)
    """
    phases = np.linspace(0.0, phase, 100)
    wanted = (nodes for nodes in range(2, MOST_NODES) if _coherence_errors(nodes, phases).max() <= COHERENCE_ERROR)
    return next(wanted, MOST_NODES)


def largest_phase(nodes: int) -> float:
    """Up to which phase of the aperture's edge so many nodes give every coherence within ``COHERENCE_ERROR``.

    Args:
        nodes: of the sum.

    Returns:
        π α² σ / λ in rad.

    Example:
        >>> round(largest_phase(5), 1), round(largest_phase(33), 1)
        (2.2, 9.0)
    """
    phases = np.linspace(0.0, 2 * math.sqrt(nodes) + 2, 2000)
    return float(phases[np.argmax(_coherence_errors(nodes, phases) > COHERENCE_ERROR) - 1])


def _coherence_errors(nodes: int, phases: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    places, weights = np.polynomial.hermite_e.hermegauss(nodes)
    found = np.cos(np.outer(phases, places)) @ weights / weights.sum()
    return np.abs(found - np.exp(-0.5 * phases**2))


@dataclasses.dataclass(frozen=True)
class SpreadFocus:
    """Chromatic spread: the incoherent sum over a Gaussian distribution of defocus, by Gauss and Hermite.

    ``focal_spread`` is its standard deviation in Å. Each mode is propagated to every node.

    Attributes:
        nodes: of the quadrature, as many times the modes; :func:`focal_nodes` says how many it takes.

    Source:
        Kirkland (2020), chapter 3, on partial coherence.
    """

    nodes: int = 5

    def __call__(self, modes: Complex[Array, "modes y x"], row: ScanFields, setup: Setup) -> Complex[Array, "more y x"]:
        """Modes at each node, of the same intensity in total."""
        places, weights = np.polynomial.hermite_e.hermegauss(self.nodes)
        spread = row.extra[FOCAL_SPREAD]
        distances = spread * jnp.asarray(places, spread.dtype)

        def moved(distance: Float[Array, ""], weight: Float[Array, ""]) -> Complex[Array, "modes y x"]:
            kernel = fresnel_kernel(setup.grid, setup.wavelength, distance, centre=setup.centre)
            return propagate(modes, kernel) * to_complex(jnp.sqrt(weight))

        every = jax.vmap(moved)(distances, jnp.asarray(weights / weights.sum(), spread.dtype))
        return every.reshape(-1, *modes.shape[1:])


@dataclasses.dataclass(frozen=True)
class MoveBeam:
    """Fly scan: the beam moves along a line while a pattern is exposed, an incoherent sum by Gauss and Legendre.

    ``fly`` is the line from its first to its last point in Å along (y, x); its middle is the position.

    Attributes:
        points: of the quadrature, as many times the modes.

    Source:
        Deng et al., Opt. Express 23 (2015) 5438.
    """

    points: int = 5

    def __call__(self, modes: Complex[Array, "modes y x"], row: ScanFields, setup: Setup) -> Complex[Array, "more y x"]:
        """Modes at each point, of the same intensity in total."""
        places, weights = np.polynomial.legendre.leggauss(self.points)
        line = row.extra[FLY]
        sampling = jnp.stack([jnp.asarray(pixel, line.dtype) for pixel in setup.grid.sampling])
        shifts = 0.5 * jnp.asarray(places, line.dtype)[:, None] * (line / sampling)[None]
        every = jax.vmap(fourier_shift, in_axes=(None, 0))(modes, shifts)
        amplitude = jnp.asarray(np.sqrt(weights / weights.sum()), line.dtype)
        return (every * to_complex(amplitude)[:, None, None, None]).reshape(-1, *modes.shape[1:])
