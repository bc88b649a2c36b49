"""The tables that say how the pixels are optimised: solver, rates, and what else is refined."""

from __future__ import annotations

from typing import Literal

from jptycho.representations.pixels import PreconditionerSettings
from jptycho.settings import AUTO, Count, Field, Positive, Section

GRADIENT = "gradient"
SolverName = Literal["gradient", "epie", "rpie", "mpie", "lsqml", "dm", "raar"]


class PixelsConfig(Section):
    """``[pixels]``: the pixel reconstruction, which is also the start of the DGP."""

    solver: SolverName = Field("gradient", description="gradient, or a classical engine with its own table below")
    epochs: int = Field(20, ge=1, description="times that every pattern is seen")
    half_sets: bool | Literal["auto"] = Field(
        AUTO,
        description="reconstruct each half of the electrons and filter by what both have in common; auto: wherever the "
        "electrons can be divided, the solver is gradient and nothing is held out",
    )
    start_file: str | None = Field(
        None,
        description="a result to go on from, of this package, PtyRAD, phaser, py4DSTEM, quantem or PtychoShelves; "
        "without half sets, for it has seen all electrons",
    )
    batch: Count | Literal["auto"] = Field(AUTO, description="patterns a step")
    micro_batch: int = Field(
        0,
        ge=0,
        description="patterns of a step that a device works on at once; 0: what is fast and fits",
    )
    object_rate: Positive | Literal["auto"] = Field(AUTO, description="gradient: learning rate in rad")
    probe_rate: Positive | Literal["auto"] = Field(
        AUTO, description="gradient: learning rate, relative to the probe's mean amplitude"
    )
    preconditioner: PreconditionerSettings = PreconditionerSettings.model_validate({})
    coverage_weighting: bool = Field(
        True, description="gradient: smaller steps where few electrons fall, at the border"
    )
    optimiser: str = Field("adam", description="gradient: any of Optax by name; lbfgs takes all patterns in one step")
    optimiser_options: dict[str, int | float | bool] = Field(
        default_factory=dict, description="its arguments besides the rate"
    )
    schedule: Literal["cosine", "constant", "plateau"] = Field(
        "cosine", description="of the rates: to a tenth over the run; kept; halved where the loss stays for 3 epochs"
    )
