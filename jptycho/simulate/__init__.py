"""Specimens made of atoms, and the scans that a microscope would record of them."""

from jptycho.simulate.acquire import Acquisition, Recording, record_gold
from jptycho.simulate.imperfect import Imperfections, ImperfectScan, simulate_imperfect
from jptycho.simulate.scan import GoldSettings, simulate_gold
from jptycho.simulate.specimens import amorphous_carbon, gold_on_carbon, gold_particle

__all__ = [
    "Acquisition",
    "GoldSettings",
    "ImperfectScan",
    "Imperfections",
    "Recording",
    "amorphous_carbon",
    "gold_on_carbon",
    "gold_particle",
    "record_gold",
    "simulate_gold",
    "simulate_imperfect",
]
