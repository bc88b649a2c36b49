"""A second scan of equal shape finds every program compiled: what differs between two scans is traced."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import pytest

import jptycho

LOWERED = "/jax/core/compile/jaxpr_to_mlir_module_duration"


@contextmanager
def counted() -> Iterator[list[str]]:
    """The programs that are lowered meanwhile."""
    found: list[str] = []

    def listen(event: str, duration: float, **metadata: Any) -> None:
        del duration
        if event == LOWERED:
            found.append(str(metadata.get("fun_name", event)))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def scan(number: int) -> jptycho.Dataset4D:
    """Scans that differ in all but their shape: energy, sampling, step, dose, defocus and noise."""
    sampling = (0.4, 0.37)[number]
    return jptycho.simulate_gold(
        energy=(300e3, 200e3)[number],
        sampling=(sampling, sampling),
        step=5 * sampling,
        jitter=0.0,
        dose=(400.0, 700.0)[number],
        defocus=(120.0, 100.0)[number],
        diameter=14.0,
        carbon_thickness=4.0,
        scan_shape=(8, 8),
        detector=(32, 32),
        seed=number,
    )


def constrained(number: int) -> dict[str, Any]:
    """Settings whose every number differs too."""
    more = 1.0 + 0.3 * number
    return {
        "pixels": {"half_sets": False, "epochs": 2, "object_rate": 0.01 * more, "preconditioner": {"gain": 20 * more}},
        "object": {"kind": "complex", "slices": 2, "slice_thickness": 9.0 * more, "band_limit": 0.5 * more},
        "penalties": {"tv_phase": 0.01 * more, "amorphous": 0.001 * more},
        "projections": {"low_pass": 0.8 * more, "missing_wedge": more},
        "refine": {"position_rate": 0.01 * more},
        "probe": {"modes": 2},
    }


def networks(number: int) -> dict[str, Any]:
    """A small deep generative prior; nothing is held out, for what follows would hang on what that finds."""
    more = 1.0 + 0.3 * number
    small = {"levels": 1, "base_channels": 4, "pretrain_steps": 4, "epochs": 2, "start_epochs": 2, "polish_epochs": 1}
    changed = {**small, "object_rate": 2e-3 * more, "warm_up": 2 + number}
    return {"method": "dgp", "dgp": changed, "validation": {"fraction": 0}}


SETTINGS: dict[str, Any] = {
    "half sets": lambda number: {"pixels": {"epochs": 2 + number}},
    "constraints and refinement": constrained,
    "lsqml": lambda number: {"pixels": {"solver": "lsqml", "half_sets": False, "epochs": 2 + number}},
    "mpie": lambda number: {
        "pixels": {"solver": "mpie", "half_sets": False, "epochs": 2},
        "pie": {"alpha": 0.2 + 0.1 * number, "momentum": 0.5 + 0.1 * number, "period": 5 + number},
    },
    "difference map": lambda number: {
        "pixels": {"solver": "dm", "half_sets": False, "epochs": 2},
        "difference_map": {"beta": 0.7 + 0.1 * number},
    },
    "dgp": networks,
}
LONG = ("half sets", "constraints and refinement", "lsqml", "dgp")


@pytest.mark.parametrize("name", [n if n not in LONG else pytest.param(n, marks=pytest.mark.slow) for n in SETTINGS])
def test_a_second_scan_of_equal_shape_compiles_nothing(name: str):
    """Nor does another number in its settings."""
    first, second = scan(0), scan(1)
    with counted() as programs:
        jptycho.reconstruct(first, seed=1, **SETTINGS[name](0))
    assert programs, "the count sees nothing"
    with counted() as programs:
        jptycho.reconstruct(second, seed=2, **SETTINGS[name](1))
    assert programs == []


def test_what_is_off_is_another_program():
    """A rate of zero, and a penalty that is not there, are structure."""
    data = scan(0)
    jptycho.reconstruct(data, pixels={"half_sets": False, "epochs": 1})
    with counted() as programs:
        jptycho.reconstruct(data, pixels={"half_sets": False, "epochs": 1}, probe={"fixed": True})
    assert "epoch" in " ".join(programs)
