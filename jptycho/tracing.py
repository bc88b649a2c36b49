"""Settings as arguments of compiled programs: what they are made of is static, their numbers are traced.

Solvers, representations, penalties and projections are frozen dataclasses. Their fields of type
:data:`jptycho.types.Number` or ``Integer`` differ from scan to scan or from run to run, such as rates, samplings and
weights; a program that :func:`jit_settings` compiles takes them as arrays, so a second scan of equal shape finds it
compiled. A zero stays static: it says that something is off, which is another program.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any, ParamSpec, TypeVar, get_args, get_type_hints

import jax
import numpy as np

from jptycho.types import TRACED, Integer, Number

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def numpy_promotion() -> Iterator[None]:
    """Types and ranks are promoted as by NumPy, whatever JAX is set to: for code of others that relies on it.

    Yields:
        nothing.

    Example:
        >>> with numpy_promotion():
        ...     (jax.numpy.arange(2) * jax.numpy.ones((3, 2))).shape
        (3, 2)
    """
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


class Slot(Enum):
    """Where a number was taken from a skeleton."""

    NUMBER = "number"


@dataclasses.dataclass(frozen=True)
class Skeleton:
    """Settings without their numbers: a class and what its fields hold, in order."""

    cls: type
    values: tuple[Hashable, ...]


@functools.cache
def traced_fields(cls: type) -> frozenset[str]:
    """Fields of a dataclass that are declared as :data:`jptycho.types.Number` or ``Integer``, also within tuples.

    Args:
        cls: the class.

    Returns:
        their names; none where an annotation cannot be evaluated, such as one that names what only the function knows
        in which the class was made.
    """
    try:
        hints = get_type_hints(cls, include_extras=True)
    except Exception:  # whatever an annotation does when it is evaluated, the class is none of ours
        return frozenset()
    return frozenset(name for name, hint in hints.items() if _is_traced(hint))


def _is_traced(hint: Any) -> bool:
    return TRACED in getattr(hint, "__metadata__", ()) or any(_is_traced(part) for part in get_args(hint))


def is_zero(number: object) -> bool:
    """Whether a number is zero already where a program is built; one that is traced never is.

    Args:
        number: of settings.

    Returns:
        whether.

    Example:
        >>> is_zero(0.0), is_zero(0.1)
        (True, False)
    """
    return isinstance(number, int | float | np.number) and bool(number == 0)


def split_settings(settings: Any) -> tuple[Hashable, list[Number | Integer]]:
    """Take the numbers out of settings.

    Args:
        settings: frozen dataclasses, nested or in tuples; whatever else they hold must be hashable. Those without a
            number stay whole; of the others only the fields are kept, not what ``__post_init__`` adds.

    Returns:
        the skeleton, equal for settings that make the same program, and the numbers.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class Step:
        ...     name: str
        ...     rate: Number = 0.0
        >>> split_settings((Step("a", 0.5), Step("b")))[1]
        [0.5]
        >>> split_settings(Step("a", 0.5))[0] == split_settings(Step("a", 0.2))[0]
        True
    """
    numbers: list[Number | Integer] = []
    return _without_numbers(settings, False, numbers), numbers


def _without_numbers(value: Any, traced: bool, numbers: list[Number | Integer]) -> Any:
    if type(value) is tuple:
        return tuple(_without_numbers(item, traced, numbers) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        before, own = len(numbers), traced_fields(type(value))
        names = [field.name for field in dataclasses.fields(value)]
        held = [_without_numbers(getattr(value, name), name in own, numbers) for name in names]
        return value if len(numbers) == before else Skeleton(type(value), tuple(held))
    if not traced or isinstance(value, bool) or is_zero(value):
        return value
    if isinstance(value, int | float | np.number | jax.Array):
        numbers.append(value.item() if isinstance(value, np.number) else value)  # pyright: ignore[reportArgumentType]
        return Slot.NUMBER
    return value


def join_settings(skeleton: Hashable, numbers: list[Number | Integer]) -> Any:
    """Put numbers back into settings.

    Args:
        skeleton: of :func:`split_settings`.
        numbers: as many as were taken, arrays or not.

    Returns:
        the settings.

    Example:
        >>> join_settings(*split_settings((1, "a")))
        (1, 'a')
    """
    return _with_numbers(skeleton, iter(numbers))


def _with_numbers(skeleton: Any, numbers: Iterator[Number | Integer]) -> Any:
    if type(skeleton) is tuple:
        return tuple(_with_numbers(item, numbers) for item in skeleton)
    if isinstance(skeleton, Skeleton):
        # As JAX does with its pytrees, without __init__: a traced number is none to a check of types.
        settings = object.__new__(skeleton.cls)
        for field, value in zip(dataclasses.fields(skeleton.cls), skeleton.values, strict=True):
            object.__setattr__(settings, field.name, _with_numbers(value, numbers))
        return settings
    return next(numbers) if skeleton is Slot.NUMBER else skeleton


def jit_settings(
    *names: str, static: tuple[str, ...] = (), donate: tuple[str, ...] = ()
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """:func:`jax.jit` of a function some of whose arguments are settings.

    Args:
        *names: of these arguments.
        static: further arguments that are hashed and compared.
        donate: arguments whose arrays are donated.

    Returns:
        a decorator; what it gives has ``lower`` as what :func:`jax.jit` gives.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class Scale:
        ...     by: Number
        >>> @jit_settings("scale")
        ... def scaled(scale, x):
        ...     return scale.by * x
        >>> float(scaled(Scale(3.0), 2.0))
        6.0
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        def program(skeletons: tuple[Hashable, ...], numbers: list[list[Number | Integer]], /, **arguments: Any) -> R:
            settings = map(join_settings, skeletons, numbers)
            return function(**dict(zip(names, settings, strict=True)), **arguments)  # pyright: ignore[reportCallIssue]

        program.__name__ = program.__qualname__ = function.__name__
        compiled = jax.jit(program, static_argnums=0, static_argnames=static, donate_argnames=donate)

        def split(*args: Any, **kwargs: Any) -> tuple[tuple[Hashable, ...], list[Any], dict[str, Any]]:
            arguments = signature.bind(*args, **kwargs).arguments
            parts = [split_settings(arguments.pop(name)) for name in names]
            return tuple(part[0] for part in parts), [part[1] for part in parts], arguments

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            skeletons, numbers, arguments = split(*args, **kwargs)
            return compiled(skeletons, numbers, **arguments)

        def lower(*args: P.args, **kwargs: P.kwargs) -> Any:
            skeletons, numbers, arguments = split(*args, **kwargs)
            return compiled.lower(skeletons, numbers, **arguments)

        call.lower = lower  # pyright: ignore[reportAttributeAccessIssue]
        return call

    return decorate
