"""A scan under another calibration against the same scan made ready anew."""

import dataclasses

import jax
import numpy as np

import jptycho
from jptycho.preprocess.recalibrate import recalibrated

SINGLE = 1e-5
"""Of pixels and amplitudes in single precision: the disk's centre went through it once."""
SPEC = jptycho.ObjectSpec("phase", 2, 9.0)


def changed(scan, **values):
    return dataclasses.replace(scan, calibration=dataclasses.replace(scan.calibration, **values))


def test_it_is_what_preparing_anew_gives(small_scan):
    other = changed(small_scan, defocus=160.0, rotation=7.0, semiangle_cutoff=18.0)
    found = recalibrated(jptycho.prepare(small_scan), other, SPEC, 2)
    wanted = jptycho.prepare(other, SPEC, 2)
    assert found.dataset is other
    np.testing.assert_allclose(found.origin, wanted.origin, atol=1e-9)
    for one, two in zip(jax.tree.leaves(found.estimate), jax.tree.leaves(wanted.estimate), strict=True):
        assert one.shape == two.shape
        np.testing.assert_allclose(one, two, atol=SINGLE * max(1.0, float(np.abs(two).max())))


def test_on_a_wider_canvas_every_position_stays_where_it_was(small_scan):
    narrow, turned = jptycho.prepare(small_scan), changed(small_scan, rotation=20.0)
    rows, columns = narrow.estimate.object.shape[-2:]
    wide = recalibrated(narrow, turned, SPEC, canvas=(rows + 48, columns + 40))
    assert wide.estimate.object.shape[-2:] == (rows + 48, columns + 40)
    sampling = np.asarray(wide.setup.grid.sampling)
    places = np.asarray(wide.estimate.positions) * sampling + wide.origin
    angle, points = np.radians(20.0), np.asarray(small_scan.positions)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    np.testing.assert_allclose(places, points @ matrix.T, atol=1e-4)  # Å
    half = np.asarray(wide.setup.grid.shape) // 2
    assert (np.asarray(wide.estimate.positions) - half > 0).all()
    assert (np.asarray(wide.estimate.positions) + half < wide.estimate.object.shape[-2:]).all()
