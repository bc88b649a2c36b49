"""Electron ptychography in JAX, with pixels or deep generative priors."""
