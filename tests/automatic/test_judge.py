"""Losses by pattern against the mean that validates epochs; the paired difference against SciPy's test."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import jptycho
from jptycho.automatic import compare, losses_by_pattern
from jptycho.objective import poisson_loss
from jptycho.preprocess.thinning import hold_out
from jptycho.representations import fields_of
from jptycho.solvers import distribute
from jptycho.solvers.validation import loss_of_fields

SINGLE = 1e-5
"""Relative: sums over patterns in single precision, in another order."""


def test_the_mean_of_all_patterns_is_what_validates_an_epoch(small_scan):
    kept, held, _ = hold_out(jptycho.prepare(small_scan), 0.1, 3)
    fields, mesh = fields_of(kept.estimate), jptycho.make_mesh()
    each = losses_by_pattern(poisson_loss, fields, held.setup, held.counts)
    assert each.shape == (256,)
    assert np.ptp(each) > 0
    mean = loss_of_fields(mesh, poisson_loss, fields, distribute(held.counts, held.setup, mesh))
    np.testing.assert_allclose(jnp.mean(each), mean, rtol=SINGLE)


def test_the_significance_is_that_of_a_paired_test():
    draw = np.random.default_rng(2)
    shared = draw.normal(5.0, 3.0, 400)  # shot noise that both see
    before, after = (shared + draw.normal(mean, 0.1, 400) for mean in (0.02, 0.0))
    found, expected = compare(before, after), stats.ttest_rel(before, after)
    assert found.significance == pytest.approx(expected.statistic, rel=1e-9)
    assert found.significance > 2
    assert abs(stats.ttest_ind(before, after).statistic) < 1  # the noise that drops out
    assert compare(after, before).difference == -found.difference
    assert f"{found.difference:+.3g}" in str(found)


def test_what_predicts_alike_has_no_significance():
    same = np.arange(5.0)
    assert compare(same, same).significance == 0.0
    assert compare(same + 1, same).significance == np.inf
    assert compare(same[:1], same[1:2]).significance == 0.0  # one pattern tells nothing
