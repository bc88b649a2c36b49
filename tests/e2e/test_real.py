"""Files made elsewhere, through the configurations that the benchmarks ship."""

from pathlib import Path

import numpy as np
import pytest

import jptycho
from jptycho.config.run import load_config, parse_config
from jptycho.diagnostics.truth import compare_with_truth

CONFIGS = Path(__file__).parent.parent.parent / "benchmarks" / "real"


def reconstruct(name, data, epochs):
    config = load_config(CONFIGS / f"{name}.toml")
    file = data / Path(config.data.file).relative_to(CONFIGS.resolve())
    values = config.model_dump(exclude_none=True)
    values["data"]["file"], values["pixels"]["epochs"] = str(file), epochs
    return jptycho.reconstruct(None, parse_config(values))


@pytest.mark.slow
def test_duck_shows_its_atoms(outside_data):
    result = reconstruct("ducky", outside_data, 6)
    assert result.history["amplitude_error"][-1] < 0.074
    truth = np.load(outside_data / "ducky" / "truth_projected_phase_512x512_0.3125A.npy")
    a = result.attributes
    found = compare_with_truth(
        result.phase, a["sampling"], a["origin"], result.field_of_view, (truth, (0.3125, 0.3125), (-20.0, -20.0))
    )
    assert found.correlation > 0.95
    assert found.high_pass > 0.75


@pytest.mark.slow
def test_gold_is_positive_in_the_rotavirus_scan(outside_data):
    result = reconstruct("rotavirus", outside_data, 6)
    assert result.history["amplitude_error"][-1] < 0.234
    phase = jptycho.projected_phase(result)
    inner = phase[60:-60, 60:-60]
    assert inner.max() - np.median(inner) > 3 * (np.median(inner) - inner.min())


@pytest.mark.slow
def test_siemens_star_in_pixels_of_unknown_size(outside_data):
    result = reconstruct("siemens_star", outside_data, 20)
    assert result.history["amplitude_error"][-1] < 0.105
    assert result.attributes["length_unit"] == "px"
