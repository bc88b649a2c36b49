"""A result of patterns that were mirrored or turned first is turned back; what only lay otherwise says what to set."""

import dataclasses
import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jptycho
from jptycho.assembly.other_orientation import (
    ORIENTATIONS,
    SAME,
    beam_offset,
    find_orientation,
    turned_back,
    with_beam_moved,
)
from jptycho.assembly.other_start import estimate_from_other
from jptycho.data.dataset import Calibration, from_arrays
from jptycho.data.other_results import OtherResult
from jptycho.forward.model import predict
from jptycho.preprocess.prepare import Problem, prepare
from jptycho.representations.estimate import fields_of

from ..data.other_results.packages import SAMPLING, SCAN, STEP, WINDOW, Made, made

FRAMED = 2e-3
"""Of the strongest pixel, in single precision."""
Y, X = np.meshgrid(*[np.arange(n) - n // 2 for n in WINDOW], indexing="ij")
SMOOTH = np.exp(-(Y**2 + X**2) / 4.8) * np.array([1 + 0.3j * Y - 0.2 * X + 0.1 * X * Y, 0.3 * Y + 0.1j * X + 0.1])
"""Nothing at the border of its window nor at the highest frequency, of which an even number has but one side."""
ONE = dataclasses.replace(made(slices=1), probe=SMOOTH)
WAYS = [
    (transpose, mirrored, about_array)
    for transpose, *mirrored in itertools.product((False, True), repeat=3)
    for about_array in ((False, True) if any(mirrored) else (False,))
]


def slow_patterns(one: Made) -> np.ndarray:
    """Patterns (scan, ky, kx) of a single slice, zero frequency in the centre."""
    shape, out = one.probe.shape[1:], []
    ky, kx = np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij")
    for centre in one.centres:
        pixel = np.round(centre).astype(int)
        moved = np.fft.fft2(one.probe) * np.exp(-2j * np.pi * (ky * (centre - pixel)[0] + kx * (centre - pixel)[1]))
        rows, columns = (np.arange(n) - n // 2 + p for n, p in zip(shape, pixel, strict=True))
        waves = np.fft.ifft2(moved) * one.transmission[0][np.ix_(rows, columns)]
        out.append((np.abs(np.fft.fft2(waves)) ** 2).sum(axis=0))
    return np.fft.fftshift(np.array(out), axes=(1, 2))


PATTERNS = slow_patterns(ONE)


def problem_of(patterns: np.ndarray = PATTERNS, **changes: object) -> Problem:
    pixel = (1 / (SAMPLING[0] * WINDOW[0]), 1 / (SAMPLING[1] * WINDOW[1]))
    known = Calibration(3e5, 15.0, 0.0, (), STEP, pixel, counts_per_electron=1.0)
    known = dataclasses.replace(known, **changes)
    counts = np.round(1e4 * patterns / patterns.max()).reshape(*SCAN, *WINDOW)
    return prepare(from_arrays(counts, known), jptycho.ObjectSpec("complex"), 2)


def as_result(one: Made, sampling: tuple[float, float] = SAMPLING) -> OtherResult:
    phase, absorption = np.angle(one.transmission), -np.log(np.abs(one.transmission))
    return OtherResult("other", phase, absorption, one.probe.astype("c8"), one.centres, sampling)


def turned(transpose: bool, mirrored: list[bool], about_array: bool) -> tuple[Made, np.ndarray, tuple[float, float]]:
    """What a package makes of patterns that it turned with NumPy first: its object, those patterns, its pixels."""
    patterns, transmission, probe, centres = PATTERNS, ONE.transmission, ONE.probe, ONE.centres
    sampling = SAMPLING
    if transpose:
        patterns, transmission, probe = (one.swapaxes(-2, -1) for one in (patterns, transmission, probe))
        centres, sampling = centres[:, ::-1], SAMPLING[::-1]
    for axis in (0, 1):
        if not mirrored[axis]:
            continue
        n = probe.shape[1 + axis]
        where = (np.arange(n) - n // 2).reshape((n, 1) if axis == 0 else (1, n))
        transmission = np.flip(transmission, 1 + axis)
        centres = np.where(np.arange(2) == axis, transmission.shape[1 + axis] - 1 - centres, centres)
        # Mirrored about its centre, number n // 2; patterns about the middle of the array lie a pixel before that.
        probe = np.take(probe, (2 * (n // 2) - np.arange(n)) % n, 1 + axis)
        patterns = np.flip(patterns, 1 + axis)
        if about_array:
            probe = probe * np.exp(-2j * np.pi * where / n)
        else:
            patterns = np.roll(patterns, 1, 1 + axis)
    return Made(transmission, probe, centres), patterns, sampling


@pytest.mark.parametrize(("transpose", "mirrored", "about_array"), WAYS)
def test_a_result_of_turned_patterns_predicts_those_of_the_scan(transpose, mirrored, about_array):
    theirs, patterns, sampling = turned(transpose, mirrored, about_array)
    # What the test calls its result predicts the patterns that were turned.
    np.testing.assert_allclose(slow_patterns(theirs), patterns, atol=FRAMED * patterns.max())
    problem, said = problem_of(), []
    estimate = estimate_from_other(problem, as_result(theirs, sampling), log=said.append)
    assert len(said) == (transpose or any(mirrored))
    setup = dataclasses.replace(problem.setup, centre=jnp.zeros(2))
    fields = fields_of(estimate)
    found = jax.jit(jax.vmap(lambda row, f: predict(f, setup, row), (0, None)))(fields.scan, fields)
    found = np.fft.fftshift(np.asarray(found), axes=(1, 2))
    np.testing.assert_allclose(found * PATTERNS.sum() / found.sum(), PATTERNS, atol=FRAMED * PATTERNS.max())


def test_turning_back_undoes_every_orientation():
    for one in ORIENTATIONS:
        images = np.arange(2 * 6 * 9.0).reshape(2, 6, 9)
        np.testing.assert_array_equal(one.undo(one.apply(images)), images)
    one = as_result(ONE)
    back = turned_back(one, SAME)
    np.testing.assert_array_equal(back.phase, one.phase)
    np.testing.assert_array_equal(back.centres, one.centres)


def test_a_word_says_what_was_done():
    assert [one.words() for one in ORIENTATIONS if one.transpose and not one.mirrored[0] and one.mirrored[1]] == [
        "with their axes swapped and mirrored along x"
    ] * 2


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("made_with", "given"),
    [((0.0, False), (0.0, True)), ((25.0, False), (-40.0, False)), ((25.0, True), (130.0, False))],
)
def test_what_to_set_for_another_orientation_of_the_scan_is_so(known, made_with, given):
    """Its patterns are those of the scan, or say nothing; the scan was laid otherwise."""
    patterns = PATTERNS if known else np.ones_like(PATTERNS)
    right = problem_of(patterns, rotation=made_with[0], transpose=made_with[1])
    theirs = as_result(dataclasses.replace(ONE, centres=np.asarray(right.estimate.positions, float)))
    if known:  # of which the patterns are those of the scan at these places
        theirs, right = _at_these_places(theirs, made_with)
        patterns = np.fft.fftshift(np.asarray(right.counts), axes=(1, 2))
    wrong = problem_of(patterns, rotation=given[0], transpose=given[1])
    with pytest.raises(jptycho.ConfigError) as caught:
        estimate_from_other(wrong, theirs)
    assert ("patterns that lie as these do" in str(caught.value)) == known
    transpose = re.search(r"data\.transpose = (true|false)", str(caught.value))
    rotation = re.search(r"data\.rotation = (-?[\d.]+\d)", str(caught.value))
    assert rotation is not None
    advised = problem_of(
        patterns, rotation=float(rotation[1]), transpose=given[1] if transpose is None else transpose[1] == "true"
    )
    assert estimate_from_other(advised, theirs).positions.shape == (12, 2)
    assert advised.dataset.calibration.rotation == pytest.approx(made_with[0], abs=0.06)
    assert advised.dataset.calibration.transpose == made_with[1]


def _at_these_places(theirs: OtherResult, made_with: tuple[float, bool]) -> tuple[OtherResult, Problem]:
    transmission = np.exp(1j * np.random.default_rng(5).normal(0, 0.5, (1, 64, 64)))
    assert theirs.centres is not None
    one = Made(transmission, ONE.probe, theirs.centres)
    return as_result(one), problem_of(slow_patterns(one), rotation=made_with[0], transpose=made_with[1])


def far_from_centre(shift: tuple[int, int]) -> np.ndarray:
    """Patterns of which the beam lies some pixels off."""
    return np.roll(PATTERNS, shift, axis=(1, 2))


@pytest.mark.parametrize("transpose", [False, True])
def test_a_result_of_centred_patterns_gets_the_beam_of_the_scan(transpose):
    """A package that moves the patterns to their centre of mass has a probe without the ramp that the scan's needs."""
    theirs, _, sampling = turned(transpose, [transpose, False], False)
    patterns, said = far_from_centre((2, -3)), []
    problem = problem_of(patterns)
    estimate = estimate_from_other(problem, as_result(theirs, sampling), log=said.append)
    assert ("turned back" in said[0]) == transpose
    assert re.search(r"moved by \([12]\.\d, -[23]\.\d\) detector pixels", said[-1])
    setup = dataclasses.replace(problem.setup, centre=jnp.zeros(2))
    fields = fields_of(estimate)
    found = jax.jit(jax.vmap(lambda row, f: predict(f, setup, row), (0, None)))(fields.scan, fields)
    found = np.fft.fftshift(np.asarray(found), axes=(1, 2))
    likeness = [np.corrcoef(np.sqrt(found).ravel(), np.sqrt(one).ravel())[0, 1] for one in (patterns, PATTERNS)]
    assert likeness[0] > 0.97 > likeness[1] + 0.1


def test_a_beam_that_lies_where_it_does_is_left_there():
    """Also where the specimen scatters so strongly that the disk of the patterns is not that of the probe."""
    assert not beam_offset(problem_of(), as_result(ONE)).any()
    moved = with_beam_moved(as_result(ONE), np.array([2.0, -3.0]))
    assert not beam_offset(problem_of(far_from_centre((2, -3))), moved).any()


def test_patterns_that_say_nothing_decide_nothing():
    assert find_orientation(problem_of(np.ones_like(PATTERNS)), as_result(ONE)) is None
    assert find_orientation(problem_of(), as_result(dataclasses.replace(ONE, centres=ONE.centres[:3]))) is None
    assert find_orientation(problem_of(), as_result(ONE)) == SAME
