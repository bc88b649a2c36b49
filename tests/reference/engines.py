"""The classical engines in slow NumPy, pattern by pattern, written from the papers' equations."""

import numpy as np

from .physics import dft2, idft2, shifted


def window(position, shape):
    """First row and column of the window, and the probe's shift into it."""
    half = np.array([shape[0] // 2, shape[1] // 2])
    whole = np.round(position).astype(int)
    return whole - half, position - whole + half


def corrected(waves, measured):
    """Replace the modulus of the far field of all modes together, keep the phases."""
    far = np.stack([dft2(w) for w in waves])
    predicted = (np.abs(far) ** 2).sum(0)
    return np.stack([idft2(f * np.sqrt(measured / predicted)) for f in far])


def through(obj, probe, shift, corner, kernel):
    """Waves that meet each slice, (slices, modes, y, x), patches and exit waves."""
    ny, nx = probe.shape[1:]
    patches = obj[:, corner[0] : corner[0] + ny, corner[1] : corner[1] + nx]
    waves, before = np.stack([shifted(m, shift) for m in probe]), []
    for s, patch in enumerate(patches):
        before.append(waves)
        waves = waves * patch
        if s < len(patches) - 1:
            waves = np.stack([idft2(dft2(w) * kernel) for w in waves])
    return np.stack(before), patches, waves


def back(chi, before, patches, kernel):
    """Adjoint of the derivative: object numerators Σ_m P* χ of each slice, and the probe's O* χ."""
    numerators = []
    for s in range(len(patches) - 1, -1, -1):
        numerators.append((before[s].conj() * chi).sum(0))
        chi = patches[s].conj() * chi
        if s > 0:
            chi = np.stack([idft2(dft2(c) * kernel.conj()) for c in chi])
    return np.stack(numerators[::-1]), chi


def pie(obj, probe, positions, patterns, order, kernel, settings):
    """rPIE; alpha = 1 is ePIE; momentum > 0 is mPIE. Maiden, Johnson & Li (2017), table 1 and momentum step."""
    obj, probe = obj.copy(), probe.copy()
    last, velocity = (obj.copy(), probe.copy()), (np.zeros_like(obj), np.zeros_like(probe))
    a = settings["alpha"]
    for count, j in enumerate(order, start=1):
        corner, shift = window(positions[j], probe.shape[1:])
        before, patches, leave = through(obj, probe, shift, corner, kernel)
        numerators, to_probe = back(corrected(leave, patterns[j]) - leave, before, patches, kernel)
        seen = (np.abs(before) ** 2).sum(1)
        power = np.prod(np.abs(patches) ** 2, axis=0)
        ny, nx = probe.shape[1:]
        for s in range(len(obj)):
            step = settings["object_step"] * numerators[s] / ((1 - a) * seen[s] + a * seen[s].max())
            obj[s, corner[0] : corner[0] + ny, corner[1] : corner[1] + nx] += step
        step = settings["probe_step"] * to_probe / ((1 - a) * power + a * power.max())
        probe += np.stack([shifted(m, -shift) for m in step])
        if settings["momentum"] and count % settings["period"] == 0:
            eta = settings["momentum"]
            velocity = tuple(eta * v + now - old for v, now, old in zip(velocity, (obj, probe), last, strict=True))
            obj, probe = (now + eta * v for now, v in zip((obj, probe), velocity, strict=True))
            last = (obj.copy(), probe.copy())
    return obj, probe


def lsqml(obj, probe, positions, patterns, batches, settings):
    """One slice: Odstrčil, Menzel & Guizar-Sicairos (2018), eq. 22, 24, 25 and 27."""
    obj, probe = obj.copy(), probe.copy()
    ny, nx = probe.shape[1:]
    delta, beta = settings["damping"], settings["beta"]
    for batch in batches:
        top, seen = np.zeros(obj.shape[1:], complex), np.zeros(obj.shape[1:])
        to_probe, power = np.zeros_like(probe), np.zeros((ny, nx))
        views = []
        for j in batch:
            corner, shift = window(positions[j], (ny, nx))
            before, patches, leave = through(obj, probe, shift, corner, None)
            chi = corrected(leave, patterns[j]) - leave
            here = (slice(corner[0], corner[0] + ny), slice(corner[1], corner[1] + nx))
            top[here] += (before[0].conj() * chi).sum(0)
            seen[here] += (np.abs(before[0]) ** 2).sum(0)
            to_probe += np.stack([shifted(c, -shift) for c in patches[0].conj() * chi])
            power += np.roll(np.abs(patches[0]) ** 2, np.round(-shift).astype(int), (0, 1))
            views.append((here, shift, before[0], patches[0], chi))
        damped = seen + delta * seen.max()
        d_obj, d_probe = top / damped, to_probe / (power + delta * power.max())
        mean_u = (np.abs(d_obj) ** 2 * seen).sum() / len(batch)
        mean_w = (np.abs(d_probe) ** 2 * power).sum() / len(batch)
        weighted, alphas = np.zeros(obj.shape[1:]), []
        for here, shift, waves, patch, chi in views:
            u = d_obj[here] * waves
            w = np.stack([shifted(m, shift) for m in d_probe]) * patch
            matrix = np.array(
                [
                    [(np.abs(u) ** 2).sum() + 0.1 * mean_u, (u * w.conj()).sum().real],
                    [(u * w.conj()).sum().real, (np.abs(w) ** 2).sum() + 0.1 * mean_w],
                ]
            )
            right = np.array([(u.conj() * chi).sum().real, (w.conj() * chi).sum().real])
            alpha = np.maximum(np.linalg.solve(matrix, right), 0)
            weighted[here] += alpha[0] * (np.abs(waves) ** 2).sum(0)
            alphas.append(alpha[1])
        obj[0] += beta * d_obj * weighted / damped
        probe = probe + beta * d_probe * np.mean(alphas)
    return obj, probe


def sets(obj, probe, positions, patterns, iterations, settings):
    """Difference map (a, b, c) = (-1, 1, 2) or RAAR (1 - 2β, β, 2), written as their papers write them."""
    ny, nx = probe.shape[1:]
    views = [window(p, (ny, nx)) for p in positions]

    def product(obj, probe):
        return [through(obj, probe, shift, corner, None)[2] for corner, shift in views]

    waves = product(obj, probe)
    for _ in range(iterations):
        overlap = product(obj, probe)
        fourier = [corrected(2 * o - w, p) for o, w, p in zip(overlap, waves, patterns, strict=True)]
        if settings["name"] == "dm":
            waves = [w + f - o for w, f, o in zip(waves, fourier, overlap, strict=True)]
        else:
            b = settings["beta"]
            # β/2 (R_F R_O + I) + (1 - β) P_O, with R = 2 P - 1
            waves = [
                b / 2 * ((2 * f - (2 * o - w)) + w) + (1 - b) * o
                for w, f, o in zip(waves, fourier, overlap, strict=True)
            ]
        top, bottom = np.zeros(obj.shape[1:], complex), np.zeros(obj.shape[1:])
        for (corner, shift), wave in zip(views, waves, strict=True):
            here = (slice(corner[0], corner[0] + ny), slice(corner[1], corner[1] + nx))
            local = np.stack([shifted(m, shift) for m in probe])
            top[here] += (local.conj() * wave).sum(0)
            bottom[here] += (np.abs(local) ** 2).sum(0)
        floor = settings["damping"] * bottom.max()
        obj = ((top + floor * obj[0]) / (bottom + floor))[None]
        to_probe, power = np.zeros_like(probe), np.zeros((ny, nx))
        for (corner, shift), wave in zip(views, waves, strict=True):
            patch = obj[0, corner[0] : corner[0] + ny, corner[1] : corner[1] + nx]
            to_probe += np.stack([shifted(m, -shift) for m in patch.conj() * wave])
            power += np.roll(np.abs(patch) ** 2, np.round(-shift).astype(int), (0, 1))
        floor = settings["damping"] * power.max()
        probe = (to_probe + floor * probe) / (power + floor)
    return obj, probe
