"""The list of stages that a configuration may give instead of a method."""

from __future__ import annotations

from typing import Literal

from jptycho.settings import Count, Field, Section, Table

HALF_SETS, PIXELS, NETWORKS, POLISH, ALL = "half sets", "pixels", "dgp", "polish", "all electrons"
POSITIONS = "positions"
"""Names of stages in a history, and what they do: the last repeats the one before with what was held out."""
KEPT = "kept"
"""What a checkpoint calls a progress that no stage is at work on."""


class StageConfig(Section):
    """``[[stages]]``: one after another, each from what the one before reached; instead of ``method``.

    The tables replace keys of the configuration for the stage, such as ``pixels = { object_rate = 0.01 }`` or
    ``refine = { position_rate = 0.05 }``: what is optimised, and with which rate.
    """

    method: Literal["pixels", "half_sets", "dgp", "positions"] = Field(
        "pixels",
        description="half_sets: pixels by each half of the electrons, filtered; dgp: networks that start there; "
        "positions: search for each pattern's, within refine.position_error",
    )
    epochs: Count | None = Field(None, description="times that every pattern is seen: 10; of positions 1")
    slices: Count | None = Field(None, description="of the object, at equal thickness in all; they merge and split")
    modes: int | None = Field(None, ge=1, le=12, description="of the probe; a later stage may have more")
    window: int | None = Field(
        None, ge=8, description="detector pixels along y and x: fewer coarsen the object's sampling, more refine it"
    )
    loss: str | None = Field(None, description="as for the run")
    pixels: Table = Field(default_factory=dict, description="keys of [pixels]")
    dgp: Table = Field(default_factory=dict, description="keys of [dgp]")
    refine: Table = Field(default_factory=dict, description="keys of [refine]")
    probe: Table = Field(default_factory=dict, description="keys of [probe]")
    penalties: Table = Field(default_factory=dict, description="keys of [penalties]")
    projections: Table = Field(default_factory=dict, description="keys of [projections]")
    validation: Table = Field(default_factory=dict, description="keys of [validation]; its share is that of the run")


def epochs_of(entry: StageConfig) -> int:
    """How often a stage of a list sees every pattern.

    Args:
        entry: of the list.

    Returns:
        what it says, or its method's default.

    Example:
        >>> epochs_of(StageConfig(method="positions")), epochs_of(StageConfig(method="pixels", epochs=3))
        (1, 3)
    """
    return entry.epochs or (1 if entry.method == POSITIONS else 10)
