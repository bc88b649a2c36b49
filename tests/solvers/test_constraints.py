"""Denoisers and projections that a representation cannot honour are refused with what to use instead."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jptycho.errors import ConfigError
from jptycho.objective.denoisers import Denoising, TotalVariation
from jptycho.objective.reference import Reference
from jptycho.representations.base import ModelSpec, initialise, render
from jptycho.representations.estimate import Estimate
from jptycho.representations.generated import GeneratedObject
from jptycho.representations.networks.unet import UNetSpec
from jptycho.representations.pixels import ChannelObject, PixelProbe
from jptycho.solvers.constraints import check_denoisers, constrain_params, constrained, require_reference
from jptycho.types import Array

from ..problems import random_fields

PIXELS = ModelSpec(ChannelObject("phase"), PixelProbe())
NETWORKS = ModelSpec(GeneratedObject("phase", UNetSpec(2, 8), 0.01), PixelProbe())
DENOISERS = (Denoising(TotalVariation(), 0.1),)


def negated(channels: Array, level: float) -> Array:
    """No denoiser: it shows in which order and with which level it was called."""
    return level - channels


@dataclasses.dataclass(frozen=True)
class Settings:
    """What of a solver says how unknowns are constrained."""

    model: ModelSpec = PIXELS
    projections: tuple[()] = ()
    denoisers: tuple[Denoising, ...] = ()


def test_denoisers_need_an_object_whose_values_can_be_set():
    check_denoisers(PIXELS, DENOISERS)
    check_denoisers(NETWORKS, ())
    with pytest.raises(ConfigError, match=r"denoisers: TotalVariation\(.*GeneratedObject.*penalties\.tv_phase"):
        check_denoisers(NETWORKS, DENOISERS)


def test_a_reference_is_handed_on_or_asked_for():
    dark = jnp.zeros((4, 6))
    there = Reference(jnp.ones((8, 9)), jnp.zeros((2, 2)), jnp.array([[0, 1]]), dark, dark, (0.3, 0.5))
    assert require_reference(there) is there
    with pytest.raises(ConfigError, match=r"reference: missing; penalties and projections need it\. Give distribute"):
        require_reference(None)


def test_without_denoisers_and_projections_nothing_changes():
    params = {"object": jnp.ones((1, 1, 8, 9))}
    assert not constrained(Settings())
    assert constrain_params(Settings(), params, {}, None) is params


def test_denoisers_act_in_their_order_on_the_object_alone():
    estimate = Estimate(
        jnp.full((1, 1, 20, 24), 0.3),
        random_fields(modes=2, dtype=jnp.float32).probe,
        jnp.full((2, 2), 9.0),
        jnp.zeros(()),
        jnp.zeros(2),
        jnp.ones((20, 24)),
    )
    params, constants = initialise(PIXELS, jax.random.key(0), estimate)
    solver = Settings(denoisers=(Denoising(negated, 1.0), Denoising(negated, 0.2)))
    assert constrained(solver)
    found = render(PIXELS, constrain_params(solver, params, constants, None), constants)
    np.testing.assert_allclose(found.object, np.full((1, 1, 20, 24), 0.2 - (1.0 - 0.3)), atol=1e-6)
    np.testing.assert_allclose(found.probe, estimate.probe, atol=1e-6)
