"""The probe to start from: that of the file, or the calibrated aperture and aberrations."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jptycho.data.dataset import Dataset4D, wavelength_of
from jptycho.errors import ConfigError, FormatError
from jptycho.forward.patches import shift_ramp
from jptycho.optics.probe import form_probe, incoherent_modes
from jptycho.optics.source import source_modes
from jptycho.preprocess.object_spec import ObjectSpec
from jptycho.types import Array, Complex, Float, Grid, Number

LEAST_MODE = 1e-9  # of the strongest mode's power: a weaker one is empty


def nominal_probe(
    dataset: Dataset4D, grid: Grid, spec: ObjectSpec, centre: tuple[float, float], modes: int, source_size: float = 0.0
) -> Complex[Array, "modes y x"]:
    """The probe to start from: the file's, or the calibrated aperture and aberrations.

    The defocus is that of the object's middle; the probe is wanted where the beam meets the first slice.

    Args:
        dataset: the scan.
        grid: window of the probe.
        spec: the object.
        centre: of the disk, detector pixels from the zero frequency.
        modes: how many.
        source_size: Å, of which the modes of a single given one are made; 0 for weak ones.

    Returns:
        modes of unit intensity in total, centre at [0, 0].
    """
    calibration = dataset.calibration
    if dataset.probe is None:
        entrance = calibration.defocus + 0.5 * (spec.slices - 1) * spec.thickness
        aberrations = {**dict(calibration.aberrations), "C10": -entrance}
        cutoff, wavelength = float(calibration.semiangle_cutoff or 0), wavelength_of(calibration)
        first = _calibrated_probe(grid, wavelength, cutoff, aberrations, jnp.asarray(centre, jnp.float32))
    else:
        given = without_empty(np.fft.ifftshift(dataset.probe, axes=(-2, -1)))
        first = jnp.asarray(given / np.linalg.norm(given), jnp.result_type(1j))
    if modes < first.shape[0]:
        raise ConfigError(f"probe.modes: {modes}, but data.probe has {first.shape[0]}. Ask for at least that many.")
    if source_size and first.shape[0] == 1:
        return source_modes(first[0], source_size, grid.sampling, modes)
    return first if modes == first.shape[0] else incoherent_modes(first, modes)


@jax.jit
def _calibrated_probe(
    grid: Grid, wavelength: Number, cutoff: Number, aberrations: dict[str, Number], centre: Float[Array, "2"]
) -> Complex[Array, "1 y x"]:
    """Aperture and aberrations, in one program; the disk's centre in detector pixels."""
    # The disk's centre is a ramp of the probe and not another aperture: between pixels their edges would differ.
    probe = form_probe(grid, wavelength, cutoff, aberrations)
    return (probe * shift_ramp(grid.shape, -centre).astype(probe.dtype))[None]


def without_empty(modes: Complex[np.ndarray, "modes y x"]) -> Complex[np.ndarray, "some y x"]:
    """The modes that hold anything: an empty one has no gradient and would stay empty.

    Args:
        modes: of a given probe.

    Returns:
        those of them.

    Raises:
        FormatError: none does.
    """
    power = np.sum(np.abs(modes) ** 2, axis=(1, 2))
    if not np.isfinite(power).all() or power.max(initial=0.0) <= 0:
        raise FormatError("data.probe: holds no finite number but zero. Name the array of the probe's amplitude.")
    return modes[power > LEAST_MODE * power.max()]
