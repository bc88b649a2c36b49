"""Properties that hold whatever the numbers: symmetries of the physics, layers of the package."""

import ast
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jptycho
from jptycho.forward.fields import Fields, ScanFields
from jptycho.forward.model import predict
from jptycho.types import Grid

from ..problems import random_fields, setup_for
from ..tolerances import DOUBLE

PACKAGE = Path(jptycho.__file__).parent
LAYERS = [
    {"types", "errors", "settings", "randomness", "tracing", "compilation"},
    {"optics", "scan"},
    {"forward"},
    {"representations"},
    {"objective"},
    {"parallel"},
    {"solvers"},
    {"data"},
    {"preprocess", "simulate", "diagnostics"},
    {"config"},
    {"assembly"},
    {"reconstruction"},
    {"automatic"},
    {"report"},
    {"cli"},
    {"__init__"},
]
ONLY_IN = {
    "flax": {"representations"},
    "h5py": {"data"},
    "orbax": {"data"},
    "matplotlib": {"report"},
    "pydantic": {"settings"},
    "optuna": {"automatic"},
}


def part_of(path):
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_import_goes_up_and_each_library_has_its_place(path):
    rank = {name: i for i, layer in enumerate(LAYERS) for name in layer}
    mine = part_of(path)
    for name in imports_of(path):
        top, *rest = name.split(".")
        if top == "jptycho" and rest and rest[0] in rank:
            assert rank[rest[0]] <= rank[mine], f"{mine} imports {rest[0]}, which lies above it"
        if top in ONLY_IN:
            assert mine in ONLY_IN[top], f"{top} belongs to {ONLY_IN[top]}, not to {mine}"


def test_importing_has_no_side_effect():
    """Neither a backend nor a slow optional library is touched, and nothing is printed."""
    program = (
        "import sys, jax, jptycho; from jax._src import xla_bridge as b; "
        "assert not b._backends; assert 'orbax' not in sys.modules; assert 'matplotlib' not in sys.modules; "
        "assert 'optuna' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.usefixtures("x64")
@settings(deadline=None, max_examples=15)
@given(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), st.integers(0, 1000))
def test_moving_object_and_position_together_changes_nothing(shift, seed):
    import jax  # noqa: PLC0415

    with jax.enable_x64(True):
        fields, setup = random_fields(slices=2, modes=1, canvas=(31, 37), positions=1, seed=seed), setup_for()
        # The window must lie on the canvas before and after: half of it and the largest shift away from the edge.
        near = jnp.array([n // 2 + 1 + 3 for n in setup.grid.shape], float)
        far = jnp.array([31.0, 37.0]) - near - 1
        position = jnp.clip(fields.scan.position[0], near, far)
        moved = Fields(
            jnp.roll(fields.object, shift, axis=(1, 2)), fields.probe, fields.scan, fields.thickness, fields.tilt
        )
        found = predict(moved, setup, ScanFields(position + jnp.array(shift, float)))
        np.testing.assert_allclose(found, predict(fields, setup, ScanFields(position)), atol=DOUBLE)


@pytest.mark.usefixtures("x64")
def test_a_phase_ramp_of_the_object_moves_the_pattern():
    """One detector pixel for a ramp of one turn over the window; the gauge that a reconstruction has to fix."""
    grid = Grid((9, 14), (0.3, 0.3))
    fields, setup = random_fields(slices=1, modes=2, grid=grid, positions=1), setup_for(grid)
    ramp = np.exp(2j * np.pi * np.arange(fields.object.shape[2]) / 14)[None, None]
    tilted = Fields(fields.object * ramp, fields.probe, fields.scan, fields.thickness, fields.tilt)
    plain, moved = (predict(f, setup, fields.scan[0]) for f in (fields, tilted))
    np.testing.assert_allclose(moved, jnp.roll(plain, 1, axis=1), atol=DOUBLE)


@pytest.mark.usefixtures("x64")
def test_a_global_phase_changes_nothing():
    fields, setup = random_fields(positions=1), setup_for()
    turned = Fields(
        fields.object * jnp.exp(0.7j), fields.probe * jnp.exp(-1.3j), fields.scan, fields.thickness, fields.tilt
    )
    plain, moved = (predict(f, setup, fields.scan[0]) for f in (fields, turned))
    np.testing.assert_allclose(moved, plain, atol=DOUBLE)
