"""Slow NumPy, written from the formulas and sharing no code with the package."""

import numpy as np


def dft_matrix(n):
    i = np.arange(n)
    return np.exp(-2j * np.pi * np.outer(i, i) / n) / np.sqrt(n)


def dft2(image):
    return dft_matrix(image.shape[0]) @ image @ dft_matrix(image.shape[1])


def idft2(image):
    return dft_matrix(image.shape[0]).conj() @ image @ dft_matrix(image.shape[1]).conj()


def frequency(i, n, d):
    """Frequency of index i of n samples of spacing d."""
    return (i if i < (n + 1) // 2 else i - n) / (n * d)


def wavelength(energy):
    """Å, from the relativistic momentum p c = sqrt(E² + 2 E m c²) in eV."""
    return 12398.419843320026 / np.sqrt(energy**2 + 2 * energy * 510998.95069)


def chi(alpha, phi, lam, coefficients):
    total = 0.0
    for name, value in coefficients.items():
        if name.startswith("C"):
            n, m = int(name[1]), int(name[2])
            total += value * alpha ** (n + 1) / (n + 1) * np.cos(m * (phi - coefficients.get(f"phi{n}{m}", 0.0)))
    return 2 * np.pi / lam * total


def probe(shape, sampling, lam, cutoff_mrad, coefficients):
    spectrum = np.zeros(shape, complex)
    for i in range(shape[0]):
        for j in range(shape[1]):
            ky, kx = frequency(i, shape[0], sampling[0]), frequency(j, shape[1], sampling[1])
            alpha, phi = lam * np.hypot(ky, kx), np.arctan2(ky, kx)
            wy, wx = lam / (shape[0] * sampling[0]), lam / (shape[1] * sampling[1])
            width = np.sqrt((wy * np.sin(phi)) ** 2 + (wx * np.cos(phi)) ** 2)
            aperture = min(max((cutoff_mrad * 1e-3 - alpha) / width + 0.5, 0.0), 1.0)
            spectrum[i, j] = aperture * np.exp(-1j * chi(alpha, phi, lam, coefficients))
    wave = idft2(spectrum)
    return wave / np.sqrt((np.abs(wave) ** 2).sum())


def fresnel(shape, sampling, lam, distance, tilt_mrad=(0.0, 0.0), band_limit=None):
    kernel = np.zeros(shape, complex)
    for i in range(shape[0]):
        for j in range(shape[1]):
            ky, kx = frequency(i, shape[0], sampling[0]), frequency(j, shape[1], sampling[1])
            walk = ky * np.tan(tilt_mrad[0] * 1e-3) + kx * np.tan(tilt_mrad[1] * 1e-3)
            kernel[i, j] = np.exp(-1j * np.pi * lam * distance * (kx**2 + ky**2) - 2j * np.pi * distance * walk)
            if band_limit is not None and np.hypot(ky, kx) > band_limit / (2 * max(sampling)):
                kernel[i, j] = 0
    return kernel


def shifted(wave, shift):
    spectrum = dft2(wave)
    for i in range(wave.shape[0]):
        for j in range(wave.shape[1]):
            ky, kx = frequency(i, wave.shape[0], 1.0), frequency(j, wave.shape[1], 1.0)
            spectrum[i, j] *= np.exp(-2j * np.pi * (ky * shift[0] + kx * shift[1]))
    return idft2(spectrum)


def pattern(objects, probes, position, kernel):
    """Far-field intensity; the probe's centre at [0, 0], the window's centre at n // 2, zero frequency at [0, 0]."""
    ny, nx = probes.shape[1:]
    whole = np.round(position).astype(int)
    total = np.zeros((ny, nx))
    for mode in probes:
        wave = shifted(mode, position - whole + np.array([ny // 2, nx // 2]))
        for s, transmission in enumerate(objects):
            for i in range(ny):
                for j in range(nx):
                    wave[i, j] *= transmission[whole[0] - ny // 2 + i, whole[1] - nx // 2 + j]
            if s < len(objects) - 1:
                wave = idft2(dft2(wave) * kernel)
        total += np.abs(dft2(wave)) ** 2
    return total
