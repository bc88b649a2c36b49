"""The README's Python runs as it stands, on a smaller scan."""

import re
import tomllib
from pathlib import Path

import jax
import numpy as np

import jptycho
from jptycho.config.run import Config
from jptycho.reconstruction.auto import check_config
from jptycho.settings import parse

reconstruct = jptycho.reconstruct
README = (Path(__file__).parent.parent.parent / "README.md").read_text(encoding="utf-8")


def with_small_networks(scan, **given):
    small = {"levels": 1, "base_channels": 4, "probe_levels": 1, "epochs": 3}
    return reconstruct(scan, **{**given, "dgp": {**given.get("dgp", {}), **small}})


def test_python_examples_run(tmp_path, monkeypatch, small_scan, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jptycho, "simulate_gold", lambda **_: small_scan)
    monkeypatch.setattr(jptycho, "reconstruct", with_small_networks)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        exec(block, names)
    assert "ssim" in capsys.readouterr().out
    assert jptycho.read_result("dgp.h5").attributes["method"] == "dgp"
    assert np.isfinite(names["metrics"].loss).all()
    assert float(max(abs(leaf).max() for leaf in jax.tree.leaves(names["slope"]))) > 0


def test_configuration_example_is_valid():
    blocks = [parse(Config, tomllib.loads(b)) for b in re.findall(r"```toml\n(.*?)```", README, re.DOTALL)]
    assert [config.method for config in blocks] == ["dgp", "pixels"]
    for config in blocks:
        check_config(config)
