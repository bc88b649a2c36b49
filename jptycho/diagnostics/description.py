"""An inspection as a list of what and how much, for a person to read."""

from __future__ import annotations

from collections.abc import Iterator

from jptycho.diagnostics.cost import Cost
from jptycho.diagnostics.inspection import Inspection
from jptycho.preprocess.memory import MemoryNeed, in_bytes


def describe(found: Inspection) -> Iterator[tuple[str, str]]:
    """What was found, in lines of a name and a text.

    Args:
        found: by the inspection.

    Returns:
        lines.
    """
    counts, electrons = found.counts, found.electrons
    shape, window = (" x ".join(str(n) for n in part) for part in (found.shape[:-2], found.shape[-2:]))
    yield "scan", f"{shape} patterns of {window} detector pixels, {found.dtype}"
    part = "all" if len(counts.rows) == counts.patterns else f"{len(counts.rows)}, spread evenly,"
    yield "sampled", f"{part} of {counts.patterns} patterns; neighbours from the middle for noise"
    yield (
        "counts per pattern",
        f"mean {counts.totals.mean():.5g}, from {counts.totals.min():.5g} to {counts.totals.max():.5g}",
    )
    yield "counts per pixel", f"from {counts.smallest:.5g} to {counts.largest:.5g}"
    yield "detector pixels", f"{len(found.dead)} dead, {len(found.hot)} hot"
    if electrons is not None:
        yield from _electrons(found)
        y, x = found.disk_centre
        yield "bright disk", f"radius {found.disk_radius:.1f} px, centre ({y:+.1f}, {x:+.1f}) px from the middle"
    yield from _geometry(found)
    yield from _cost(found)


def _electrons(found: Inspection) -> Iterator[tuple[str, str]]:
    electrons = found.electrons
    if electrons is None:
        return
    source = {
        "given": "given",
        "seen": "all counts are its multiples" + ("" if electrons.gain is None else " and vary as electrons do"),
        "estimated": "assumed" if electrons.gain is None else "estimated from the counts' variance",
        "unclear": "assumed",
    }[electrons.source]
    yield "counts per electron", f"{electrons.counts_per_electron:.3g} ({source})"
    if electrons.gain is not None:
        error = "" if electrons.gain_error is None else f" ± {electrons.gain_error:.2g}"
        yield "variance / mean", f"{electrons.gain:.3g}{error} counts, the slope over detector pixels"
    if electrons.correlation is not None:
        far = electrons.far_correlation or 0.0
        yield (
            "neighbouring pixels",
            f"their changes are alike by {electrons.correlation:.0%}, four pixels apart {far:.0%}",
        )
    dose = "" if electrons.dose is None else f"; dose {electrons.dose:.3g} e/Å²"
    yield "electrons", f"{electrons.per_pattern:.4g} per pattern, {electrons.per_pixel:.3g} per detector pixel{dose}"


def _geometry(found: Inspection) -> Iterator[tuple[str, str]]:
    geometry = found.geometry
    if geometry is None:
        return
    sampling = " x ".join(f"{s:.4g}" for s in dict.fromkeys(geometry.sampling))
    finest = 2 * max(geometry.sampling)
    yield "object pixel", f"{sampling} Å: nothing finer than {finest:.3g} Å can be seen; canvas {geometry.canvas}"
    yield "detector", f"reaches {geometry.reach:.2f} semiangles; the disk should have {geometry.disk_radius[0]:.1f} px"
    yield (
        "probe",
        f"{geometry.probe_diameter:.3g} Å wide at {found.calibration.defocus:g} Å defocus, in a window of "
        f"{geometry.window[0]:.3g} x {geometry.window[1]:.3g} Å",
    )
    known = found.calibration
    yield (
        "orientation",
        f"rotation {known.rotation:g} degrees, transpose {str(known.transpose).lower()}; where nothing says them, they "
        "and the defocus are 0: `jptycho calibrate` finds them",
    )
    seen = f"each place is seen by {geometry.visits:.3g} probes"
    yield "overlap", f"{geometry.overlap:.0%} at a step of {geometry.step:.3g} Å; {seen}"
    yield "field of view", f"{geometry.field_of_view[0]:.4g} x {geometry.field_of_view[1]:.4g} Å"


def _cost(found: Inspection) -> Iterator[tuple[str, str]]:
    cost = found.cost
    if cost is None:
        return
    halves = ", two half sets" if cost.run.half_sets else ""
    waves = (
        f"{cost.run.slices} slice{'s' if cost.run.slices > 1 else ''}, {cost.run.modes} "
        f"mode{'s' if cost.run.modes > 1 else ''}{halves}"
    )
    yield (
        "a run of pixels",
        f"{_memory(cost, cost.need, cost.streamed, cost.held)}; about {_time(cost.seconds)} for {cost.run.epochs} "
        f"epochs on one device ({cost.device}; {waves})",
    )
    networks = cost.networks
    members = "one network" if networks.shape.members == 1 else f"{networks.shape.members} networks"
    yield (
        "a run of networks",
        f"{_memory(cost, networks.need, networks.streamed, networks.held)}; about {_time(networks.seconds)} for "
        f"{networks.shape.epochs} epochs of {members}, with the pixels before and after",
    )


def _memory(cost: Cost, need: MemoryNeed, streamed: MemoryNeed, held: bool) -> str:
    """Bytes that it takes, of those that there are."""
    free = f"of {in_bytes(cost.host.available)} that are free"
    text = f"about {in_bytes(need.host)} {free}"
    if not held:
        text += f", {in_bytes(streamed.host)} where patterns are read in every epoch"
    if cost.device_memory is not None:
        text += f", on the device {in_bytes((need if held else streamed).device)} of {in_bytes(cost.device_memory)}"
    return text


def _time(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds > 2 * length:
            return f"{seconds / length:.2g} {unit}"
    return f"{seconds:.2g} s"
