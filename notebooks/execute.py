"""Run every notebook from its first to its last cell; what is written back is only its outputs, with --write."""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import nbformat
from nbclient import NotebookClient

TIMEOUT = 1200  # seconds of a cell
AT_ONCE = 2  # most of a notebook is compilation, on one core


def main() -> None:
    """Execute all notebooks of this folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="keep the outputs in the files; one after the other")
    write = parser.parse_args().write
    paths = sorted(Path(__file__).parent.glob("*.ipynb"))
    with ThreadPoolExecutor(1 if write else AT_ONCE) as pool:
        for path, seconds in zip(paths, pool.map(partial(execute, write=write), paths), strict=True):
            print(f"{path.name}: {seconds:.0f} s", flush=True)


def execute(path: Path, write: bool) -> float:
    """Run one notebook and say how many seconds it took."""
    started = time.perf_counter()
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=TIMEOUT, kernel_name="python3", resources=resources).execute()
    if write:
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)
        nbformat.write(notebook, path)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
