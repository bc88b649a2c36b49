"""What is to be reconstructed: the object's kind and slices, the probe's modes; their tables, and what cannot be."""

from __future__ import annotations

import dataclasses
from typing import Literal

from jptycho.data.dataset import Dataset4D
from jptycho.errors import ConfigError, nearest_name
from jptycho.optics.aberrations import SYMMETRIES
from jptycho.representations.base import OBJECT_KINDS, PHASE
from jptycho.settings import Field, NotNegative, Pair, Positive, Section, field_validator


@dataclasses.dataclass(frozen=True)
class ObjectSpec:
    """What the object is to be.

    Attributes:
        kind: one of ``OBJECT_KINDS``.
        slices: how many.
        thickness: Å between slices.
        tilt: mrad towards (y, x).
        band_limit: of the propagation, a fraction of Nyquist, or None.
    """

    kind: str = PHASE
    slices: int = 1
    thickness: float = 0.0
    tilt: tuple[float, float] = (0.0, 0.0)
    band_limit: float | None = None


class ObjectSettings(Section):
    """``[object]``: what is reconstructed."""

    kind: Literal["phase", "potential", "complex"] = Field(
        PHASE, description="phase; potential: phase that is never negative; complex: phase and absorption"
    )
    slices: int = Field(ObjectSpec.slices, ge=1, description="slices of the object")
    slice_thickness: Positive | None = Field(None, description="Å between slices; needed for more than one")
    band_limit: float | None = Field(
        ObjectSpec.band_limit, gt=0, le=1, description="of the propagation, as a fraction of Nyquist"
    )
    tilt: Pair = Field(ObjectSpec.tilt, description="mrad: slice by slice the beam walks along y and x")

    def spec(self) -> ObjectSpec:
        """What :func:`jptycho.prepare` takes."""
        return ObjectSpec(self.kind, self.slices, self.slice_thickness or 0.0, self.tilt, self.band_limit)


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
    focal_points: int = Field(5, ge=2, le=15, description="of the sum over it: a step costs so many times the modes")
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
        ConfigError: an unknown kind, slices without a distance, or slices where only pixels are known.
    """
    if spec.kind not in OBJECT_KINDS:
        raise ConfigError(f"object.kind: expected one of {', '.join(OBJECT_KINDS)}, found {spec.kind!r}.")
    if spec.slices > 1 and spec.thickness <= 0:
        raise ConfigError(f"object.slice_thickness: missing; {spec.slices} slices need the Å between them. Add it.")
    if spec.slices > 1 and dataset.calibration.length_unit == "px":
        raise ConfigError(
            "object.slices: expected 1 where lengths are known in pixels only. Give the calibration in Å."
        )
