"""Reads damaged files of every format and counts what comes of it; a process of its own, for one may end by a signal.

``python -m tests.data.readers.mutate FOLDER COUNT SEED [FORMAT ...]`` prints JSON: how many files of each format were
read, how many refused by name, and what else was raised.
"""

import functools
import json
import random
import sys
import traceback
import tracemalloc
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

import jptycho
from jptycho.data.counts import load_counts
from jptycho.data.other_results import read_start
from jptycho.data.results import read_result
from jptycho.errors import JptychoError

from ..other_results.packages import PACKAGES, made
from . import test_empad_g2
from .samples import SAMPLES, Sample, result


def words(path: Path, layout: str = "linear") -> np.ndarray:
    """Words of an EMPAD-G2, its calibration and its frames without beam."""
    found, _ = test_empad_g2.write(path.parent, layout, dark_frames=4)
    return found


WORDS = {"gain_file": "gains.h5", "dark_file": "dark.raw"}
EMPADS = {
    "EMPAD-G2": Sample("scan_x3_y2.raw", words),
    "EMPAD-G2 circuits last": Sample("scan_x3_y2.raw", functools.partial(words, layout="circuits last")),
}
PARTS = {"jptycho, a part": SAMPLES["jptycho"]}
"""Scans of which a part of the detector is read, with the probe that they bring."""
STARTS = {
    f"start {name}": Sample(file, lambda path, write=write: write(path, made()))
    for name, (file, write) in PACKAGES.items()
}
ALL = {**SAMPLES, **EMPADS, **PARTS, "result": Sample("a.h5", result), **STARTS}
SPARE = 24 * 2**20
"""Bytes that reading takes whatever the file, such as for buffers and for what is imported on the way."""


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Flip bits, overwrite bytes, clear a range, put one range in another's place, or cut the end off."""
    damaged, size = bytearray(data), len(data)
    # Structures stand at the beginning of most files.
    where = chance.randrange(min(size, 4096) if chance.random() < 0.6 else size)
    length = chance.choice((1, 2, 4, 8, 64, 512))
    kind = chance.randrange(6)
    if kind == 0:
        damaged[where] ^= 1 << chance.randrange(8)
    elif kind == 1:
        damaged[where : where + length] = chance.randbytes(length)[: size - where]
    elif kind == 2:
        damaged[where : where + length] = bytes(min(length, size - where))
    elif kind == 3:
        damaged[where : where + length] = b"\xff" * min(length, size - where)
    elif kind == 4:
        source = chance.randrange(size)
        damaged[where : where + length] = data[source : source + length]
    else:
        del damaged[where:]
    return bytes(damaged)


def read(path: Path, name: str) -> None:
    """Everything that a run reads."""
    if name == "result":
        read_result(path)
        return
    if name in STARTS:
        read_start(path)
        return
    files = {key: str(path.with_name(file)) for key, file in WORDS.items()} if name in EMPADS else {}
    noise = {"read_noise": 0.1} if files else {}
    part = {"crop": (4, 8)} if name in PARTS else {}
    load_counts(jptycho.open_dataset(path, **files, **noise, **part))


def attempt(path: Path, name: str, size: int) -> str:
    """What comes of a file."""
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    try:
        read(path, name)
        outcome = "read"
    except JptychoError as error:
        outcome = "refused" if "\n" not in str(error) else f"not one line: {error}"
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        outcome = f"{type(error).__name__}: {str(error)[:100]} ({last.filename.rpartition('/')[2]}:{last.lineno})"
    peak = tracemalloc.get_traced_memory()[1] - before
    return outcome if peak <= 2 * size + SPARE else f"took {peak} bytes for a file of {size}"


def main() -> None:
    """Damage every file of each format's sample in turn."""
    folder, count, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    found: dict[str, Counter[str]] = {}
    warnings.simplefilter("ignore")
    for name in sys.argv[4:] or ALL:
        sample, place = ALL[name], folder / name.replace(" ", "_")
        place.mkdir(parents=True)
        sample.write(place / sample.name)
        whole = {path: path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}
        read(place / sample.name, name)  # imports what it needs
        found[name] = Counter()
        tracemalloc.start()
        for number in range(count):
            chance = random.Random(f"{name} {seed} {number}")
            victim = chance.choice(list(whole))
            victim.write_bytes(mutate(whole[victim], chance))
            (folder / "now").write_text(f"{name} {seed} {number} {victim}")
            found[name][attempt(place / sample.name, name, sum(map(len, whole.values())))] += 1
            victim.write_bytes(whole[victim])
        tracemalloc.stop()
        (folder / "found.json").write_text(json.dumps(found))
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
