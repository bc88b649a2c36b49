"""What is to be reconstructed: the object's kind and slices, the probe's modes; their tables, and what cannot be."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Literal

from jptycho.data.dataset import Dataset4D, sampling_of, wavelength_of
from jptycho.errors import ConfigError, nearest_name
from jptycho.forward.beam import MOST_NODES
from jptycho.optics.aberrations import SYMMETRIES
from jptycho.representations.base import OBJECT_KINDS, PHASE
from jptycho.settings import AUTO, Field, NotNegative, Pair, Positive, Section, field_validator


@dataclasses.dataclass(frozen=True)
class ObjectSpec:
    """What the object is to be.

    Attributes:
        kind: one of ``OBJECT_KINDS``.
        slices: how many.
        thickness: Å between slices.
        tilt: mrad towards (y, x).
        band_limit: of the propagation, a fraction of Nyquist, or None.
        gaps: Å of each gap between slices where they are not equal; ``thickness`` is their mean.
    """

    kind: str = PHASE
    slices: int = 1
    thickness: float = 0.0
    tilt: tuple[float, float] = (0.0, 0.0)
    band_limit: float | None = None
    gaps: tuple[float, ...] = ()


class ObjectSettings(Section):
    """``[object]``: what is reconstructed."""

    kind: Literal["phase", "potential", "complex"] = Field(
        PHASE, description="phase; potential: phase that is never negative; complex: phase and absorption"
    )
    slices: int = Field(ObjectSpec.slices, ge=1, description="slices of the object")
    slice_thickness: Positive | None = Field(None, description="Å between slices; needed for more than one")
    slice_gaps: tuple[Positive, ...] = Field((), description="Å of each gap between slices, where they are not equal")
    band_limit: float | None = Field(
        ObjectSpec.band_limit, gt=0, le=1, description="of the propagation, as a fraction of Nyquist"
    )
    tilt: Pair = Field(ObjectSpec.tilt, description="mrad: slice by slice the beam walks along y and x")

    def spec(self) -> ObjectSpec:
        """What :func:`jptycho.prepare` takes."""
        mean = sum(self.slice_gaps) / len(self.slice_gaps) if self.slice_gaps else self.slice_thickness or 0.0
        return ObjectSpec(self.kind, self.slices, mean, self.tilt, self.band_limit, self.slice_gaps)


class ProbeSettings(Section):
    """``[probe]``: the illumination."""

    modes: int = Field(1, ge=1, le=12, description="mutually incoherent modes")
    fixed: bool = Field(False, description="keep the probe as it starts")
    model: Literal["pixels", "parametric"] = Field(
        "pixels", description="parametric: aberrations are the unknowns; solver gradient, and beside networks"
    )
    aberrations: tuple[str, ...] = Field(
        ("C10", "C12"), description="of a parametric probe, those that are unknown; each C_nm with its azimuth"
    )
    free_cutoff: bool = Field(False, description="whether semiangle_cutoff is unknown too")
    parametric_rate: Positive = Field(
        0.5, description="learning rate of these in rad at the aperture's edge, of the cutoff in detector pixels"
    )
    source_size: NotNegative = Field(
        0.0, description="Å, standard deviation of a Gaussian source along each axis: the modes start as its own"
    )

    focal_spread: NotNegative = Field(
        0.0, description="Å, standard deviation of the defocus that electrons of different energy have"
    )
    focal_points: Annotated[int, Field(ge=2, le=MOST_NODES)] | Literal["auto"] = Field(
        AUTO,
        description="of the sum over it: a step costs so many times the modes; auto: as the spread, twice as large "
        "where it is refined, and semiangle_cutoff need",
    )
    fly: Pair = Field((0.0, 0.0), description="Å along (slow, fast) by which the beam moves during an exposure")
    fly_points: int = Field(5, ge=2, le=15, description="of the sum over that, likewise")

    @field_validator("aberrations")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in SYMMETRIES:
                raise ValueError(f"{name!r} is no coefficient.{nearest_name(name, SYMMETRIES)}")
        if not value:
            raise ValueError('expected at least one, such as ["C10"].')
        return value


def check_object(spec: ObjectSpec, dataset: Dataset4D) -> None:
    """Refuse an object that cannot be reconstructed from a scan.

    Args:
        spec: what is wanted.
        dataset: the scan.

    Raises:
        ConfigError: an unknown kind, slices without a distance or where only pixels are known, or so far apart or
            tilted so much that the beam leaves its window.
    """
    if spec.kind not in OBJECT_KINDS:
        raise ConfigError(f"object.kind: expected one of {', '.join(OBJECT_KINDS)}, found {spec.kind!r}.")
    if spec.slices > 1 and spec.thickness <= 0:
        raise ConfigError(f"object.slice_thickness: missing; {spec.slices} slices need the Å between them. Add it.")
    if spec.slices > 1 and dataset.calibration.length_unit == "px":
        raise ConfigError(
            "object.slices: expected 1 where lengths are known in pixels only. Give the calibration in Å."
        )
    if spec.slices > 1 and dataset.calibration.reciprocal_sampling is not None:
        _check_propagation(spec, dataset)


def _check_propagation(spec: ObjectSpec, dataset: Dataset4D) -> None:
    """Refuse a beam whose disk walks out of its window between two slices, and one that a tilt moves out of it.

    The window is periodic: what leaves it comes in at the other side and meets an object that it has not seen.
    """
    angle, deep = dataset.calibration.semiangle_cutoff or 0.0, (spec.slices - 1) * spec.thickness
    for axis, tilt, half in zip("yx", spec.tilt, _half_windows(dataset), strict=True):
        walk = _walk(angle) * _widest(spec)
        if walk > half:
            raise ConfigError(
                f"{_key(spec)}: {_widest(spec):.4g} Å, over which the disk's edge of {angle:.4g} mrad walks {walk:.3g} "
                f"Å, out of the window, which is {2 * half:.3g} Å wide along {axis}. Use at most "
                f"{half / _walk(angle):.3g} Å and more slices."
            )
        walk = _walk(tilt) * deep
        if walk > half:
            raise ConfigError(
                f"object.tilt: {tilt:.4g} mrad, by which the beam walks {walk:.3g} Å along {axis} through an object of "
                f"{deep:.4g} Å, out of its window, which is {2 * half:.3g} Å wide. Use at most "
                f"{1e3 * math.atan(half / deep):.3g} mrad, and check the unit."
            )


def doubts_of_propagation(spec: ObjectSpec, dataset: Dataset4D) -> tuple[str, ...]:
    """What is scattered so far that it leaves the window between two slices, though the disk does not.

    At the highest frequency k along an axis the kernel's phase turns by λ k Δz a frequency: by half a turn from one
    sample to the next, half a window, where it is no longer sampled.

    Args:
        spec: what is wanted.
        dataset: the scan.

    Returns:
        a sentence; none where nothing leaves.
    """
    if spec.slices == 1 or dataset.calibration.reciprocal_sampling is None:
        return ()
    wavelength, sampling = wavelength_of(dataset.calibration), sampling_of(dataset)
    limit = spec.band_limit / (2 * max(sampling)) if spec.band_limit else math.inf
    highest = [min(limit, 1 / (2 * pixel)) for pixel in sampling]
    most = [half / (wavelength * k) for half, k in zip(_half_windows(dataset), highest, strict=True)]
    if _widest(spec) <= min(most):
        return ()
    axis = most.index(min(most))
    return (
        f"over {_widest(spec):.4g} Å ({_key(spec)}) waves of {highest[axis]:.3g} Å⁻¹ walk out of the window, "
        f"{2 * _half_windows(dataset)[axis]:.3g} Å along {'yx'[axis]}, and come in at its other side: up to "
        f"{min(most):.3g} Å none do, or a smaller object.band_limit leaves them out",
    )


def _walk(angle: float) -> float:
    """How far a ray at an angle in mrad walks for each Å along the axis; without end where it does not go forward."""
    return abs(math.tan(1e-3 * angle)) if abs(angle) < 500 * math.pi else math.inf


def _half_windows(dataset: Dataset4D) -> tuple[float, float]:
    """Å from the middle of the window to its border along (y, x)."""
    y, x = (0.5 * n * pixel for n, pixel in zip(dataset.shape[-2:], sampling_of(dataset), strict=True))
    return y, x


def _widest(spec: ObjectSpec) -> float:
    """Å of the widest gap."""
    return max(spec.gaps or (spec.thickness,))


def _key(spec: ObjectSpec) -> str:
    return "object.slice_gaps" if spec.gaps else "object.slice_thickness"
