"""The CPU as the devices that are worth while."""

from __future__ import annotations

from collections.abc import Callable


def use_cores(log: Callable[[str], None]) -> None:
    """Show the CPU to JAX as so many devices, before anything else uses JAX.

    Args:
        log: told why they are fewer than the cores.
    """
    from jptycho.parallel import use_cpu_cores  # noqa: PLC0415
    from jptycho.preprocess.cpu_devices import choose_cpu_devices  # noqa: PLC0415

    use_cpu_cores(choose_cpu_devices(log))
