"""The parabola against closed forms, and its error against what many draws of the noise do."""

import numpy as np
import pytest

from jptycho.automatic.search.parabola import coefficients, find_vertex

BEND = np.array([[3.0, 0.7], [0.7, 1.5]])
PLACE = np.array([0.13, -0.21])


def bowl(points, noise, rng, patterns=200):
    """Scores of a bowl whose patterns each have slopes of their own, as noise gives them."""
    off = points - PLACE
    slopes = noise * rng.normal(size=(patterns, points.shape[1]))
    return 0.5 * np.einsum("ti,ij,tj->t", off, BEND, off)[:, None] + points @ slopes.T + 5.0


def test_the_minimum_of_a_bowl_is_found():
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.5, 0.5, (25, 2))
    found = find_vertex(points, bowl(points, 0.0, rng))
    assert found is not None
    np.testing.assert_allclose(found.place, PLACE, atol=1e-9)
    assert (found.errors < 1e-9).all()
    assert found.used == 2 * coefficients(2) + 3


def test_the_error_is_what_other_electrons_would_move_the_minimum_by():
    """The slopes of 200 patterns of standard deviation 0.3: the mean's move the minimum by H⁻¹ 0.3 / √200."""
    rng, places, errors = np.random.default_rng(1), [], []
    points = rng.uniform(-0.5, 0.5, (15, 2))
    for _ in range(200):
        found = find_vertex(points, bowl(points, 0.3, rng))
        assert found is not None
        places.append(found.place)
        errors.append(found.errors)
    inverse = np.linalg.inv(BEND)
    expected = np.sqrt(np.diag(inverse @ inverse)) * 0.3 / np.sqrt(200)
    np.testing.assert_allclose(np.std(places, axis=0), expected, rtol=0.15)  # 200 draws: 5 % each, three times
    np.testing.assert_allclose(np.mean(errors, axis=0), expected, rtol=0.1)


def test_the_error_is_how_far_rough_scores_move_the_minimum():
    """Scores that scatter by themselves besides, as those of runs do, at other places in every draw."""
    rng, moved, errors = np.random.default_rng(2), [], []
    for _ in range(400):
        points = rng.uniform(-0.5, 0.5, (25, 2))
        found = find_vertex(points, bowl(points, 0.05, rng) + 0.01 * rng.normal(size=(25, 1)))
        if found is not None:
            moved.append((found.place - PLACE) / found.errors)
            errors.append(found.errors)
    assert len(moved) > 380
    within = np.sqrt(np.mean(np.square(moved), axis=0))
    # 400 draws: 4 % each. Trials are chosen by the scores that are fitted, so the error is somewhat too small.
    assert ((within > 0.85) & (within < 1.3)).all(), within
    noise_alone = np.sqrt(np.diag(np.linalg.inv(BEND) @ np.linalg.inv(BEND))) * 0.05 / np.sqrt(200)
    assert (np.median(errors, axis=0) > 2 * noise_alone).all()


@pytest.mark.parametrize(
    "score",
    [lambda x: x, lambda x: -(x**2), lambda x: (x - 3) ** 2, lambda x: 0.01 * x**2 + np.cos(40 * x)],
    ids=["slope", "hill", "minimum beyond", "noise"],
)
def test_where_there_is_no_minimum_none_is_told(score):
    x = np.linspace(-0.5, 0.5, 9)[:, None]
    assert find_vertex(x, score(x) + np.zeros((1, 3))) is None


def test_too_few_trials_or_all_on_a_line_tell_nothing():
    x = np.linspace(-0.5, 0.5, 12)[:, None]
    assert find_vertex(x[:5], x[:5] ** 2 + np.zeros((1, 3))) is None
    line = np.concatenate([x, x], axis=1)
    assert find_vertex(line, (line**2).sum(axis=1, keepdims=True) + np.zeros((1, 3))) is None
