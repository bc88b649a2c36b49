"""Specimens made of atoms, and the scans that a microscope would record of them."""
