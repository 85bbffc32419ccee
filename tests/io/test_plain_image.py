"""A plain image says what it must to any program: what is written is what is read."""

import numpy as np
import pytest
from astropy.io import fits

from diapipe.errors import WriteError
from diapipe.images import Exposure, MaskedImage, MaskPlane, ObservationInfo
from diapipe.images.sky import icrs_of
from diapipe.io import read_exposure, write_plain_image
from diapipe.simulate import SurveySpec, simulate_survey

SPEC = SurveySpec(width=120, height=100, n_stars=20, n_galaxies=10, n_transients=3, n_bad_columns=3.0)


@pytest.fixture(scope="module")
def raw():
    return simulate_survey(SPEC, rng=np.random.default_rng(2)).frame(4, 2).exposure


def test_what_is_written_is_read(raw, tmp_path):
    """Pixels bit by bit, distorted WCS to a nanodegree, time and detector constants; NaN is no data."""
    write_plain_image(raw, tmp_path / "raw.fits", cards={"INSTRUME": "simulator"})
    back = read_exposure(tmp_path / "raw.fits")
    np.testing.assert_array_equal(back.masked_image.image, raw.masked_image.image)
    x, y = np.array([0.0, 119.0, 40.0]), np.array([0.0, 99.0, 80.0])
    np.testing.assert_allclose(icrs_of(back.wcs, x, y), icrs_of(raw.wcs, x, y), rtol=0, atol=1e-9)
    no_data = (back.masked_image.mask & MaskPlane.NO_DATA) != 0
    np.testing.assert_array_equal(no_data, np.isnan(raw.masked_image.image))
    assert no_data.any()
    info = back.info
    assert (info.visit, info.detector, info.band) == (4, 2, "i")
    assert info.mjd_midpoint == pytest.approx(raw.info.mjd_midpoint, abs=1e-9)
    assert (info.gain, info.read_noise, info.saturation) == (1.6, 9.0, 81250.0)
    assert not back.has_variance
    assert not back.has_mask
    assert back.photo_calib is None
    assert back.metadata["INSTRUME"] == "simulator"


def test_what_is_unknown_is_left_out(tmp_path):
    """No WCS, no time, no gain: no cards that pretend."""
    bare = Exposure(
        name="bare", masked_image=MaskedImage.from_planes(np.ones((5, 6), np.float32)), info=ObservationInfo()
    )
    write_plain_image(bare, tmp_path / "bare.fits", cards={})
    header = fits.getheader(tmp_path / "bare.fits")
    assert not {"MJD-MID", "GAIN", "CTYPE1"} & set(header)


def test_a_file_that_cannot_be_written_leaves_nothing(raw, tmp_path):
    with pytest.raises(WriteError, match="does not exist"):
        write_plain_image(raw, tmp_path / "nowhere" / "raw.fits", cards={})
    assert list(tmp_path.iterdir()) == []
