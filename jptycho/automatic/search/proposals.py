"""What to try next, by Optuna: the one place that knows it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from jptycho.automatic.search.ranges import Range
from jptycho.errors import ConfigError
from jptycho.randomness import named_seed

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

FIRST = 8
"""Trials at random before the sampler looks at scores."""


def check_optuna() -> None:
    """Refuse a search where Optuna is not installed.

    Raises:
        ConfigError: it is not.
    """
    try:
        import optuna  # noqa: F401, PLC0415
    except ImportError:
        raise ConfigError("search: optuna is not installed. Install it: pip install 'jptycho[search]'.") from None


def propose(
    ranges: Sequence[Range], tried: Sequence[tuple[Mapping[str, float], float | None]], seed: int, number: int
) -> dict[str, float]:
    """Values to try next, from what was tried: by a tree-structured Parzen estimator of all settings together.

    It is made anew for every trial, its random numbers those of the trial's number, so that a search that goes on
    tries the same as one that was not interrupted.

    Args:
        ranges: of what is searched over.
        tried: values and score, smaller ones better; None where there is none, for it diverged.
        seed: of the search.
        number: of the trial.

    Returns:
        values by name.

    Source:
        Bergstra et al., NeurIPS 24 (2011); Akiba et al., Optuna, KDD (2019).
    """
    import optuna  # noqa: PLC0415

    with _quiet():
        drawn = int(np.random.default_rng(named_seed(seed, "search", number)).integers(2**31))
        sampler = optuna.samplers.TPESampler(seed=drawn, multivariate=True, n_startup_trials=FIRST)
        study = optuna.create_study(direction="minimize", sampler=sampler)
        kinds = {one.name: _distribution(one) for one in ranges}
        for values, score in tried:
            state = optuna.trial.TrialState.PRUNED if score is None else optuna.trial.TrialState.COMPLETE
            params = {one.name: int(values[one.name]) if one.whole else values[one.name] for one in ranges}
            study.add_trial(optuna.trial.create_trial(params=params, distributions=kinds, value=score, state=state))
        return {name: float(value) for name, value in study.ask(kinds).params.items()}


def _distribution(one: Range) -> BaseDistribution:
    import optuna  # noqa: PLC0415

    if one.whole:
        return optuna.distributions.IntDistribution(int(one.low), int(one.high))
    return optuna.distributions.FloatDistribution(one.low, one.high)


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna without its log, which is set again."""
    import optuna  # noqa: PLC0415

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
