"""The table that says where a scan is and how it was recorded: the options of ``open_dataset``."""

from __future__ import annotations

from typing import Literal

from jptycho.errors import nearest_name
from jptycho.optics.aberrations import COEFFICIENTS
from jptycho.settings import Count, CountOrNone, Field, NotNegative, Positive, PositivePair, Section, field_validator


class DataSettings(Section):
    """``[data]``: where the patterns are and how they were recorded. What a jptycho file states may be left out."""

    file: str = Field(description="of any format that is known; a relative path starts at the TOML file")
    counts: str | None = Field(None, description="name of the patterns in the file: (slow, fast, y, x) or (scan, y, x)")
    scan_shape: tuple[Count, Count] | None = Field(None, description="slow and fast steps, where the file does not say")
    axes: str | None = Field(
        None, description="order of the patterns' axes in the file: s slow, f fast or n number, y, x; else sfyx or nyx"
    )
    shape: tuple[Count, ...] | None = Field(
        None, description="of the patterns in a plain binary file of another format, with dtype"
    )
    dtype: str | None = Field(None, description="type of one value in such a file: uint16, >u2, float32, ...")
    offset: CountOrNone | None = Field(None, description="bytes before the patterns in such a file")

    @field_validator("axes")
    @classmethod
    def _orders(cls, value: str | None) -> str | None:
        if value is not None and sorted(value) not in (sorted("sfyx"), sorted("nyx")):
            raise ValueError(f"{value!r} is no order of the letters sfyx or nyx. An example is 'yxn'.")
        return value

    energy: Positive | None = Field(None, description="eV")
    semiangle_cutoff: Positive | None = Field(None, description="mrad")
    defocus: float | None = Field(None, description="Å at the middle of the object, positive for underfocus")
    aberrations: dict[str, float] = Field(
        default_factory=dict, description="C_nm in Å and phi_nm in rad, besides the defocus"
    )

    @field_validator("aberrations")
    @classmethod
    def _known(cls, value: dict[str, float]) -> dict[str, float]:
        for name in value:
            if name not in COEFFICIENTS or name == "C10":
                hint = " Use data.defocus." if name == "C10" else nearest_name(name, COEFFICIENTS)
                raise ValueError(f"{name!r} is no coefficient here.{hint}")
        return value

    step: PositivePair | None = Field(None, description="Å between positions, or two numbers for slow and fast")
    reciprocal_sampling: PositivePair | None = Field(None, description="Å⁻¹ a detector pixel, or two numbers")
    angular_sampling: PositivePair | None = Field(
        None, description="mrad a detector pixel, instead of reciprocal_sampling"
    )
    rotation: float | None = Field(
        None, description="degrees: detector (row, column) = R(rotation) (slow, fast), R = [[cos, -sin], [sin, cos]]"
    )
    transpose: bool | None = Field(None, description="whether detector rows run along the fast scan axis")
    counts_per_electron: Positive | None = Field(
        None,
        description="counts that one electron leaves; by default the smallest count if all are its multiples",
    )
    read_noise: NotNegative | None = Field(
        None,
        description="electrons: standard deviation of a stored pixel's read-out; 0 for a counting detector",
    )
    positions: str | None = Field(
        None, description="name of an array (scan, 2) along slow and fast axis, turned by rotation; instead of step"
    )
    positions_unit: Literal["A", "px"] = Field(
        "A", description="of that array; px: pixels of the object as the whole detector samples it, of unknown size"
    )
    mask: str | None = Field(None, description="name of an array (y, x): weight of each detector pixel, 0 for dead")
    mask_file: str | None = Field(
        None, description="of any format, that holds the mask instead; mask names its array where there are several"
    )
    gain_file: str | None = Field(None, description="HDF5: the sensor's calibration, for words of an EMPAD-G2")
    dark_file: str | None = Field(None, description="its frames without beam")
    bad_pixels: list[tuple[CountOrNone, CountOrNone]] | None = Field(
        None,
        description="[row, column] of hot and dead pixels, counted from 0 before crop and bin but after axes, as "
        "calibrate prints them; left out beside the mask's",
    )
    crop: tuple[Count, Count] | None = Field(None, description="rows and columns about the detector's middle that stay")
    bin: Count | None = Field(None, description="pixels along the side of squares that are added up, after the crop")
    lattice: Positive | None = Field(
        None, description="Å: a spacing of the specimen's lattice, by which calibrate finds the scale of step"
    )
    probe: str | None = Field(
        None, description="name of a complex array (y, x) or (modes, y, x), on the whole detector, to start from"
    )
