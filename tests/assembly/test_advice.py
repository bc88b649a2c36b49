"""Memory that does not hold a run is one sentence with what to do, whoever finds out."""

import jax
import numpy as np
import pytest

import jptycho
from jptycho.assembly.advice import EXHAUSTED, advice, memory_advice, memory_named
from jptycho.config.run import parse_config
from jptycho.errors import JptychoError, OutOfMemoryError


def config(**tables):
    return parse_config({"data": {"file": ""}, **tables})


@pytest.mark.parametrize(
    "error", [MemoryError("Unable to allocate"), jax.errors.JaxRuntimeError(f"{EXHAUSTED}: Out of memory")]
)
def test_what_numpy_and_xla_say_becomes_one_sentence(error: Exception):
    said = r"^dgp: memory does not hold it\. Use less\.$"
    with pytest.raises(OutOfMemoryError, match=said) as caught, memory_named("dgp", "Use less."):
        raise error
    assert caught.value.__cause__ is error
    assert isinstance(caught.value, JptychoError | MemoryError)


def test_every_other_error_stays_what_it_is():
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"), memory_named("dgp", ""):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")
    with pytest.raises(KeyboardInterrupt), memory_named("dgp", ""):
        raise KeyboardInterrupt


def test_the_sentence_of_an_inner_part_is_kept():
    with pytest.raises(OutOfMemoryError, match=r"^inner"), memory_named("outer", "a"), memory_named("inner", "b"):
        raise MemoryError


@pytest.mark.parametrize(
    ("tables", "stage", "names"),
    [
        ({"pixels": {"batch": 64, "half_sets": True}}, "half sets", ("pixels.batch (64)", "pixels.half_sets = false")),
        ({"pixels": {"batch": 64, "half_sets": False}}, "pixels", ("pixels.batch (64),",)),
        ({"pixels": {"solver": "dm"}}, "pixels", ('"dm" keeps every exit wave',)),
        ({"dgp": {"ensemble_size": 4}}, "dgp 2", ("dgp.ensemble_size = 1 (4)", "dgp.micro_batch (128)")),
        ({"dgp": {"ensemble_size": 1}}, "dgp", ("Lower dgp.micro_batch (128)",)),
    ],
)
def test_advice_names_the_settings_that_the_stage_reads(tables: dict[str, dict[str, object]], stage: str, names):
    said = memory_advice(config(**tables), stage)
    assert all(name in said for name in names)
    assert ("half_sets" in said) == ("half_sets" in "".join(names))


def test_a_stage_that_diverges_names_its_own_rates():
    assert "dgp.object_rate" in advice(config(method="dgp"), "dgp")
    assert "pixels.object_rate" in advice(config(), "pixels")
    assert "dgp.polish_rate" in advice(config(), "polish")


def test_a_run_that_memory_does_not_hold_says_which_stage(small_scan, monkeypatch: pytest.MonkeyPatch):
    def too_much(*_):
        raise jax.errors.JaxRuntimeError(f"{EXHAUSTED}: Out of memory while trying to allocate 1 bytes.")

    monkeypatch.setattr("jptycho.solvers.epochs.epoch", too_much)
    with pytest.raises(OutOfMemoryError, match=r"^half sets: memory does not hold it\. Lower pixels\.batch"):
        jptycho.reconstruct(small_scan, pixels={"epochs": 1})


def test_a_scan_that_memory_does_not_hold_says_so(small_scan, monkeypatch: pytest.MonkeyPatch):
    def too_much(*_):
        np.empty(2**62, np.uint8)

    monkeypatch.setattr("jptycho.reconstruction.reconstruct.prepare_from_config", too_much)
    with pytest.raises(OutOfMemoryError, match=r"^reading the scan: memory does not hold it\. Reconstruct a part"):
        jptycho.reconstruct(small_scan)
