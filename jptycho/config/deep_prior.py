"""The table that says how the deep generative priors are built, pre-trained and optimised."""

from __future__ import annotations

from typing import Literal

from jptycho.representations.generated import GeneratedObject
from jptycho.representations.networks.pretraining import Pretraining
from jptycho.representations.networks.unet import UNetSpec
from jptycho.settings import AUTO, Count, CountOrNone, Field, NotNegative, Positive, Section

Unknown = Literal["network", "pixels"]


class DGPConfig(Section):
    """``[dgp]``: the deep generative priors."""

    object: Unknown = Field("network", description="what stands for the object")
    probe: Unknown | Literal["auto"] = Field(
        AUTO, description="what stands for the probe; auto: a network where it is noisy, pixels at high dose"
    )
    epochs: int = Field(24, ge=1, description="times that every pattern is seen, unless it stops by itself before")
    start: Literal["pixels", "dpc", "parallax", "ssb", "wdd", "random"] = Field(
        "pixels",
        description="estimate to pre-train on: some epochs of pixels; dpc: differential phase contrast; "
        "parallax: images of a defocused bright disk, aligned; ssb: single side-band; wdd: Wigner distribution "
        "deconvolution, both as fine as the scan's steps resolve; random: none",
    )
    start_epochs: int = Field(12, ge=0, description="epochs of the pixel reconstructions that give the estimate")
    start_file: str | None = Field(None, description="a result to start from instead, of this package or another")
    half_sets: bool = Field(
        True, description="whether each half of the electrons validates what the network makes of the other's estimate"
    )
    ensemble_size: Count | Literal["auto"] = Field(
        AUTO, description="networks of different seeds and half sets; mean and spread are kept; auto: 2 at low dose"
    )
    steps: int = Field(4, ge=1, description="optimiser steps an epoch")
    micro_batch: int = Field(128, ge=1, description="patterns whose gradients are computed at once")
    object_rate: Positive = Field(2e-3, description="learning rate of the object's network")
    probe_rate: Positive = Field(3e-4, description="learning rate of the probe's network; of pixels ten times that")
    polish_epochs: CountOrNone = Field(5, description="of plain pixels that follow, for what no network found; 0: none")
    polish_rate: Positive = Field(0.1, description="their learning rates, in those of the pixels")
    warm_up: int = Field(10, ge=0, description="steps over which the rates rise from zero")
    ema_decay: float = Field(0.9, ge=0, lt=1, description="weight of the past in the running mean of the object")
    architecture: Literal["unet", "depth", "decoder"] = Field(
        "unet", description="of the object: unet: slices are channels; depth: an axis of their own; decoder: no encoder"
    )
    levels: int = Field(UNetSpec.levels, ge=1, le=5, description="poolings of the object's network")
    base_channels: int = Field(UNetSpec.base_channels, ge=1, description="channels of the networks' first level")
    skips: bool = Field(UNetSpec.skips, description="whether the encoder's levels are handed to the decoder")
    norm: bool = Field(UNetSpec.norm, description="whether channels are normalised over the image")
    precision: Literal["float32", "bfloat16"] = Field(UNetSpec.precision, description="of the networks' arithmetic")
    residual: bool | Literal["auto"] = Field(
        AUTO,
        description="whether the object's network adds to the estimate; auto: where it loses more of it than is noise",
    )
    random_input: bool = Field(
        GeneratedObject.random_input, description="whether the object's network sees fixed noise for the estimate"
    )
    augment: bool = Field(
        GeneratedObject.augmented,
        description="whether the object's network sees its estimate shifted, mirrored and transposed at random",
    )
    preconditioned: bool = Field(False, description="whether the object passes through the pixels' preconditioner")
    probe_levels: int = Field(2, ge=1, le=5, description="poolings of the probe's U-Net")
    upsampling: Literal["nearest", "transposed"] = Field(
        UNetSpec.upsampling, description="transposed: as in the reference"
    )
    probe_complex: bool = Field(
        UNetSpec.complex_valued, description="complex convolutions for the probe, as in the reference"
    )
    input_noise: NotNegative | Literal["auto"] = Field(
        AUTO,
        description="of the input, in its standard deviations; auto: 0.1, without half sets more at low dose",
    )
    probe_input_noise: float = Field(0.025, ge=0, description="likewise for the probe")
    pretrain_steps: int = Field(Pretraining.steps, ge=0, description="at most, for the object's network")
    pretrain_rate: Positive = Field(Pretraining.rate, description="learning rate")
    pretrain_tolerance: Positive = Field(
        Pretraining.tolerance, description="relative error at which pre-training stops"
    )
    probe_pretrain_steps: int = Field(160, ge=1, description="at most, for the probe's: smaller, less noisy")
    probe_pretrain_tolerance: Positive = Field(0.05, description="likewise")
