"""Compiled programs that a second process reads."""

import os
import subprocess
import sys
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
use_compilation_cache(print)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.jit(lambda x: jnp.sin(x) @ x)(jnp.ones((8, 8)))
print(seen.count("/jax/compilation_cache/cache_hits"), seen.count("/jax/compilation_cache/cache_misses"))
"""


@pytest.fixture
def no_cache(monkeypatch):
    """JAX without a folder of its own, as in a process of a user; what was there is set again."""
    before = jax.config.jax_compilation_cache_dir, jax.config.jax_persistent_cache_min_compile_time_secs
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.delenv(compilation.CHOICE, raising=False)
    yield
    jax.config.update("jax_compilation_cache_dir", before[0])
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
    folder = use_compilation_cache(pytest.fail)
    assert folder is not None
    assert folder.parent.parent == user_cache() == tmp_path / "jptycho"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert jax.config.jax_compilation_cache_dir == str(folder)
    assert use_compilation_cache(pytest.fail, tmp_path / "other") == folder  # the first choice stays


def test_it_can_be_switched_off_and_jaxs_own_setting_stays(monkeypatch, no_cache, tmp_path: Path):
    monkeypatch.setenv(compilation.CHOICE, "OFF")
    assert use_compilation_cache(pytest.fail) is None
    assert jax.config.jax_compilation_cache_dir is None
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    assert use_compilation_cache(pytest.fail) == tmp_path


def test_a_folder_that_others_may_write_is_not_executed(tmp_path: Path, no_cache):
    said: list[str] = []
    tmp_path.chmod(0o777)
    assert use_compilation_cache(said.append, tmp_path) is None
    assert "others may write it" in said[0]
    assert "compilation_cache = false" in said[0]
    assert jax.config.jax_compilation_cache_dir is None


def test_a_folder_that_cannot_be_made_is_said_and_nothing_lost(tmp_path: Path, no_cache):
    (tmp_path / "file").write_text("")
    said: list[str] = []
    assert use_compilation_cache(said.append, tmp_path / "file" / "cache") is None
    assert "cannot be made" in said[0]
    assert (tmp_path / "file").read_text() == ""


def test_the_oldest_programs_go_first(tmp_path: Path):
    for age in range(4):
        path = tmp_path / f"program {age}"
        path.write_bytes(b"x" * 100)
        os.utime(path, (1000 - age, 1000 - age))
    compilation._shorten(tmp_path, 400)
    assert len(list(tmp_path.iterdir())) == 4
    compilation._shorten(tmp_path, 399)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["program 0"]
