"""The loss that noise alone gives: by quadrature, and of a run whose model is true."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import poisson

from jptycho.config.objective import LOSSES
from jptycho.forward.fields import Noise
from jptycho.forward.model import predict_batch
from jptycho.objective.losses import FLOOR
from jptycho.solvers.validation import noise_loss

from ..problems import random_fields, setup_for

ELECTRONS = 300.0


def expected(name, rates, read_out=0.0):
    """Mean loss of counts at known rates in electrons, summed over the detector: every count times its probability."""
    total, size = 0.0, rates.size
    n = np.arange(200)
    z, share = np.polynomial.hermite_e.hermegauss(20) if read_out else (np.zeros(1), np.ones(1))
    floor = FLOOR * ELECTRONS / size
    for rate in rates.ravel():
        data = n[:, None] + read_out * z[None]
        weight = poisson.pmf(n, rate)[:, None] * share[None] / share.sum()
        if name == "amplitude":
            loss = 2 * (np.sqrt(rate + floor) - np.sqrt(np.maximum(data, 0) + floor)) ** 2
        else:
            shift = floor + read_out**2
            model, seen = rate + shift, data + shift
            loss = model - seen + seen * np.log(np.where(seen > 0, seen, shift) / model)
        total += (weight * loss).sum()
    return total / ELECTRONS


@pytest.mark.parametrize(("name", "read_out"), [("poisson", 0.0), ("amplitude", 0.0), ("mixed", 0.4)])
def test_noise_alone_gives_what_quadrature_gives(name, read_out):
    fields = random_fields(positions=12, dtype=np.float32)
    noise = Noise(jnp.asarray(ELECTRONS, jnp.float32), jnp.asarray(read_out, jnp.float32))
    setup = setup_for(dose=ELECTRONS, dtype=np.float32, noise=noise)
    found = [float(noise_loss(LOSSES[name], fields, setup, jax.random.key(seed))) for seed in range(60)]
    patterns = np.asarray(predict_batch(fields, setup, fields.scan)) * ELECTRONS
    wanted = np.mean([expected(name, pattern, read_out) for pattern in patterns])
    assert np.mean(found) == pytest.approx(wanted, rel=0.02)
    assert np.std(found) < 0.05 * wanted


def test_a_masked_pixel_adds_no_noise():
    fields = random_fields(positions=3, dtype=np.float32)
    noise = Noise(jnp.asarray(ELECTRONS, jnp.float32), jnp.zeros((), jnp.float32))
    half = np.ones((9, 14))
    half[:, ::2] = 0
    masks = [half, 1 - half, np.ones((9, 14))]
    parts = [
        float(
            noise_loss(LOSSES["poisson"], fields, setup_for(dose=ELECTRONS, dtype=np.float32, noise=noise, mask=m), key)
        )
        for m, key in zip(masks, [jax.random.key(0)] * 3, strict=True)
    ]
    assert parts[0] + parts[1] == pytest.approx(parts[2], rel=1e-4)
