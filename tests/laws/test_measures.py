"""What the code measures: sizes, layers within a sub-package, and how much is public."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import jptycho

PACKAGE = Path(jptycho.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST_FILE, LONGEST_BODY, USUAL_BODY = 300, 45, 29
SUB_PACKAGES = [
    ".".join(path.parent.relative_to(PACKAGE).parts)
    for path in sorted(PACKAGE.rglob("__init__.py"))
    if path.parent != PACKAGE and "__all__" in path.read_text()
]
WITHIN = {
    "assembly": [
        {"other_orientation"},
        {"beam_checks", "extension", "found_positions", "other_start", "solver_checks"},
        {"refinable"},
        {"focus"},
        {"unknowns", "wave_checks", "working"},
        {"advice", "budget", "checks", "devices", "parts", "placement", "polish", "start"},
        {"build", "ensembles"},
        {"dividing", "listed", "prior_model"},
        {"auto", "stage_solvers", "summary"},
        {"memory_plan"},
        {"placing"},
        {"loading"},
    ],
    "reconstruction": [
        {"context"},
        {"carry", "checkpoint", "outcome"},
        {"stages"},
        {"confirmed", "pixels", "positions"},
        {"deep_prior", "half_sets"},
        {"plan"},
        {"reconstruct"},
    ],
    "automatic": [
        {"clock", "journal", "judge", "trials"},
        {"attempt", "checks"},
        {"run"},
        {"reconstruct"},
    ],
}
"""Modules of sub-packages, each of which imports only those on a line above its own."""
MODULES = [path for name in WITHIN for path in sorted((PACKAGE / name).glob("*.py"))]


def body_lengths(path: Path) -> Iterator[tuple[str, int]]:
    """Lines of every function's body, without its docstring."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            if body:
                yield node.name, (body[-1].end_lineno or 0) - body[0].lineno + 1


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_and_bodies_are_short(path: Path):
    assert len(path.read_text().splitlines()) <= LONGEST_FILE
    for name, length in body_lengths(path):
        assert length <= LONGEST_BODY, name


def test_most_bodies_are_much_shorter():
    lengths = [length for path in FILES for _, length in body_lengths(path)]
    assert np.percentile(lengths, 90) <= USUAL_BODY


@pytest.mark.parametrize("path", MODULES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_what_makes_a_run_is_layered(path: Path):
    package = path.parent.name
    rank = {name: i for i, layer in enumerate(WITHIN[package]) for name in layer} | {"__init__": len(WITHIN[package])}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"jptycho.{package}."):
            other = str(node.module).split(".")[2]
            assert rank[other] < rank[path.stem], f"{path.stem} imports {other}"


def test_a_reconstruction_is_little_code():
    assert sum(len(path.read_text().splitlines()) for path in MODULES if path.parent.name == "reconstruction") <= 1500


def test_exit_waves_are_transformed_in_one_place():
    found = [path.name for path in FILES for _ in range(path.read_text().count("fft2(exit"))]
    assert found == ["detector.py"]


def test_little_is_public_at_the_top():
    assert len(jptycho.__all__) <= 45
    assert len([p for p in PACKAGE.glob("*.py") if not p.stem.startswith("__")]) <= 8
    assert all(hasattr(jptycho, name) for name in jptycho.__all__)


def test_a_name_that_moved_says_where_to():
    with pytest.warns(DeprecationWarning, match=r"jptycho\.PIESolver moved: use jptycho\.solvers\.PIESolver"):
        assert jptycho.PIESolver is jptycho.solvers.PIESolver
    for package, names in jptycho._MOVED.items():
        for name in names.split():
            with pytest.warns(DeprecationWarning, match=f"{package}.{name}"):
                assert getattr(jptycho, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'PIEsolver'"):
        _ = jptycho.PIEsolver


def exported_functions() -> Iterator[tuple[str, object]]:
    """Functions that a package lists in its ``__all__``."""
    for package in [jptycho, *(importlib.import_module(f"jptycho.{name}") for name in SUB_PACKAGES)]:
        for name in package.__all__:
            if inspect.isfunction(found := getattr(package, name)):
                yield name, found


def test_every_public_function_is_tested():
    """By its name in a test, or by an example in its docstring."""
    tests = "\n".join(path.read_text() for path in (PACKAGE.parent / "tests").rglob("*.py"))
    untested = {
        name for name, found in exported_functions() if name not in tests and ">>>" not in (found.__doc__ or "")
    }
    assert untested == set()


def test_few_types_are_any():
    """What JAX and files leave open has a name of its own."""
    uses = [node for path in FILES for node in ast.walk(ast.parse(path.read_text())) if is_any(node)]
    assert len(uses) < 100


def is_any(node: ast.AST) -> bool:
    """Whether a node is that name, in an import or an annotation."""
    return (isinstance(node, ast.Name) and node.id == "Any") or (isinstance(node, ast.alias) and node.name == "Any")


def test_the_readme_is_short():
    assert len((PACKAGE.parent / "README.md").read_text().splitlines()) <= 150
