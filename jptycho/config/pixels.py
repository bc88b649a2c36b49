"""The tables that say how the pixels are optimised: solver, rates, and what else is refined."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from jptycho.settings import Count, NotNegative, Positive, Section, Share

AUTO: Literal["auto"] = "auto"
GRADIENT = "gradient"
SolverName = Literal["gradient", "epie", "rpie", "mpie", "lsqml", "dm", "raar"]


class PreconditionerConfig(Section):
    """``[pixels.preconditioner]``: of the gradient: slow structure moves faster, by 1 + gain / (1 + (k / cutoff)²)."""

    gain: NotNegative | Literal["auto"] = Field(AUTO, description="for the whole field of view; 0 for none")
    cutoff: Positive | Literal["auto"] = Field(AUTO, description="Å⁻¹ below which that holds")


class PixelsConfig(Section):
    """``[pixels]``: the pixel reconstruction, which is also the start of the DGP."""

    solver: SolverName = Field("gradient", description="gradient, or a classical engine with its own table below")
    epochs: int = Field(20, ge=1, description="times that every pattern is seen")
    half_sets: bool | Literal["auto"] = Field(
        AUTO,
        description="reconstruct each half of the electrons and filter by what both have in common; auto: wherever the "
        "electrons can be divided, the solver is gradient and nothing is held out",
    )
    batch: Count | Literal["auto"] = Field(AUTO, description="patterns a step")
    object_rate: Positive | Literal["auto"] = Field(AUTO, description="gradient: learning rate in rad")
    probe_rate: Positive | Literal["auto"] = Field(
        AUTO, description="gradient: learning rate, relative to the probe's mean amplitude"
    )
    preconditioner: PreconditionerConfig = PreconditionerConfig.model_validate({})
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


class PIEConfig(Section):
    """``[pie]``: ePIE, rPIE and momentum PIE; one pattern a step (pixels.batch = 1) is the published engine."""

    object_step: Positive = Field(1.0, description="of a full correction")
    probe_step: Positive = Field(0.1, description="likewise")
    alpha: float = Field(0.2, gt=0, le=1, description="rPIE and mPIE: weight of max |P|² against |P|²")
    momentum: float = Field(0.5, gt=0, lt=1, description="mPIE: what is kept of the velocity")
    period: Count = Field(20, description="mPIE: steps between momentum steps")


class LSQMLConfig(Section):
    """``[lsqml]``: least-squares maximum likelihood."""

    damping: Positive = Field(0.1, description="of the illumination's inverse, relative to its largest")
    beta: float = Field(0.9, gt=0, le=1, description="share of the least-squares step that is taken")
    compact: bool = Field(False, description="batches of neighbours instead of random ones")


class DifferenceMapConfig(Section):
    """``[difference_map]``: difference map and RAAR, all patterns at once."""

    beta: float = Field(0.7, gt=0, le=1, description="relaxation; 1 is the textbook's, which noise keeps from settling")
    passes: Count = Field(1, description="alternations of object and probe in the overlap projection")


class ValidationConfig(Section):
    """``[validation]``: judge every epoch by electrons that the reconstruction does not see, and keep the best."""

    fraction: Share | Literal["auto"] = Field(
        AUTO,
        description="share of the electrons, or of the detector's pixels where those are not counted, that judges; "
        "auto: 0.1 for the DGP, and for pixels where electrons cannot be divided into half sets; else 0 (no judging)",
    )
    patience: Count = Field(5, description="epochs without improvement after which a stage ends")
    all_electrons: bool = Field(
        True, description="repeat the last stage of pixels with all electrons, for as many epochs as were best"
    )


class RefineConfig(Section):
    """``[refine]``: what else is unknown; gradient only."""

    position_rate: NotNegative = Field(0.0, description="learning rate of the positions in pixels; 0 keeps them")
    tilt: Literal["none", "global", "local"] = Field("none", description="one tilt for all positions, or one for each")
    tilt_rate: Positive = Field(0.1, description="learning rate of the tilt in mrad")
