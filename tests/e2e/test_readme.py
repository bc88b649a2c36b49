"""The README's Python runs as it stands, on a smaller scan."""

import re
import tomllib
from pathlib import Path

import jax
import numpy as np
import pytest

import jptycho
from jptycho.assembly.checks import check_config
from jptycho.assembly.listed import check_stages
from jptycho.config.run import parse_config
from jptycho.tracing import numpy_promotion

reconstruct = jptycho.reconstruct
ROOT = Path(__file__).parent.parent.parent
README, MEASURED = (
    path.read_text(encoding="utf-8") for path in (ROOT / "README.md", ROOT / "benchmarks" / "README.md")
)


def with_small_networks(scan, **given):
    small = {"levels": 1, "base_channels": 4, "probe_levels": 1, "epochs": 3}
    return reconstruct(scan, **{**given, "dgp": {**given.get("dgp", {}), **small}})


@pytest.mark.slow
def test_python_examples_run(tmp_path, monkeypatch, small_scan, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jptycho, "simulate_gold", lambda **_: small_scan)
    monkeypatch.setattr(jptycho, "reconstruct", with_small_networks)
    names = {}
    with numpy_promotion():  # a reader's own JAX is not strict
        for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
            exec(block, names)
    assert "ssim" in capsys.readouterr().out
    assert jptycho.read_result("dgp.h5").attributes["method"] == "dgp"
    assert np.isfinite(names["metrics"].loss).all()
    assert float(max(abs(leaf).max() for leaf in jax.tree.leaves(names["slope"]))) > 0


def test_configuration_example_is_valid():
    blocks = [parse_config(tomllib.loads(b)) for b in re.findall(r"```toml\n(.*?)```", README + MEASURED, re.DOTALL)]
    assert [config.method for config in blocks] == ["dgp", "pixels", "pixels"]
    assert [len(config.stages) for config in blocks] == [0, 0, 2]
    for config in blocks:
        check_config(config)
        check_stages(config)


def test_notebooks_are_kept_with_their_pictures():
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        assert path.read_text(encoding="utf-8").count('"image/png"') >= 2, path.name
