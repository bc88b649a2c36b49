"""A result as a notebook shows it: one line, or a small page with the phase and what was done."""

from __future__ import annotations

import base64
import html
import math
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from jptycho.types import Float, Shaped

if TYPE_CHECKING:
    from jptycho.data.results import Result

WIDEST = 512  # pixels of the picture
BAR_SHARE = 0.25  # of the picture's width that a scale bar takes at most
QUANTILES = 0.001, 0.999


def result_in_words(result: Result) -> str:
    """A result in one line.

    Args:
        result: of a reconstruction.

    Returns:
        what was done, how large it is, and how it ended.
    """
    said = result.attributes
    slices, rows, columns = result.phase.shape
    losses = list(result.history.get("loss", []))
    loss = f", loss {losses[-1]:.5g}" if losses else ""
    kind = "phase" if result.absorption is None else "phase and absorption"
    return (
        f"Result({said.get('method', '?')}, {said.get('status', '?')}: {kind} of {slices} slice{_s(slices)} of "
        f"{rows} x {columns} pixels of {_sampling(result)[0]:.4g} {said.get('length_unit', 'px')}, "
        f"{len(result.probe)} mode{_s(len(result.probe))}, {len(losses)} epoch{_s(len(losses))}{loss}"
        f"{''.join(f'; {found}' for found in found_in_words(result))})"
    )


def found_in_words(result: Result) -> list[str]:
    """What else a run found: each further unknown with its unit, of several values mean and standard deviation.

    Args:
        result: of a reconstruction.

    Returns:
        words for each; none where there is nothing else.
    """
    said = []
    for name, value in (result.extra | result.shared).items():
        if value.dtype.kind != "f":
            continue
        spread = f" ± {value.std():.2g}" if value.std() else ""
        said.append(f"{name} {value.mean():.4g}{spread} {result.units.get(name, '')}".rstrip())
    return said


def result_as_html(result: Result) -> str:
    """The projected phase within the scanned field with a scale bar, and a table of what was done.

    Args:
        result: of a reconstruction.

    Returns:
        HTML that needs nothing else.
    """
    picture, length = phase_picture(result)
    unit = str(result.attributes.get("length_unit", "px"))
    low, high = _limits(_field(result))
    rows = "".join(
        f'<tr><td style="text-align:left">{html.escape(name)}</td>'
        f'<td style="text-align:left">{html.escape(text)}</td></tr>'
        for name, text in _table(result)
    )
    source = base64.b64encode(picture).decode()
    return (
        '<div style="display:flex;flex-wrap:wrap;gap:1em;align-items:flex-start">'
        f'<figure style="margin:0"><img alt="phase" style="max-width:24em;width:100%;image-rendering:pixelated" '
        f'src="data:image/png;base64,{source}">'
        f"<figcaption>phase, {low:.3g} to {high:.3g} rad; bar {length:g} {html.escape(unit)}</figcaption></figure>"
        f"<table>{rows}</table></div>"
    )


def phase_picture(result: Result) -> tuple[bytes, float]:
    """The projected phase in grey with a scale bar, pixels as wide as they are high.

    Args:
        result: of a reconstruction.

    Returns:
        a PNG, and the length of the bar in the result's unit.
    """
    field, (along_y, along_x) = _field(result), _sampling(result)
    low, high = _limits(field)
    grey = np.clip(255 * (field - low) / (high - low), 0, 255).astype(np.uint8)
    finest = max(min(along_y, along_x), max(field.shape[0] * along_y, field.shape[1] * along_x) / WIDEST)
    rows, columns = (
        np.minimum((np.arange(max(1, round(n * s / finest))) + 0.5) * finest / s, n - 1).astype(int)
        for n, s in zip(field.shape, (along_y, along_x), strict=True)
    )
    grey = grey[np.ix_(rows, columns)]
    longest = BAR_SHARE * grey.shape[1] * finest
    power = 10.0 ** math.floor(math.log10(longest))
    length = max(m * power for m in (1, 2, 5) if m * power <= longest * (1 + 1e-9))
    thick = max(1, len(grey) // 60)
    top, left, wide = max(0, len(grey) - 4 * thick), 2 * thick, max(1, round(length / finest))
    grey[top - 1 : top + thick + 1, left - 1 : left + wide + 1] = 0
    grey[top : top + thick, left : left + wide] = 255
    return grey_png(grey), length


def grey_png(image: Shaped[np.ndarray, "y x"]) -> bytes:
    """An image of bytes as a PNG file.

    Args:
        image: (y, x), uint8.

    Returns:
        the file.

    Source:
        PNG specification, third edition (W3C, 2025): 8-bit grey, no filter.

    Example:
        >>> grey_png(np.zeros((2, 3), np.uint8))[:8] == bytes([137, 80, 78, 71, 13, 10, 26, 10])
        True
    """
    rows, columns = image.shape
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), image.astype(np.uint8)], axis=1).tobytes()

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def _field(result: Result) -> Float[np.ndarray, "y x"]:
    """Projected phase within the scanned field; all of it where that is empty."""
    top, bottom, left, right = result.field_of_view
    projected = result.phase.sum(axis=0)
    inner = projected[top:bottom, left:right]
    return np.nan_to_num(inner if inner.size else projected)


def _limits(field: Float[np.ndarray, "y x"]) -> tuple[float, float]:
    low, high = (float(v) for v in np.quantile(field, QUANTILES))
    return (low, high) if high > low else (low, low + 1.0)


def _sampling(result: Result) -> tuple[float, float]:
    along_y, along_x = result.attributes.get("sampling", (1.0, 1.0))
    return float(along_y), float(along_x)


def _table(result: Result) -> list[tuple[str, str]]:
    said, history = result.attributes, result.history
    unit, sampling = said.get("length_unit", "px"), _sampling(result)
    slices, rows, columns = result.phase.shape
    stages = list(dict.fromkeys(str(s) for s in history.get("stage", ())))
    last = [(name, history[name][-1]) for name in ("loss", "amplitude_error", "seconds") if len(history.get(name, ()))]
    lines = [
        ("method", f"{said.get('method', '?')}, {said.get('status', '?')}"),
        ("object", f"{said.get('kind', 'phase')}, {slices} slice{_s(slices)} of {rows} x {columns} pixels"),
        ("pixel", f"{sampling[0]:.4g} x {sampling[1]:.4g} {unit}"),
        ("probe", f"{len(result.probe)} mode{_s(len(result.probe))}"),
        ("patterns", str(len(result.positions))),
        ("epochs", f"{len(history.get('epoch', ()))} ({', '.join(stages)})" if stages else "none"),
        *((name.replace("_", " "), f"{value:.5g}") for name, value in last),
    ]
    return lines + [("", line) for line in str(said.get("objective", "")).splitlines()]


def _s(count: int) -> str:
    return "" if count == 1 else "s"
