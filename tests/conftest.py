"""Two CPU devices, annotations executed, double precision on request, data from outside where there are any.

Most of the tests' time is compilation: what one test, worker or child process compiled, the others read.
"""

import gc
import os
import signal
from pathlib import Path

os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent.parent / ".pytest_cache" / "compiled"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import jax
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_num_cpu_devices", 2)
# Nothing is broadcast or converted unless the code says so.
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

with install_import_hook("jptycho", "beartype.beartype"):
    import jptycho


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's job in the background ignores Ctrl-C, and so would the processes that tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)

MOST_MAPPED = 30_000
"""Memory maps of a process, of which Linux allows 65,530: every compiled program has some, and without one more the
compiler crashes."""


@pytest.fixture(scope="module", autouse=True)
def few_programs():
    """Forget what earlier modules compiled before there is no room for more.

    Until then the garbage collector need not look at it: with some gigabytes of it, each look took seconds.
    """
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > MOST_MAPPED:
        gc.unfreeze()
        jax.clear_caches()
        gc.collect()
    gc.freeze()


@pytest.fixture
def x64():
    """Run a test in double precision."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def outside_data() -> Path:
    """The folder of datasets made elsewhere."""
    folder = os.environ.get("JPTYCHO_DATA")
    if not folder:
        pytest.skip("JPTYCHO_DATA is not set: datasets from outside are not at hand")
    return Path(folder)


@pytest.fixture(scope="session")
def small_scan():
    """A small simulated particle: 16 x 16 patterns of 32 x 32."""
    return jptycho.simulate_gold(
        dose=2e4, diameter=14.0, carbon_thickness=4.0, scan_shape=(16, 16), step=1.2, detector=(32, 32), defocus=100.0
    )
