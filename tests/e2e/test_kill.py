"""A run that is killed at random times, and the same command until it ends: the result of the run that was left alone.

``JPTYCHO_KILLS`` says how many of each signal; one process after another, so that it takes minutes.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from jptycho.data.readers.jptycho_scan import write_scan

KILLS = int(os.environ.get("JPTYCHO_KILLS", "3"))
LONGEST = 600.0  # seconds that a run may take on a busy machine
RUN = """
method = "dgp"
[data]
file = "{scan}"
[dgp]
epochs = 3
base_channels = 4
levels = 1
probe_levels = 1
probe = "network"
start_epochs = 3
pretrain_steps = 25
probe_pretrain_steps = 15
steps = 2
polish_epochs = 3
residual = false
ensemble_size = 1
[memory]
stream = {stream}
chunk = 0.15
[output]
file = "result.h5"
report = false
overwrite = true
checkpoint_minutes = 0.0
"""


def begin(folder: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "jptycho.cli", "reconstruct", str(folder / "run.toml")]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with (folder / "said").open("ab") as out:
        return subprocess.Popen(words, env=environment, stdout=out, stderr=subprocess.STDOUT, cwd=folder)


def arrays(path: Path) -> dict[str, np.ndarray]:
    """Every array of a result but for its clock."""
    found: dict[str, np.ndarray] = {}

    def keep(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset) and "seconds" not in name:
            found[name] = np.asarray(node[()])

    with h5py.File(path) as file:
        assert file.attrs["status"] == "done"
        file.visititems(keep)
    return found


@pytest.fixture(scope="module", params=["false", "true"], ids=["resident", "streamed"])
def unbroken(request: pytest.FixtureRequest, small_scan, tmp_path_factory: pytest.TempPathFactory):
    """A run that is left alone: its folder, its result and the seconds that it took."""
    folder = tmp_path_factory.mktemp("unbroken")
    write_scan(folder / "scan.h5", small_scan)
    (folder / "run.toml").write_text(RUN.format(scan=folder / "scan.h5", stream=request.param))
    for _ in range(2):  # the first one compiles
        begun = time.monotonic()
        assert begin(folder).wait(LONGEST) == 0, (folder / "said").read_text()
    return folder, arrays(folder / "result.h5"), time.monotonic() - begun


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("attempt", range(KILLS))
def test_a_run_that_is_killed_ends_as_if_it_had_not_been(unbroken, tmp_path, number, attempt):
    folder, expected, seconds = unbroken
    (tmp_path / "run.toml").write_text((folder / "run.toml").read_text())
    draw, killed = random.Random(f"{number} {attempt}"), 0
    for _ in range(20):
        process = begin(tmp_path)
        if killed < 2:  # twice, then to the end
            try:
                process.wait(draw.uniform(0.2, 1.0) * seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(number)
                killed += 1
        code = process.wait(LONGEST)
        said = (tmp_path / "said").read_text()
        assert code in (0, 130, -number), said
        assert "Traceback" not in said
        if code == 0 and "interrupted" not in said.splitlines()[-1]:
            break
    found = arrays(tmp_path / "result.h5")
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=f"{name}, killed {killed} times")
    assert not list(tmp_path.glob("*.checkpoint*"))
