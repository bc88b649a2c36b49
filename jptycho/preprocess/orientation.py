"""How the scan's axes lie on the detector, from the centres of mass of the patterns."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from jptycho.types import Complex, Float

GROUPS = 8  # of spatial frequencies, each left out in turn for the error


@dataclasses.dataclass(frozen=True)
class CentreOrientation:
    """What centres of mass say.

    Attributes:
        rotation: degrees in (-90, 90]; by 180 degrees more with the phase inverted they say the same.
        rotation_error: standard error.
        transpose: whether detector rows run along the fast axis.
        curl: share of the field's power that is no gradient, at that rotation; a half where there is none to find.
        curl_other: the least share with the axes the other way.
        swing: for axes as they are and for swapped ones, (c, s) of curl(θ) = 1/2 - (c cos 2θ + s sin 2θ) / 2.
    """

    rotation: float
    rotation_error: float
    transpose: bool
    curl: float
    curl_other: float
    swing: tuple[tuple[float, float], tuple[float, float]] = ((0.0, 0.0), (0.0, 0.0))

    def curl_at(self, rotations: Float[np.ndarray, "n"], transpose: bool) -> Float[np.ndarray, "n"]:
        """Share of the field's power that is no gradient at rotations in degrees; the rest is the divergence."""
        cos, sin = self.swing[int(transpose)]
        doubled = np.radians(2 * rotations)
        return 0.5 - 0.5 * (cos * np.cos(doubled) + sin * np.sin(doubled))


def orient_centres(q: Float[np.ndarray, "q 2"], centres: Complex[np.ndarray, "q 2"]) -> CentreOrientation:
    """The rotation at which the field of the centres of mass is a gradient, so has no curl.

    In a thin object ⟨k⟩(p) = ∇(|ψ|² ⋆ φ) / 2π whatever the probe. With q̂ = R(θ) q̂_T the power along q̂ is
    L(θ) = ½ Σ(|a|² + |b|²) + ½ cos 2θ Σ(|a|² - |b|²) + sin 2θ Σ Re(a b*), a and b the components along q̂_T and 90°
    from it, so tan 2θ = 2 Σ Re(a b*) / Σ(|a|² - |b|²). With the axes the other way the best L is about a half.

    Args:
        q: spatial frequencies along slow and fast axis.
        centres: the Fourier transform of the centres of mass, along the detector's (y, x).

    Returns:
        rotation and transpose.

    Source:
        Lazić, Bosch & Lazar, Ultramicroscopy 160 (2016) 265, for the field; the closed form is elementary.

    Example:
        >>> q = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 2.0]])
        >>> turned = q @ np.array([[0.8, 0.6], [-0.6, 0.8]])  # by R(36.87°)
        >>> round(orient_centres(q, turned + 0j).rotation, 2)
        36.87
    """
    found = {}
    for transpose in (False, True):
        axes = q[:, ::-1] if transpose else q
        unit = axes / np.linalg.norm(axes, axis=1, keepdims=True)
        along = (unit * centres).sum(axis=1)
        across = unit[:, 0] * centres[:, 1] - unit[:, 1] * centres[:, 0]
        terms = np.stack([np.abs(along) ** 2 - np.abs(across) ** 2, 2 * (along * across.conj()).real])
        power = np.abs(along) ** 2 + np.abs(across) ** 2
        found[transpose] = (terms, power)
    shares = {t: 0.5 - 0.5 * float(np.hypot(*s.sum(axis=1)) / p.sum()) for t, (s, p) in found.items()}
    best = min(shares, key=shares.__getitem__)
    terms, _ = found[best]
    angle = 0.5 * math.degrees(math.atan2(terms[1].sum(), terms[0].sum()))
    swings = {t: (float(s[0].sum() / p.sum()), float(s[1].sum() / p.sum())) for t, (s, p) in found.items()}
    both = swings[False], swings[True]
    return CentreOrientation(angle, _spread(terms), best, shares[best], shares[not best], both)


def _spread(terms: np.ndarray) -> float:
    """Jackknife error of the angle, over groups of frequencies, in degrees."""
    number = np.arange(terms.shape[1]) % GROUPS
    rest = np.stack([terms[:, number != i].sum(axis=1) for i in range(GROUPS)])
    whole = terms.sum(axis=1)
    # Differences of doubled angles by their product: no jump at 180 degrees.
    turned = (rest[:, 0] + 1j * rest[:, 1]) * (whole[0] - 1j * whole[1])
    delta = 0.5 * np.degrees(np.angle(turned))
    return float(np.sqrt((GROUPS - 1) / GROUPS * np.sum(delta**2)))
