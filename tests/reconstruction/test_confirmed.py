"""What the kinds of object admit."""

import jax.numpy as jnp
import numpy as np
import pytest

from jptycho.reconstruction.confirmed import summarise_gains
from jptycho.representations.object_kinds import admit


@pytest.mark.parametrize("kind", ["phase", "potential", "complex"])
def test_a_kind_admits_the_nearest_that_it_can_be(kind: str):
    """A phase has any sign, a potential none below zero, and nothing gives off electrons."""
    channels = np.random.default_rng(0).normal(size=(3, 2 if kind == "complex" else 1, 4, 5)).astype(np.float32)
    found = np.asarray(admit(kind, jnp.asarray(channels)))
    for s in range(3):
        for i in range(4):
            for j in range(5):
                phase = channels[s, 0, i, j]
                assert found[s, 0, i, j] == (0.0 if kind == "potential" and phase < 0 else phase)
                if kind == "complex":
                    assert found[s, 1, i, j] == max(channels[s, 1, i, j], 0.0)
    np.testing.assert_array_equal(admit(kind, jnp.asarray(found)), found)


def test_gains_are_told_from_coarse_to_fine():
    assert summarise_gains(jnp.array([1.0, 0.254, 0.0])).endswith("of 3 bands, from coarse to fine: 1.00 0.25 0.00")
