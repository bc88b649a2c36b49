"""Configuration: strict, explained, and the same after a round trip through TOML."""

import re
import tomllib
from pathlib import Path

import pytest

from jptycho.assembly.checks import check_config
from jptycho.config.run import Config, load_config, parse_config, with_changes
from jptycho.errors import ConfigError, FormatError
from jptycho.settings import load_toml, parse, to_toml
from jptycho.simulate.scan import GoldSettings

EXAMPLES = Path(__file__).parent.parent / "benchmarks" / "real"


def test_round_trip():
    config = parse(
        Config,
        {
            "data": {"file": "a b.h5", "step": 1.5, "aberrations": {"C12": 3.0, "phi12": 0.1}},
            "dgp": {"start_file": "x.h5"},
            "pixels": {"preconditioner": {"cutoff": 0.01}},
        },
    )
    assert parse_config(tomllib.loads(to_toml(config))) == config
    assert parse(GoldSettings, tomllib.loads(to_toml(GoldSettings(dose=float("inf"))))).dose == float("inf")


def test_every_key_is_documented():
    def check(model):
        for name, field in model.model_fields.items():
            inner = field.annotation
            if isinstance(inner, type) and hasattr(inner, "model_fields"):
                check(inner)
            else:
                assert field.description, name

    check(Config)
    check(GoldSettings)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"data": {"file": "x", "stpe": 1}}, ["data.stpe", "unknown key", "'step'"]),
        ({"data": {"file": "x"}, "pixel": {}}, ["pixel", "unknown key", "'pixels'"]),
        ({"data": {}}, ["data.file", "missing", "Add it"]),
        ({"data": {"file": "x", "energy": -3}}, ["data.energy", "greater than 0", "-3", "eV"]),
        ({"data": {"file": "x"}, "object": {"kind": "foo"}}, ["object.kind", "'phase'", "'foo'"]),
        ({"data": {"file": "x"}, "pixels": {"batch": "many"}}, ["pixels.batch", "'many'", "patterns"]),
        ({"data": {"file": "x", "aberrations": {"C13": 1}}}, ["data.aberrations", "'C13'", "'C1"]),
        ({"data": {"file": "x", "aberrations": {"C10": 1}}}, ["data.aberrations", "data.defocus"]),
        ({"data": {"file": "x", "step": [1, 2, 3]}}, ["data.step", "[1, 2, 3]"]),
    ],
)
def test_wrong_values_are_explained(values, words):
    with pytest.raises(ConfigError) as caught:
        parse_config(values)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_untrained_networks_without_a_guess_are_refused():
    for dgp in ({"pretrain_steps": 0}, {"start_epochs": 0}, {"pretrain_steps": 0, "start_file": "x.h5"}):
        with pytest.raises(ConfigError, match=r"dgp\."):
            check_config(with_changes(None, {"method": "dgp", "dgp": dgp}))
    check_config(with_changes(None, {"method": "pixels", "dgp": {"pretrain_steps": 0}}))


def test_paths_start_at_the_file(tmp_path):
    (tmp_path / "run.toml").write_text('[data]\nfile = "scan.h5"\n')
    config = load_config(tmp_path / "run.toml")
    assert config.data.file == str(tmp_path / "scan.h5")
    assert config.output.file == str(tmp_path / "result.h5")
    with pytest.raises(FormatError, match=re.escape("No such file")):
        load_config(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("a = = 1")
    with pytest.raises(ConfigError, match="not TOML"):
        load_config(tmp_path / "bad.toml")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda p: p.name)
def test_examples_are_valid(path):
    load_config(path)


def test_a_toml_file_is_read(tmp_path):
    (tmp_path / "a.toml").write_text('[data]\nfile = "Å.h5"  # a comment\nstep = [1.0, 2]\n', encoding="utf-8")
    assert load_toml(tmp_path / "a.toml") == {"data": {"file": "Å.h5", "step": [1.0, 2]}}


def test_a_missing_toml_file_is_named(tmp_path):
    with pytest.raises(FormatError, match=r"configuration: cannot read '.*none\.toml' \(No such file.*Check the path"):
        load_toml(tmp_path / "none.toml")
    with pytest.raises(FormatError, match=r"configuration: cannot read .* \(Is a directory\)"):
        load_toml(tmp_path)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"a = ", "at end of document"),
        (b"a = 1\n[data\n", "line 2"),
        (b"a = 1\na = 2\n", "a value"),
        (b"a == 3", "line 1, column 4"),
        (b"\xff\xfe\x00", "can't decode"),
    ],
)
def test_what_is_no_toml_is_refused_with_the_place(tmp_path, content, place):
    (tmp_path / "bad.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"configuration: '.*bad\.toml' is not TOML: .*{place}"):
        load_toml(tmp_path / "bad.toml")
