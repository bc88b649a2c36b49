"""Several devices: a mesh over scan positions, and the objective's gradient computed in shards.

Automatic partitioning does not split FFTs, so the objective is mapped over shards by hand: each device sees its own
patterns and all of the fields, and gradients are summed once. The gradient is taken outside the mapped function.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, SingleDeviceSharding
from jax.sharding import PartitionSpec as P

from jptycho.types import Array, PyTree

AXIS = "scan"


def use_cpu_cores(count: int) -> bool:
    """Show each CPU core to JAX as a device, so that a scan is shared among them.

    JAX fixes its devices when it is first used; later calls have no effect.

    Args:
        count: devices wanted.

    Returns:
        whether JAX now shows that many.
    """
    try:
        jax.config.update("jax_num_cpu_devices", count)
    except RuntimeError:
        return len(jax.devices("cpu")) == count
    return True


def make_mesh(devices: list[PyTree] | None = None) -> Mesh:
    """A one-dimensional mesh over scan positions.

    Args:
        devices: which; all of the default platform by default.

    Returns:
        the mesh, its only axis named ``"scan"``.
    """
    return Mesh(np.array(jax.devices() if devices is None else devices), (AXIS,))


def shard(mesh: Mesh, array: np.ndarray) -> Array:
    """Put an array of shape (shards, ...) on the devices of a mesh, a shard each.

    Args:
        mesh: of :func:`make_mesh`.
        array: first axis of the length of the mesh.

    Returns:
        the distributed array.
    """
    return jax.device_put(array, NamedSharding(mesh, P(AXIS)))


def replicate(mesh: Mesh, tree: PyTree) -> PyTree:
    """Copy a pytree to every device of a mesh.

    Args:
        mesh: of :func:`make_mesh`.
        tree: arrays.

    Returns:
        fresh copies: donating them does not delete the caller's arrays.
    """
    # Leaves that share a buffer must part here: a buffer cannot be donated twice. First all go to the same devices.
    return copied(jax.device_put(tree, NamedSharding(mesh, P())))


@jax.jit
def copied(tree: PyTree) -> PyTree:
    """Copy a pytree where it is, all leaves in one program.

    Args:
        tree: arrays.

    Returns:
        the same in buffers of their own: donating one does not delete another.
    """
    return jax.tree.map(jnp.copy, tree)


def on_one_device(tree: PyTree) -> PyTree:
    """Take a pytree from the devices of a mesh to the first device of the default platform.

    Args:
        tree: arrays.

    Returns:
        the same on that device alone. Of a device instead of its sharding JAX would keep the mesh in the arrays' types,
        and compile every program a second time for what comes out of it.
    """
    return jax.device_put(tree, SingleDeviceSharding(jax.devices()[0]))


def sum_over_shards(mesh: Mesh, function: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """Map a function over the shards of its later arguments and sum what it returns.

    Args:
        mesh: of :func:`make_mesh`.
        function: ``f(shared, *local)``, each of ``local`` one shard without its leading axis.

    Returns:
        ``F(shared, *sharded)``, each of ``sharded`` with a leading axis of shards; differentiable in ``shared``.
    """

    def local(shared: PyTree, *arrays: PyTree) -> PyTree:
        return function(shared, *(jax.tree.map(lambda x: x[0], a) for a in arrays))

    if mesh.size == 1:
        return local

    def everywhere(shared: PyTree, *arrays: PyTree) -> PyTree:
        specs = (P(), *(P(AXIS) for _ in arrays))
        mapped = jax.shard_map(lambda *args: jax.lax.psum(local(*args), AXIS), mesh=mesh, in_specs=specs, out_specs=P())
        return mapped(shared, *arrays)

    return everywhere


def map_over_shards(mesh: Mesh, function: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """Map a function over the shards of its later arguments and keep what it returns of each.

    Args:
        mesh: of :func:`make_mesh`.
        function: ``f(shared, *local)``, each of ``local`` one shard without its leading axis.

    Returns:
        ``F(shared, *sharded)``, each of ``sharded`` and every array of the result with a leading axis of shards.
    """

    def local(shared: PyTree, *arrays: PyTree) -> PyTree:
        result = function(shared, *(jax.tree.map(lambda x: x[0], a) for a in arrays))
        return jax.tree.map(lambda x: x[None], result)

    if mesh.size == 1:
        return local

    def everywhere(shared: PyTree, *arrays: PyTree) -> PyTree:
        specs = (P(), *(P(AXIS) for _ in arrays))
        return jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=P(AXIS))(shared, *arrays)

    return everywhere


def memory_of_device() -> int:
    """Bytes that the first device offers, or the machine where the device does not say.

    Returns:
        bytes.
    """
    offered = jax.devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
    if offered and "bytes_limit" in offered:
        return int(offered["bytes_limit"])
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
