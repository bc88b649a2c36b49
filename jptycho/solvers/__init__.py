"""Solvers: compiled epochs, and the loop that runs them."""
