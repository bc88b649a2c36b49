"""A result in a notebook: short, light, and with a scale bar of the length that it says."""

import base64
import io
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from jptycho.data.display import grey_png, phase_picture
from tests.report.results import made_up


def decoded(png: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(png))
    assert image.mode == "L"
    return np.asarray(image)


def test_a_picture_is_read_back_as_it_was_written():
    image = np.random.default_rng(0).integers(0, 256, (13, 29), np.uint8)
    np.testing.assert_array_equal(decoded(grey_png(image)), image)


def test_a_result_is_one_line():
    text = repr(made_up(slices=1))
    assert text == ("Result(dgp, done: phase of 1 slice of 40 x 50 pixels of 0.4 Å, 3 modes, 3 epochs, loss 0.03125)")
    assert repr([made_up(absorption=np.zeros((2, 40, 50)))]).startswith("[Result(dgp, done: phase and absorption of 2")


def test_pixels_are_shown_as_wide_as_they_are_high():
    """30 x 36 pixels of 0.4 x 0.25 Å: 12 x 9 Å, at 0.25 Å a pixel of the picture."""
    picture, length = phase_picture(made_up())
    image = decoded(picture)
    assert image.shape == (48, 36)
    assert length == 2.0
    bright = np.flatnonzero((image == 255).sum(axis=1) >= 8)
    assert len(bright)
    row = image[bright[-1]]
    assert re.search(rb"\xff{8}", row.tobytes())  # 2 Å are eight pixels


def test_dark_and_bright_are_those_of_the_projected_phase():
    phase = np.zeros((2, 40, 50))
    phase[:, 5:20, 8:44] = 1.0
    image = decoded(phase_picture(made_up(phase=phase))[0])
    assert (image[:23] == 255).all()
    assert (image[25:40] == 0).all()


def test_a_large_result_is_a_small_picture():
    phase = np.random.default_rng(0).normal(size=(1, 2000, 1500))
    picture, _ = phase_picture(made_up(phase=phase, field_of_view=(0, 2000, 0, 1500)))
    assert max(decoded(picture).shape) <= 512


@pytest.mark.parametrize("phase", [np.zeros((1, 40, 50)), np.full((1, 40, 50), np.nan)])
def test_a_flat_or_broken_phase_is_shown_too(phase: np.ndarray):
    assert decoded(phase_picture(made_up(phase=phase))[0]).shape == (48, 36)


def test_a_notebook_shows_the_phase_and_what_was_done():
    made = made_up()
    page = made_up(attributes={**made.attributes, "objective": "loss: <b>poisson</b>\nheld out: none"})._repr_html_()
    (source,) = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert decoded(base64.b64decode(source)).shape == (48, 36)
    assert "bar 2 Å" in page
    assert "0.4 x 0.25 Å" in page
    assert "half sets, dgp" in page
    assert "loss: &lt;b&gt;poisson&lt;/b&gt;" in page
    assert "held out: none" in page
    assert len(page) < 40_000


def test_showing_a_result_imports_nothing_heavy():
    program = (
        "import sys; import jptycho; from jptycho.data import display; "
        "assert not {'matplotlib', 'PIL', 'IPython', 'tifffile', 'zarr'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
