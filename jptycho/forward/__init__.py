"""The physics of one diffraction pattern, as pure functions of one position."""
