"""What an inspection means, in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Literal

import numpy as np

from jptycho.data.detector_window import stored_pixels
from jptycho.diagnostics.cost import Cost
from jptycho.diagnostics.inspection import Electrons, Inspection
from jptycho.preprocess.memory import MemoryNeed, in_bytes

SPREADS = 0.15  # correlation of neighbouring pixels, above which an electron's charge spreads
DIFFERS, DIFFERS_PIXELS = 0.04, 0.7  # of the disk's radius, by which data and calibration may differ
ANOTHER_UNIT = 1.5  # times that they differ where a unit is wrong
FAR = 1.0  # radii of the disk, by which it may lie away from the middle
LOW_DOSE = 0.5  # electrons a detector pixel, below which priors help
GOOD_OVERLAP = 0.6
SHORT_REACH = 1.2  # semiangles that the detector spans, below which there is hardly a dark field
DISK_SHARE = 0.6  # of the detector, above which a bright region is no disk
UNITS = {
    "energy": "eV",
    "semiangle_cutoff": "mrad",
    "reciprocal_sampling": "Å⁻¹ a detector pixel",
    "step": "Å",
    "scan_shape": "slow and fast steps",
    "probe": "the name of its array",
}


@dataclasses.dataclass(frozen=True)
class Finding:
    """A sentence of a verdict.

    Attributes:
        kind: ``"wrong"`` stops a run, ``"missing"`` must be given first, ``"doubt"`` wants a look, ``"good"`` does not.
        text: the sentence.
    """

    kind: Literal["wrong", "missing", "doubt", "good"]
    text: str


def verdict(found: Inspection) -> tuple[Finding, ...]:
    """What an inspection means: what is wrong or missing, what is doubtful, what is as it should be, and the sum of it.

    Args:
        found: by the inspection.

    Returns:
        findings; the last one sums up.
    """
    findings = [
        *([Finding("wrong", found.refusal)] if found.refusal else []),
        *_missing(found),
        *(Finding("doubt", text) for text in found.improbable),
        *_on_counts(found),
        *_on_disk(found),
        *_on_geometry(found),
        *_on_cost(found),
    ]
    return (*findings, _sum(findings))


def _sum(findings: list[Finding]) -> Finding:
    kinds = [finding.kind for finding in findings]
    doubts = kinds.count("doubt")
    if "wrong" in kinds:
        return Finding("wrong", "This scan cannot be reconstructed as it stands.")
    if "missing" in kinds:
        return Finding("missing", "This scan can be reconstructed once what is missing is given.")
    if doubts:
        return Finding("doubt", f"This scan can be reconstructed; look at {doubts} point{'s' if doubts > 1 else ''}.")
    return Finding("good", "This scan can be reconstructed: nothing speaks against it.")


def _missing(found: Inspection) -> Iterator[Finding]:
    for name in found.missing:
        advice = f" ({_divisors(found.shape[0])})" if name == "scan_shape" else ""
        yield Finding("missing", f"data.{name} is not known: give --{name.replace('_', '-')}, {UNITS[name]}{advice}.")


def _divisors(count: int) -> str:
    """Rectangles of so many patterns that are nearest to a square."""
    slow = [n for n in range(1, int(np.sqrt(count)) + 1) if count % n == 0][-2:]
    shapes = [f"{n} x {count // n}" for n in reversed(slow) if n > 1]
    if not shapes:
        return f"no rectangle holds {count}: is the scan complete, or are there positions?"
    return f"{count} patterns: {' or '.join(shapes)}?"


def _on_counts(found: Inspection) -> Iterator[Finding]:
    counts, electrons = found.counts, found.electrons
    if electrons is None:
        return
    if found.dtype.kind in "ui" and counts.largest >= np.iinfo(found.dtype).max > 1:
        yield Finding(
            "doubt", f"counts reach {counts.largest:g}, all that {found.dtype} holds: pixels may be saturated."
        )
    dark = float((counts.totals == 0).mean())
    if dark > 0:
        yield Finding("doubt", f"{dark:.1%} of the patterns hold no count at all.")
    for places, what in ((found.dead, "dead"), (found.hot, "hot")):
        if len(places):
            stored = stored_pixels(found.part, places)
            yield Finding("doubt", f"{_some(stored)} {what}: name them in data.bad_pixels, or give a mask (data.mask).")
    yield from _on_electrons(electrons)


def _some(places: list[tuple[int, int]]) -> str:
    shown = ", ".join(f"({y}, {x})" for y, x in places[:4])
    more = ", ..." if len(places) > 4 else ""
    return f"{len(places)} detector pixel{'s' if len(places) > 1 else ''} (row, column) {shown}{more} " + (
        "are" if len(places) > 1 else "is"
    )


def _on_electrons(electrons: Electrons) -> Iterator[Finding]:
    told = electrons.gain is not None
    if electrons.source == "unclear" or (electrons.source != "given" and not told):
        yield Finding("doubt", "it cannot be told whether counts are electrons: give data.counts_per_electron.")
    elif electrons.source == "estimated":
        yield Finding(
            "doubt",
            f"a count is no electron: each leaves about {electrons.counts_per_electron:.3g} counts, by their variance. "
            "Set data.counts_per_electron to what the detector is known for.",
        )
    elif electrons.counts_per_electron == 1:
        yield Finding("good", "a count is an electron.")
    near, far = electrons.correlation or 0.0, electrons.far_correlation or 0.0
    if near > SPREADS and abs(far) < SPREADS / 3:
        yield Finding(
            "doubt",
            f"the noise of neighbouring detector pixels is alike by {near:.0%}: an electron's charge "
            "spreads over several, and counts say less than as many electrons would.",
        )
    if electrons.per_pixel < LOW_DOSE:
        yield Finding(
            "good", f'{electrons.per_pixel:.2g} electrons a detector pixel are few: try method = "dgp" beside pixels.'
        )


def _on_disk(found: Inspection) -> Iterator[Finding]:
    geometry, radius, disk = found.geometry, found.disk_radius, found.counts.disk
    if found.electrons is None or not radius:
        return
    offset = float(np.hypot(*found.disk_centre))
    if offset > max(FAR * radius, 2.0):
        yield Finding(
            "doubt",
            f"the brightest region lies {offset:.0f} detector pixels from the detector's middle: expected zero "
            "frequency in the centre, axes (slow, fast, y, x).",
        )
    elif disk.mean() > DISK_SHARE:
        yield Finding(
            "doubt", "the mean pattern is about equally bright everywhere: are the axes (slow, fast, y, x), scan first?"
        )
    elif geometry is not None:
        yield from _on_radius(radius, float(np.sqrt(np.prod(geometry.disk_radius))), found.calibration.semiangle_cutoff)


def _on_radius(seen: float, nominal: float, angle: float | None) -> Iterator[Finding]:
    ratio = seen / nominal
    text = (
        f"the bright disk has a radius of {seen:.1f} detector pixels, and semiangle_cutoff and reciprocal_sampling say "
        f"{nominal:.1f}"
    )
    if max(ratio, 1 / ratio) > ANOTHER_UNIT:
        yield Finding("doubt", f"{text}: is one of them in another unit (mrad, Å⁻¹ a pixel)?")
    elif abs(seen - nominal) > max(DIFFERS * nominal, DIFFERS_PIXELS):
        yield Finding("doubt", f"{text}: semiangle_cutoff may be {ratio * float(angle or 0):.3g} mrad.")
    else:
        yield Finding("good", f"{text}.")


def _on_geometry(found: Inspection) -> Iterator[Finding]:
    geometry = found.geometry
    if geometry is None or found.refusal:
        return
    if geometry.overlap >= GOOD_OVERLAP:
        yield Finding(
            "good",
            f"neighbouring probes share {geometry.overlap:.0%} of their width, each place is seen by "
            f"{geometry.visits:.3g} of them: enough to tell object and probe apart.",
        )
    if geometry.reach < SHORT_REACH:
        yield Finding(
            "doubt",
            f"the detector ends at {geometry.reach:.2f} semiangles: without a dark field there is no detail finer than "
            "the microscope itself resolves.",
        )


def _on_cost(found: Inspection) -> Iterator[Finding]:
    cost = found.cost
    if cost is None:
        return
    halves = "set pixels.half_sets = false, " if cost.run.half_sets else ""
    yield _memory_finding(cost, "a run of pixels", cost.need, cost.streamed, (cost.held, cost.fits), halves)
    own = cost.networks
    smaller = "fewer base_channels, " if own.need.host > cost.need.host else ""
    yield _memory_finding(
        cost, 'a run of networks (method = "dgp")', own.need, own.streamed, (own.held, own.fits), smaller
    )


def _memory_finding(
    cost: Cost, what: str, need: MemoryNeed, streamed: MemoryNeed, holds: tuple[bool, bool], otherwise: str
) -> Finding:
    """Whether memory holds a run: with all patterns, reading them in every epoch, or not at all."""
    held, fits = holds
    free = in_bytes(cost.host.available)
    if held:
        return Finding("good", f"{what} takes about {in_bytes(need.host)} of memory and fits this machine.")
    if fits:
        return Finding(
            "good",
            f"{what} with all patterns in memory takes about {in_bytes(need.host)}, and {free} are free: it reads them "
            f"in every epoch, more slowly, takes about {in_bytes(streamed.host)} and fits.",
        )
    return Finding(
        "doubt",
        f"{what} takes about {in_bytes(streamed.host)} of memory even where it reads the patterns in every epoch, and "
        f"{free} are free: {otherwise}crop the scan or bin the detector's pixels.",
    )
