"""What a search may change: names, ranges, and what is searched where no range is given."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from jptycho.config.run import Config, with_changes
from jptycho.data.dataset import Dataset4D, wavelength_of
from jptycho.errors import ConfigError, nearest_name
from jptycho.preprocess.nominal_probe import without_empty
from jptycho.settings import Table

FOCAL_DEPTHS = 2.0
"""Range of the defocus by default, on each side, in λ / α², where that is more than half the defocus."""
DEGREES, MODES, CUTOFF = 5.0, 4, 0.05
"""By default: of rotation on each side; modes at most; share of the semiangle on each side."""


@dataclasses.dataclass(frozen=True)
class Key:
    """A setting that can be searched over.

    Attributes:
        unit: of its numbers.
        least: smallest that makes sense.
        most: largest.
        whole: whether only whole numbers are.
        positive: whether the smallest is left out.
        widest: difference of high and low at most.
    """

    unit: str
    least: float = -math.inf
    most: float = math.inf
    whole: bool = False
    positive: bool = False
    widest: float = math.inf


KEYS: Mapping[str, Key] = {
    "defocus": Key("Å"),
    "rotation": Key("degrees", -360.0, 360.0, widest=360.0),
    "thickness": Key("Å", 0.0, positive=True),
    "semiangle_cutoff": Key("mrad", 0.0, positive=True),
    "modes": Key("", 1.0, 12.0, whole=True),
}
"""What can be searched over: of ``[data]``, the thickness of the whole object, and ``modes`` of ``[probe]``."""
CALIBRATED = ("defocus", "rotation", "semiangle_cutoff")
"""Keys that say how the scan was recorded."""


@dataclasses.dataclass(frozen=True)
class Range:
    """Values of a setting that are tried.

    Attributes:
        name: of :data:`KEYS`.
        low: smallest, included.
        high: largest, included.
    """

    name: str
    low: float
    high: float

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are tried."""
        return KEYS[self.name].whole

    def __str__(self) -> str:
        """In words."""
        return f"{self.name} from {self.low:.6g} to {self.high:.6g} {KEYS[self.name].unit}".rstrip()


def parse_ranges(words: Sequence[str]) -> dict[str, tuple[float, float] | None]:
    """What ``--over`` says.

    Args:
        words: each ``NAME`` or ``NAME=LOW:HIGH``.

    Returns:
        low and high by name; None where a range is to be chosen.

    Raises:
        ConfigError: another form, or a name that is given twice.

    Example:
        >>> parse_ranges(["defocus=150:250", "rotation=-5:5", "modes"])
        {'defocus': (150.0, 250.0), 'rotation': (-5.0, 5.0), 'modes': None}
    """
    found: dict[str, tuple[float, float] | None] = {}
    for word in words:
        name, given, values = word.partition("=")
        if name in found:
            raise ConfigError(f"--over: {name} is given twice. Give one range.")
        found[name] = _pair_of(name, values) if given else None
    return found


def _pair_of(name: str, values: str) -> tuple[float, float]:
    low, _, high = values.partition(":")
    try:
        return float(low), float(high)
    except ValueError:
        raise ConfigError(f"--over: expected {name}=LOW:HIGH, found {name}={values}. Give two numbers.") from None


def check_ranges(over: Mapping[str, tuple[float, float] | None]) -> None:
    """Refuse names that are unknown and ranges that make no sense, before a file is read.

    Args:
        over: low and high by name; None for what is to be chosen.

    Raises:
        ConfigError: which, and what was expected.

    Example:
        >>> check_ranges({"defocus": (300.0, 100.0)})
        Traceback (most recent call last):
        jptycho.errors.ConfigError: defocus: from 300 to 100 holds nothing. Give the smaller number first.
    """
    if not over:
        raise ConfigError(f"over: nothing to search. Name one or more of {', '.join(KEYS)}.")
    for name, pair in over.items():
        if name not in KEYS:
            raise ConfigError(f"{name}: cannot be searched over.{nearest_name(name, KEYS)}")
        if pair is not None:
            _check(KEYS[name], name, *pair)


def _check(key: Key, name: str, low: float, high: float) -> None:
    said = f"{name}: from {low:g} to {high:g}"
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ConfigError(f"{said}; expected finite numbers. Give two.")
    if low > high:
        raise ConfigError(f"{said} holds nothing. Give the smaller number first.")
    if low == high:
        raise ConfigError(f"{said} is one value, so there is nothing to search. Set it in the configuration.")
    if low < key.least or high > key.most or (key.positive and low <= key.least):
        bounds = f"above {key.least:g}" if key.positive else f"between {key.least:g} and {key.most:g}"
        raise ConfigError(f"{said}; expected {f'{key.unit} {bounds}'.strip()}. Correct the range.")
    if high - low > key.widest:
        raise ConfigError(f"{said} is more than {key.widest:g} {key.unit}. Narrow it.")
    if key.whole and not (low.is_integer() and high.is_integer()):
        raise ConfigError(f"{said}; expected whole numbers. Correct the range.")


