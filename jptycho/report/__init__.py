"""Figures and a self-contained page of a result."""
