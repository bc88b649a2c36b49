"""What a user adds to the model of a run: unknowns of any number, and effects of the detector that read them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax

from jptycho.config.pixels import GRADIENT
from jptycho.config.run import Config
from jptycho.errors import ConfigError
from jptycho.forward.fields import DetectorEffect
from jptycho.objective.losses import Loss
from jptycho.preprocess.prepare import Problem
from jptycho.randomness import named_key
from jptycho.representations.base import Representation, Unknown
from jptycho.solvers.optimisers import LINE_SEARCH

TAKEN = ("object", "probe", "positions", "tilt", "thickness", "fixed")
"""Names that no further unknown may have."""


@dataclasses.dataclass(frozen=True)
class Extension:
    """What a user brings to a run beyond what its configuration names.

    Attributes:
        unknowns: by name, in addition to object, probe and what ``config.refine`` asks for. Each gives a row for every
            pattern, which the effects find in ``row.extra`` under its name.
        effects: of the detector on the intensity, in their order: functions of intensity and row, whose position is in
            pixels of the canvas. A checkpoint knows them by their ``repr``, so a frozen dataclass serves best. The
            classical solvers want them local, as :func:`jptycho.forward.detector.modulus_constraint` says.
        loss: of each pattern, in place of the one that ``config.loss`` names; None for that.
    """

    unknowns: Mapping[str, Unknown | Representation] = dataclasses.field(default_factory=dict)
    effects: tuple[DetectorEffect, ...] = ()
    loss: Loss | None = None


PLAIN = Extension()
"""The run as its configuration says."""


def extended(problem: Problem, extension: Extension) -> Problem:
    """A scan with the effects of its detector, and with the further unknowns, each where its representation begins.

    Args:
        problem: the scan made ready.
        extension: of the model.

    Returns:
        the scan.
    """
    estimate, extra = problem.estimate, {}
    unknowns = {name: unknown for name, unknown in extension.unknowns.items() if isinstance(unknown, Unknown)}
    for name, unknown in unknowns.items():
        params, constants = unknown.representation.init(named_key(jax.random.key(0), name), estimate)
        extra[name] = unknown.representation.apply(params, constants, None)
    setup = dataclasses.replace(problem.setup, effects=tuple(extension.effects))
    estimate = dataclasses.replace(estimate, extra=extra)
    return dataclasses.replace(problem, setup=setup, estimate=estimate, unknowns=unknowns)


def check_unknowns(config: Config, unknowns: Mapping[str, Unknown | Representation]) -> None:
    """Refuse further unknowns that the solver cannot find, or whose names are taken.

    Args:
        config: as given.
        unknowns: by name.

    Raises:
        ConfigError: which, and what to use instead.
    """
    pixels = config.pixels
    for name, unknown in unknowns.items():
        if pixels.solver != GRADIENT or pixels.optimiser in LINE_SEARCH:
            used = pixels.solver if pixels.solver != GRADIENT else pixels.optimiser
            raise ConfigError(
                f'unknowns: "{used}" optimises object and probe only, found {name!r}. '
                'Use pixels.solver = "gradient" with adam, or remove it.'
            )
        if name in TAKEN:
            raise ConfigError(f"unknowns: {name!r} is an unknown of every run. Choose another name.")
        if not name.isidentifier():
            raise ConfigError(f"unknowns: {name!r} is no name. Use letters, digits and underscores.")
        if not isinstance(unknown, Unknown) or not unknown.rate > 0:
            raise ConfigError(
                f"unknowns: {name!r} is {unknown!r}; expected an Unknown(representation, rate) of positive rate."
            )
