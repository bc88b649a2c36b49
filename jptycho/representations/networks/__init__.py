"""Untrained networks of Flax, what they see, and their pre-training."""

from jptycho.representations.networks.base import Network
from jptycho.representations.networks.pretraining import Generator, Pretraining, pretrain
from jptycho.representations.networks.unet import PARITY, UNetSpec

__all__ = ["PARITY", "Generator", "Network", "Pretraining", "UNetSpec", "pretrain"]
