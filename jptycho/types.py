"""Array aliases, the decorator for pytree dataclasses, and the sampling of an array.

Dimension names: ``y x`` rows and columns of a detector, probe or object, ``Y X`` of an object canvas,
``slices``, ``modes``, ``scan`` (patterns of a scan), ``batch``.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, dataclass_transform

import jax
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Int, Shaped

__all__ = [
    "TRACED",
    "Array",
    "Bool",
    "Complex",
    "Constants",
    "Float",
    "Grid",
    "Int",
    "Integer",
    "Number",
    "Params",
    "PyTree",
    "Shaped",
    "pytree",
    "static",
]

TRACED = "traced"
if TYPE_CHECKING:
    Number = float
    Integer = int
else:
    Number = Annotated[float | int | np.number | Float[Array, ""], TRACED]
    Integer = Annotated[int | np.integer | Int[Array, ""], TRACED]
"""A number and a whole number of settings that are arguments of compiled programs, where they are scalar arrays; a
``float`` or ``int`` of settings is static. To a type checker they are what a user gives."""

PyTree = Any
"""Arrays in containers whose structure only their maker knows."""
Params = PyTree
"""What an optimiser changes: real leaves."""
Constants = PyTree
"""What a representation keeps beside its parameters."""

T = TypeVar("T")


def static(**kwargs: Any) -> Any:
    """A field of a :func:`pytree` that is hashed and compared instead of traced.

    Args:
        **kwargs: of :func:`dataclasses.field`.

    Returns:
        the field.
    """
    return dataclasses.field(metadata={"static": True}, **kwargs)


@dataclass_transform(frozen_default=True, field_specifiers=(static, dataclasses.field))
def pytree(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass that is a JAX pytree: each field a child, or static where marked.

    JAX rebuilds such an object with leaves that are not arrays (tracers, specs, ``None``), so unflattening
    bypasses ``__init__``: neither validation nor shape checks run there.

    Args:
        cls: a class with annotated fields and no methods.

    Returns:
        the class, registered.

    Example:
        >>> @pytree
        ... class Pair:
        ...     a: float
        ...     unit: str = static(default="Å")
        >>> jax.tree.map(lambda x: 2 * x, Pair(1.0))
        Pair(a=2.0, unit='Å')
    """
    data: Any = dataclasses.dataclass(frozen=True)(cls)
    fields = dataclasses.fields(data)
    children = tuple(f.name for f in fields if not f.metadata.get("static"))
    constants = tuple(f.name for f in fields if f.metadata.get("static"))

    def aux(obj: Any) -> tuple[Any, ...]:
        return tuple(getattr(obj, n) for n in constants)

    def flatten_with_keys(obj: Any) -> tuple[list[tuple[Any, Any]], tuple[Any, ...]]:
        return [(jax.tree_util.GetAttrKey(n), getattr(obj, n)) for n in children], aux(obj)

    def flatten(obj: Any) -> tuple[list[Any], tuple[Any, ...]]:
        return [getattr(obj, n) for n in children], aux(obj)

    def unflatten(values: tuple[Any, ...], leaves: Any) -> Any:
        obj = object.__new__(data)
        for name, value in zip((*constants, *children), (*values, *leaves), strict=True):
            object.__setattr__(obj, name, value)
        return obj

    jax.tree_util.register_pytree_with_keys(data, flatten_with_keys, unflatten, flatten)
    return data


@pytree
class Grid:
    """Shape and real-space sampling of a window.

    Attributes:
        shape: rows and columns (ny, nx) (static).
        sampling: Å a pixel along y and x. In a scan known in pixels only, 1.
    """

    shape: tuple[int, int] = static()
    sampling: tuple[Number, Number]
