"""From settings that can be hashed to an Optax transformation: optimiser, rates, schedule, plateau."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Hashable

import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from jptycho.errors import ConfigError, nearest_name
from jptycho.tracing import is_zero
from jptycho.types import Array, Integer, Number

SMALLEST = 1e-12
"""Adam's ε: gradients are of the order of one over the number of pixels, and the usual 1e-8 would stop them."""
LINE_SEARCH = frozenset({"lbfgs"})
"""Optimisers that evaluate the whole objective along their direction, so they want all patterns in one step."""


@dataclasses.dataclass(frozen=True)
class Optimiser:
    """An Optax optimiser by name; hashable.

    Attributes:
        name: of a function of :mod:`optax` whose first argument is the learning rate.
        options: its further arguments, pairs of name and value.
        warm_up: steps over which the rates rise from zero.
        decay_steps: steps over which the rates then fall on a cosine to a tenth; 0 keeps them.
        last_steps: of these, at the end, before which the rates rise again and then fall on a cosine of their own.
        plateau: (factor, patience in epochs) by which the rates fall where the loss stays; None for never.
    """

    name: str = "adam"
    options: tuple[tuple[str, int | float | bool], ...] = ()
    warm_up: Integer = 0
    decay_steps: Integer = 0
    last_steps: Integer = 0
    plateau: tuple[float, int] | None = None


def check_optimiser(optimiser: Optimiser) -> None:
    """Refuse a name or an option that Optax does not know.

    Args:
        optimiser: the settings.

    Raises:
        ConfigError: what is unknown, and what is known.

    Example:
        >>> check_optimiser(Optimiser("adamm"))
        Traceback (most recent call last):
        jptycho.errors.ConfigError: pixels.optimiser: optax has no optimiser 'adamm'. Did you mean 'adam'?
    """
    known = known_optimisers()
    if optimiser.name not in known:
        hint = nearest_name(optimiser.name, known)
        raise ConfigError(f"pixels.optimiser: optax has no optimiser {optimiser.name!r}.{hint}")
    accepted = set(inspect.signature(getattr(optax, optimiser.name)).parameters) - {"learning_rate"}
    for option, _ in optimiser.options:
        if option not in accepted:
            hint = nearest_name(option, accepted)
            raise ConfigError(f"pixels.optimiser_options: {optimiser.name} has no argument {option!r}.{hint}")
    try:
        _build(dataclasses.replace(optimiser, plateau=None), {"object": 1e-3}, 1).init({"object": jnp.zeros(2)})
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"pixels.optimiser: {optimiser.name} cannot be used with these pixels.optimiser_options ({error}). "
            "Correct them, or use adam."
        ) from None


def known_optimisers() -> list[str]:
    """Functions of Optax that make an optimiser from a learning rate.

    Returns:
        their names.

    Example:
        >>> {"adam", "sgd", "lbfgs"} <= set(known_optimisers())
        True
    """
    return [
        name
        for name, found in vars(optax).items()
        if inspect.isfunction(found) and next(iter(inspect.signature(found).parameters), None) == "learning_rate"
    ]


END = 0.1
"""Share of a rate in which a cosine ends."""


def schedule_of(optimiser: Optimiser, peak: Number) -> optax.Schedule:
    """Warm-up, then constant or a cosine. Optax's own schedules ask in Python how long they are.

    Args:
        optimiser: its numbers of steps.
        peak: learning rate after the warm-up.

    Returns:
        learning rate by step.

    Example:
        >>> schedule = schedule_of(Optimiser(warm_up=2, decay_steps=8), 1.0)
        >>> [round(float(schedule(step)), 2) for step in (0, 1, 2, 10)]
        [0.0, 0.5, 1.0, 0.1]
        >>> schedule = schedule_of(Optimiser(decay_steps=8, last_steps=4), 1.0)
        >>> [round(float(schedule(step)), 2) for step in (0, 3, 4, 8)]
        [1.0, 0.23, 1.0, 0.1]
    """
    warm_up, decay, last = optimiser.warm_up, optimiser.decay_steps, optimiser.last_steps

    def rate(step: ArrayLike) -> Array:
        done, share = jnp.asarray(step) - warm_up, jnp.ones(())
        if not is_zero(decay):
            share = _cosine(done, decay - last)
        if not is_zero(last):
            again = done - (decay - last)
            share = jnp.where(again < 0, share, _cosine(again, last))
        if not is_zero(warm_up):
            share = jnp.where(done < 0, jnp.asarray(step) / warm_up, share)
        return peak * share

    return rate


def _cosine(step: Array, steps: Integer) -> Array:
    """From one to ``END`` over a number of steps, and ``END`` from there on."""
    turn = jnp.pi * jnp.clip(step / steps, 0.0, 1.0)
    return (1 - END) * (0.5 * (1 + jnp.cos(turn))) + END


def build(optimiser: Optimiser, rates: dict[str, Number], steps: int) -> optax.GradientTransformationExtraArgs:
    """The transformation of a dictionary of parameters, each unknown with its own rate; rate 0 holds it.

    Args:
        optimiser: the settings.
        rates: by unknown.
        steps: an epoch, for the plateau.

    Returns:
        an Optax transformation.

    Raises:
        ConfigError: an unknown name or option.
    """
    check_optimiser(optimiser)
    return _build(optimiser, rates, steps)


def _build(optimiser: Optimiser, rates: dict[str, Number], steps: int) -> optax.GradientTransformationExtraArgs:
    make, options = getattr(optax, optimiser.name), dict(optimiser.options)
    if "eps" in inspect.signature(make).parameters:
        options.setdefault("eps", SMALLEST)
    if optimiser.name in LINE_SEARCH:
        # The line search finds the step; parts of the parameters cannot have their own.
        return optax.with_extra_args_support(make(**options))

    def one(rate: Number) -> optax.GradientTransformation:
        return optax.set_to_zero() if is_zero(rate) else make(schedule_of(optimiser, rate), **options)

    parts: dict[Hashable, optax.GradientTransformation] = {name: one(rate) for name, rate in rates.items()}
    labels: dict[str, Hashable] = {name: name for name in rates}
    whole = optax.partition(parts, labels)
    if optimiser.plateau is not None:
        factor, patience = optimiser.plateau
        plateau = optax.contrib.reduce_on_plateau(
            factor=factor, patience=patience, rtol=1e-3, accumulation_size=steps, min_scale=1e-3
        )
        whole = optax.chain(whole, plateau)
    return optax.with_extra_args_support(whole)
