"""Compiled programs that a second process reads."""

import os
import subprocess
import sys
import zlib
from pathlib import Path

import jax
import pytest

from jptycho import compilation
from jptycho.compilation import use_compilation_cache, user_cache

PROGRAM = """
import jax, jax.numpy as jnp
from jptycho.compilation import use_compilation_cache
seen = []
jax.monitoring.register_event_listener(lambda name, **_: seen.append(name))
use_compilation_cache(True, print)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.jit(lambda x: jnp.sin(x) @ x)(jnp.ones((8, 8)))
print(seen.count("/jax/compilation_cache/cache_hits"), seen.count("/jax/compilation_cache/cache_misses"))
"""


@pytest.fixture
def no_cache(monkeypatch):
    """JAX without a folder of its own, as in a process of a user; what was there is set again."""
    before = jax.config.jax_compilation_cache_dir, jax.config.jax_persistent_cache_min_compile_time_secs
    jax.config.update("jax_compilation_cache_dir", None)
    compilation.programs.reset_cache()
    monkeypatch.delenv(compilation.CHOICE, raising=False)
    yield
    jax.config.update("jax_compilation_cache_dir", before[0])
    compilation.programs.reset_cache()
    jax.config.update("jax_persistent_cache_min_compile_time_secs", before[1])


def counted(folder: Path) -> tuple[int, int]:
    """Programs that a process read from its cache, and that it compiled and wrote."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_COMPILATION", "JAX_PERSISTENT", "JPTYCHO"))}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=own | {"XDG_CACHE_HOME": str(folder)}
    )
    hits, misses = done.stdout.split()
    return int(hits), int(misses)


def test_a_second_process_reads_what_the_first_compiled(tmp_path: Path):
    hits, misses = counted(tmp_path)
    assert hits == 0
    assert misses > 0
    assert counted(tmp_path) == (misses, 0)


def test_the_folder_is_the_users_alone(tmp_path: Path, monkeypatch, no_cache):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = use_compilation_cache(True, pytest.fail)
    assert folder is not None
    assert folder.parent.parent == user_cache() == tmp_path / "jptycho"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert jax.config.jax_compilation_cache_dir == str(folder)
    assert use_compilation_cache(True, pytest.fail, tmp_path / "other") == folder  # the first choice stays


def test_it_can_be_switched_off_and_jaxs_own_setting_stays(monkeypatch, no_cache, tmp_path: Path):
    monkeypatch.setenv(compilation.CHOICE, "OFF")
    assert use_compilation_cache(True, pytest.fail) is None
    assert jax.config.jax_compilation_cache_dir is None
    monkeypatch.delenv(compilation.CHOICE)
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    assert use_compilation_cache(True, pytest.fail) == tmp_path


def test_a_folder_that_others_may_write_is_not_executed(tmp_path: Path, no_cache):
    said: list[str] = []
    tmp_path.chmod(0o777)
    assert use_compilation_cache(True, said.append, tmp_path) is None
    assert "others may write it" in said[0]
    assert "compilation_cache = false" in said[0]
    assert jax.config.jax_compilation_cache_dir is None


def test_a_folder_that_cannot_be_made_is_said_and_nothing_lost(tmp_path: Path, no_cache):
    (tmp_path / "file").write_text("")
    said: list[str] = []
    assert use_compilation_cache(True, said.append, tmp_path / "file" / "cache") is None
    assert "programs are compiled anew in every run" in said[0]
    assert (tmp_path / "file").read_text() == ""


def test_what_was_switched_on_can_be_switched_off(tmp_path: Path, no_cache):
    folder = use_compilation_cache(True, pytest.fail, tmp_path)
    assert folder is not None
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.jit(lambda x: x * 3 + 1)(2.0)
    kept = set(folder.glob("*-cache"))
    assert kept
    assert use_compilation_cache(False, pytest.fail) is None
    assert jax.config.jax_compilation_cache_dir is None
    jax.jit(lambda x: x * 5 + 1)(2.0)
    assert set(folder.glob("*-cache")) == kept


def test_folders_that_are_made_are_private_whatever_the_mask(tmp_path: Path, no_cache):
    before = os.umask(0o002)
    try:
        folder = use_compilation_cache(True, pytest.fail, tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert folder is not None
    assert [path.stat().st_mode & 0o777 for path in (folder, folder.parent, folder.parent.parent)] == [0o700] * 3


def test_a_link_is_followed_before_it_is_trusted(tmp_path: Path, no_cache):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path / "open")
    said: list[str] = []
    assert use_compilation_cache(True, said.append, tmp_path / "link") is None
    assert str(tmp_path / "open") in said[0]


def test_who_has_no_home_computes_all_the_same(monkeypatch, no_cache):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    said: list[str] = []
    assert use_compilation_cache(True, said.append) is None
    assert "home directory" in said[0]


def test_programs_that_were_cut_off_are_removed_once(tmp_path: Path):
    whole, cut = zlib.compress(b"program" * 1000), tmp_path / "cut-cache"
    (tmp_path / "whole-cache").write_bytes(whole)
    cut.write_bytes(whole[:20])
    (tmp_path / "empty-cache").touch()
    compilation._mend(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*-cache")) == ["whole-cache"]
    cut.write_bytes(whole[:20])
    os.utime(cut, (1000, 1000))  # before the last look: known to be whole
    compilation._mend(tmp_path)
    assert cut.exists()


def test_the_oldest_programs_of_all_versions_go_first(tmp_path: Path):
    for age in range(4):
        path = tmp_path / f"jptycho-jax-{age % 2}" / f"{age}-cache"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * 100)
        os.utime(path, (1000 - age, 1000 - age))
    mine = tmp_path / "jptycho-jax-0" / "scan.h5"
    mine.write_bytes(b"x" * 1000)
    compilation._shorten(tmp_path, 400)
    assert len(list(tmp_path.glob("*/*-cache"))) == 4
    compilation._shorten(tmp_path, 399)
    assert [path.name for path in tmp_path.glob("*/*-cache")] == ["0-cache"]
    assert mine.exists()