def given_values(config: Config, dataset: Dataset4D, names: Sequence[str]) -> dict[str, float]:
    """What settings and scan say of what is searched over.

    Args:
        config: of the run.
        dataset: the scan.
        names: of :data:`KEYS`.

    Returns:
        value by name.
    """
    every = {
        "defocus": dataset.calibration.defocus,
        "rotation": dataset.calibration.rotation,
        "semiangle_cutoff": dataset.calibration.semiangle_cutoff or 0.0,
        "thickness": (config.object.slice_thickness or 0.0) * config.object.slices,
        "modes": float(config.probe.modes),
    }
    return {name: float(every[name]) for name in names}


def choose_ranges(
    over: Mapping[str, tuple[float, float] | None], config: Config, dataset: Dataset4D
) -> tuple[Range, ...]:
    """The ranges of a search; where none is given, one about what is known.

    The defocus lies within half of itself, or two depths of focus λ / α² where that is more; the rotation within five
    degrees, which a calibration by hand reaches; the thickness between half and twice what is said; the semiangle
    within 5 %.

    Args:
        over: low and high by name; None for what is to be chosen.
        config: of the run.
        dataset: the scan.

    Returns:
        them in the order of :data:`KEYS`.

    Raises:
        ConfigError: something that this scan or these settings do not have.
    """
    _check_there(over, config, dataset)
    given, found = given_values(config, dataset, list(over)), []
    for name in KEYS:
        if name in over:
            low, high = over[name] or _chosen(name, given[name], dataset)
            found.append(Range(name, low, high))
            check_ranges({name: (low, high)})
    return tuple(found)


def _chosen(name: str, given: float, dataset: Dataset4D) -> tuple[float, float]:
    """A range about what is known."""
    if name == "modes":
        least = float(_least_modes(dataset))
        return least if given < MODES else given, max(float(MODES), given + 1.0, least + 1.0)
    if name == "thickness":
        return 0.5 * given, 2.0 * given
    reach = {"rotation": DEGREES, "semiangle_cutoff": CUTOFF * given}
    if name == "defocus":
        angle = 1e-3 * (dataset.calibration.semiangle_cutoff or math.inf)
        reach[name] = max(0.5 * abs(given), FOCAL_DEPTHS * wavelength_of(dataset.calibration) / angle**2)
    return given - reach[name], given + reach[name]


def _least_modes(dataset: Dataset4D) -> int:
    """As many as the probe has that a scan brings."""
    return 1 if dataset.probe is None else len(without_empty(dataset.probe))


def _check_there(over: Mapping[str, tuple[float, float] | None], config: Config, dataset: Dataset4D) -> None:
    """Refuse to search over what nothing depends on."""
    if "thickness" in over:
        if config.object.slices == 1:
            raise ConfigError(
                "thickness: has no effect on one slice. Leave it out, or set object.slices and object.slice_thickness."
            )
        if config.object.slice_gaps:
            raise ConfigError("thickness: object.slice_gaps says each distance. Use object.slice_thickness instead.")
    optics = [name for name in ("defocus", "semiangle_cutoff") if name in over]
    if optics and dataset.probe is not None:
        raise ConfigError(
            f"{optics[0]}: has no effect, for data.probe is what a run begins with. Leave one of them out."
        )
    least, asked = _least_modes(dataset), over.get("modes")
    if asked is not None and asked[0] < least:
        raise ConfigError(f"modes: from {asked[0]:g}, but data.probe has {least}. Begin with at least that many.")
    if dataset.calibration.length_unit != "px":
        return
    lengths = [name for name in ("defocus", "thickness") if name in over]
    if lengths:
        raise ConfigError(f"{lengths[0]}: lengths are known in pixels only. Give the calibration in Å.")
    if "rotation" in over and dataset.part[:2] != (0, 0):
        # Pixels of another size along rows than along columns: positions were turned before they were scaled.
        raise ConfigError(
            "rotation: positions in pixels were turned already when a part of the detector was taken. Leave out "
            "data.crop for the search, or give the positions in Å."
        )


def with_values(config: Config, dataset: Dataset4D, values: Mapping[str, float]) -> tuple[Config, Dataset4D]:
    """Settings and scan with other values of what is searched over.

    Args:
        config: of the run.
        dataset: the scan.
        values: by name.

    Returns:
        both.
    """
    changes: Table = {}
    if "thickness" in values:
        changes["object"] = {"slice_thickness": values["thickness"] / config.object.slices}
    if "modes" in values:
        changes["probe"] = {"modes": int(values["modes"])}
    calibrated = {name: float(values[name]) for name in CALIBRATED if name in values}
    calibration = dataclasses.replace(dataset.calibration, **calibrated)  # pyright: ignore[reportArgumentType]
    return with_changes(config, changes), dataclasses.replace(dataset, calibration=calibration)
