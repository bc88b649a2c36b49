"""The table that says what an automatic run may try, and for how long."""

from __future__ import annotations

from typing import Literal

from jptycho.settings import Count, Field, Positive, Section


class AutomaticConfig(Section):
    """``[automatic]``: of ``method = "auto"``, what may be tried, and for how long."""

    minutes: Positive | None = Field(None, description="that the run may take; none: as long as it needs")
    networks: bool = Field(True, description="whether the deep generative priors are tried")
    max_slices: Count = Field(
        4,
        description="of an object whose thickness is known: object.slices times object.slice_thickness; "
        "1, 2, 4, ... are tried",
    )
    max_modes: int = Field(3, ge=1, le=12, description="of the probe; tried from probe.modes upwards")
    unknowns: tuple[Literal["positions", "tilt"], ...] = Field(
        (), description="of [refine], that are tried too: positions, and the tilt of several slices"
    )
    significance: Positive = Field(
        3.0, description="standard errors by which held-out electrons must be predicted better to keep what is tried"
    )
