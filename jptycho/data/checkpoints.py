"""Checkpoints by Orbax: the whole state of a run, so that it goes on as if it had never stopped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jptycho.errors import FormatError

# Orbax is imported where it is used: it takes longer to import than a short reconstruction to run.


def save_checkpoint(folder: Path, tree: Any, facts: dict[str, Any]) -> None:
    """Save a pytree; the previous checkpoint stays until the new one is complete.

    Args:
        folder: of the run's checkpoint.
        tree: arrays; random keys are stored by their data.
        facts: small JSON values that say what the tree belongs to.
    """
    import orbax.checkpoint as ocp  # noqa: PLC0415

    folder = folder.resolve()
    fresh, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    shutil.rmtree(fresh, ignore_errors=True)
    with ocp.StandardCheckpointer() as saver:
        saver.save(fresh / "state", jax.tree.map(_storable, tree))
    (fresh / "facts.json").write_text(json.dumps(facts))
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def load_facts(folder: Path) -> dict[str, Any] | None:
    """What a checkpoint belongs to.

    Args:
        folder: of the run's checkpoint.

    Returns:
        the facts, or None where there is no checkpoint.
    """
    path = folder / "facts.json"
    return json.loads(path.read_text()) if path.exists() else None


def load_checkpoint(folder: Path, like: Any) -> Any:
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
            stored = saver.restore(folder.resolve() / "state", jax.tree.map(_storable, like))
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
    shutil.rmtree(folder, ignore_errors=True)


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _storable(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _like(stored: Any, leaf: Any) -> Any:
    value = jax.random.wrap_key_data(jnp.asarray(stored)) if _is_key(leaf) else stored
    return jax.device_put(value, leaf.sharding)
