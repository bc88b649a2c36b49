"""Where a probe should be dark, and penalties that would have no effect."""

import jax.numpy as jnp
import numpy as np
import pytest

from jptycho.errors import ConfigError
from jptycho.objective.penalties import Penalty, probe_aperture, probe_support
from jptycho.objective.penalties.base import Term
from jptycho.objective.reference import Reference
from jptycho.preprocess.reference import check_reference, outside_circle

FULL, PART = jnp.zeros((6, 8)), jnp.zeros((6, 8)).at[3, 4].set(1.0)


def reference(support: jnp.ndarray, aperture: jnp.ndarray) -> Reference:
    return Reference(jnp.ones((9, 12)), jnp.zeros((2, 2)), jnp.array([[0, 1]]), support, aperture, (0.3, 0.5))


@pytest.mark.parametrize(
    ("term", "other", "good", "bad"),
    [
        (probe_support, probe_aperture, reference(PART, FULL), reference(FULL, PART)),
        (probe_aperture, probe_support, reference(FULL, PART), reference(PART, FULL)),
    ],
)
def test_a_penalty_of_an_empty_region_is_refused(term: Term, other: Term, good: Reference, bad: Reference):
    check_reference(good, (Penalty(term, 1.0),))
    check_reference(bad, (Penalty(other, 1.0),))
    check_reference(bad, ())
    with pytest.raises(ConfigError, match=rf"penalties\.{term.__name__}: nothing of the probe's window lies outside"):
        check_reference(bad, (Penalty(other, 1.0), Penalty(term, 1.0)))


def test_a_probe_should_be_dark_beyond_its_radius_in_real_units():
    dark = outside_circle(np.ones((9, 14)), (0.31, 0.47), 1.0)
    for i in range(9):
        for j in range(14):
            y, x = min(i, 9 - i) * 0.31, min(j, 14 - j) * 0.47
            assert dark[i, j] == (y * y + x * x > 1.0)


def test_without_a_radius_the_probe_s_own_light_is_inside():
    """A Gaussian of standard deviation 2 Å holds 99 % of its intensity within 3.03 standard deviations of it."""
    y, x = (np.fft.fftfreq(n) * n * d for n, d in zip((120, 100), (0.25, 0.3), strict=True))
    power = np.exp(-(y[:, None] ** 2 + x[None] ** 2) / (2 * 2.0**2))
    dark = outside_circle(power, (0.25, 0.3), None)
    radius = np.sqrt(2 * np.log(100)) * 2.0 * 1.5
    inside = (dark == 0).sum() * 0.25 * 0.3
    assert inside == pytest.approx(np.pi * radius**2, rel=0.02)
    assert dark[0, 0] == 0
