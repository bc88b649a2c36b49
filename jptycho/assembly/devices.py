"""Which devices a stage uses, and in how many parts each works on a step."""

from __future__ import annotations

import jax
from jax.sharding import Mesh

from jptycho.assembly.solver_checks import WHOLE_SCAN
from jptycho.config.run import Config
from jptycho.parallel import make_mesh
from jptycho.preprocess.automatic import choose_micro_batches

LEAST_PATTERNS = 4  # a step on each device


def pixel_mesh(config: Config) -> Mesh:
    """Devices for the pixels: all of them, unless a step holds too little to share.

    Args:
        config: without ``auto``.

    Returns:
        the mesh.
    """
    filled = max(1, int(config.pixels.batch) // LEAST_PATTERNS)
    shared = 1 if config.pixels.solver in WHOLE_SCAN else min(jax.device_count(), filled)
    return make_mesh(jax.devices()[:shared])


def parts_of_step(config: Config, devices: int) -> int:
    """Parts into which a step of pixels is divided, so that memory holds what is computed from each.

    Args:
        config: without ``auto``.
        devices: that share a step.

    Returns:
        at least 1.
    """
    batch, most = int(config.pixels.batch), config.pixels.micro_batch
    if most:
        return -(-max(1, batch // devices) // most)
    return choose_micro_batches(batch, devices, jax.default_backend())


def networks_mesh() -> Mesh:
    """One device on a CPU: convolutions use all cores, and each shard would evaluate the whole network.

    Returns:
        the mesh.
    """
    return make_mesh(jax.devices()[:1]) if jax.default_backend() == "cpu" else make_mesh()
