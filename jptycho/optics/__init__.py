"""Electron optics: wavelength, aberrations, aperture, probe formation, propagation."""
