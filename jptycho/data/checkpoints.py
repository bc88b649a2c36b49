"""Checkpoints by Orbax: the whole state of a run, so that it goes on as if it had never stopped."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jptycho.errors import CheckpointError, FormatError
from jptycho.settings import Table
from jptycho.types import PyTree

FACTS = "facts.json"

# Orbax is imported where it is used: it takes longer to import than a short reconstruction to run.


def save_checkpoint(folder: Path, tree: PyTree, facts: Table) -> None:
    """Save a pytree; the previous checkpoint stays until the new one is complete.

    Args:
        folder: of the run's checkpoint.
        tree: arrays; random keys are stored by their data.
        facts: small JSON values that say what the tree belongs to.

    Raises:
        CheckpointError: it cannot be written, on a full disk for one; the previous checkpoint is still there.
    """
    import orbax.checkpoint as ocp  # noqa: PLC0415

    folder = folder.resolve()
    fresh, old = _beside(folder)
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        with ocp.StandardCheckpointer() as saver:
            saver.save(fresh / "state", jax.tree.map(_storable, tree))
        with (fresh / FACTS).open("w") as file:  # last: where it is whole, so is the state
            json.dump(facts, file)
            file.flush()
            os.fsync(file.fileno())
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    except (OSError, ValueError, RuntimeError) as error:  # Orbax hides the system's error in a ValueError
        shutil.rmtree(fresh, ignore_errors=True)
        raise CheckpointError(f"checkpoint: {str(folder)!r} cannot be written ({_reason(error)}).") from None
    shutil.rmtree(old, ignore_errors=True)


def _beside(folder: Path) -> tuple[Path, Path]:
    """Where a checkpoint is made, and where the previous one waits while the new one takes its place."""
    return folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")


def _reason(error: Exception) -> str:
    """The system's words for what failed."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    known = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS, errno.EACCES)
    codes = {f"os_error_code='{code}'": os.strerror(code) for code in known}
    return next((words for code, words in codes.items() if code in str(error)), str(error)[:200])


def _current(folder: Path) -> Path | None:
    """The folder that holds the last complete checkpoint: a crash may have come between two renames."""
    if folder.exists():
        return folder
    return next((place for place in _beside(folder) if (place / FACTS).exists()), None)


def load_facts(folder: Path) -> Table | None:
    """What a checkpoint belongs to.

    Args:
        folder: of the run's checkpoint.

    Returns:
        the facts, or None where there is no checkpoint.

    Raises:
        FormatError: the checkpoint is damaged.
    """
    place = _current(folder)
    if place is None:
        return None
    try:
        facts = json.loads((place / FACTS).read_text())
    except (OSError, ValueError):
        facts = None
    if not isinstance(facts, dict):
        raise FormatError(f"checkpoint: {str(place)!r} is damaged. Delete it to start from the beginning.")
    return facts


def load_checkpoint(folder: Path, like: PyTree) -> PyTree:
    """Restore a pytree onto the devices where an equal one lives.

    Args:
        folder: of the run's checkpoint.
        like: a tree of the same structure, shapes and types.

    Returns:
        the tree.

    Raises:
        FormatError: the checkpoint is damaged or belongs to other settings.
    """
    import orbax.checkpoint as ocp  # noqa: PLC0415

    try:
        with ocp.StandardCheckpointer() as saver:
            place = (_current(folder) or folder).resolve()
            stored = saver.restore(place / "state", jax.tree.map(_storable, like))
    except (ValueError, OSError, KeyError) as error:
        raise FormatError(
            f"checkpoint: {str(folder)!r} does not fit this configuration ({str(error)[:200]}). "
            "Delete it to start from the beginning."
        ) from None
    return jax.tree.map(_like, stored, like)


def remove_checkpoint(folder: Path) -> None:
    """Delete a checkpoint that is no longer needed.

    Args:
        folder: of the run's checkpoint.
    """
    for place in (folder, *_beside(folder)):
        shutil.rmtree(place, ignore_errors=True)


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _storable(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _like(stored: Any, leaf: Any) -> Any:
    value = jax.random.wrap_key_data(jnp.asarray(stored)) if _is_key(leaf) else stored
    return jax.device_put(value, leaf.sharding)
