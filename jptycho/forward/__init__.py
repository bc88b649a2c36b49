"""The physics of one diffraction pattern, as pure functions of one position."""

from jptycho.forward.detector import detect, far_field, modulus_constraint
from jptycho.forward.effects import AddBackground, ScaleFlux
from jptycho.forward.fields import DetectorEffect, Fields, Noise, ScanFields, Setup
from jptycho.forward.model import predict, predict_batch
from jptycho.forward.multislice import transmit
from jptycho.forward.patches import crop, fourier_shift

__all__ = [
    "AddBackground",
    "DetectorEffect",
    "Fields",
    "Noise",
    "ScaleFlux",
    "ScanFields",
    "Setup",
    "crop",
    "detect",
    "far_field",
    "fourier_shift",
    "modulus_constraint",
    "predict",
    "predict_batch",
    "transmit",
]
