"""characterize on real frames: a crowded bulge field and resampled, sky-subtracted DECam cut-outs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from scipy import ndimage

from diapipe.images import Exposure, MaskedImage, MaskPlane, ObservationInfo
from diapipe.steps.characterize import characterize

pytestmark = pytest.mark.realdata

DETECTORS = {
    "moa": ObservationInfo(gain=1.9, read_noise=5.0, saturation=55_000.0),
    "decam": ObservationInfo(gain=4.0, read_noise=11.5),
}


def plain(path, detector: str) -> Exposure:
    """Pixels as they are, with the detector constants of the header."""
    with fits.open(path) as file:
        image = file[-1].data.astype(np.float32)
    pixels = MaskedImage.from_planes(image)
    return Exposure(name=path.name, masked_image=pixels, has_variance=False, has_mask=False, info=DETECTORS[detector])


def profile_widths(image, *, lowest: float, highest: float) -> list[float]:
    """FWHM of the brightest stars, measured on the pixels: mean over 8 directions of the cut at half of the peak."""
    peaks = (image == ndimage.maximum_filter(image, 25)) & (image > lowest) & (image < highest)
    widths = []
    reach = np.linspace(-14, 14, 561)
    for y, x in np.argwhere(peaks):
        if min(x, y, image.shape[1] - 1 - x, image.shape[0] - 1 - y) < 15:
            continue
        cuts = []
        for angle in np.linspace(0, np.pi, 8, endpoint=False):
            at = [y + reach * np.sin(angle), x + reach * np.cos(angle)]
            cut = ndimage.map_coordinates(image, at, order=3)
            top = int(np.argmax(cut))
            low = np.flatnonzero(cut[:top] < 0.5 * cut[top])
            high = np.flatnonzero(cut[top:] < 0.5 * cut[top])
            cuts.append((top + high[0] - low[-1]) * 0.05 if len(low) and len(high) else np.nan)
        widths.append(float(np.nanmean(cuts)))
    return widths


@pytest.mark.parametrize("number", ["0001", "0037", "0091", "0128"])
def test_crowded_frame(shared_data, number):
    """FWHM as of the brightest stars to 6%; gain and scatter agree to 15%; less than 1% of the frame masked."""
    exposure = plain(shared_data / f"moa2013blg475/epochs/moa475_I_{number}.fits.fz", "moa")
    found = characterize(exposure)
    widths = profile_widths(found.exposure.masked_image.image, lowest=8_000.0, highest=45_000.0)
    assert found.summary["fwhm_px"] == pytest.approx(np.median(widths), rel=0.06)
    assert found.summary["variance_measured_over_claimed"] == pytest.approx(1.0, abs=0.15)
    assert found.exposure.noise_correlation is None
    mask = found.exposure.masked_image.mask
    assert (mask != 0).mean() < 0.01
    assert (mask[exposure.masked_image.image > 55_000] & MaskPlane.SAT != 0).all()
    assert found.summary["n_psf_stars"] >= 10


@pytest.mark.parametrize("first", [128, 156])
def test_part_of_a_crowded_frame(shared_data, first):
    """Where next to no pixel is free of stars: width to 5% and noise to 15% of what the whole frame gives."""
    whole = plain(shared_data / "moa2013blg475/epochs/moa475_I_0100.fits.fz", "moa")
    cut = np.s_[first : 512 - first, first : 512 - first]
    part = replace(whole, masked_image=MaskedImage.from_planes(whole.masked_image.image[cut]))
    wanted, found = characterize(whole).summary, characterize(part).summary
    assert found["fwhm_px"] == pytest.approx(wanted["fwhm_px"], rel=0.05)
    assert found["sky_sigma"] == pytest.approx(wanted["sky_sigma"], rel=0.15)
    assert found["n_psf_stars"] >= 10


@pytest.mark.parametrize(("name", "axis"), [("OBS04b", 1), ("OBS04c", 0), ("OBS18e", 0)])
def test_resampled_frame(shared_data, name, axis):
    """A sub-pixel shift along one axis: positive at lag 1, negative at lag 2; the first frame is white."""
    folder = shared_data / "sfft_decam/input_data"
    correlation = characterize(plain(folder / f"DEC-{name}.mini.fits", "decam")).exposure.noise_correlation
    along = correlation[4, 4:] if axis == 1 else correlation[4:, 4]
    assert along[1] > 0.15
    assert along[2] < -0.1
    assert characterize(plain(folder / "DEC-OBS04a.mini.fits", "decam")).exposure.noise_correlation is None


def test_sky_subtracted_frame_stays(shared_data):
    """The sky that is left is a tenth of its scatter; the variance is what was measured."""
    exposure = plain(shared_data / "sfft_decam/input_data/DEC-OBS18a.mini.fits", "decam")
    found = characterize(exposure)
    assert np.ptp(found.background.values) < 0.3 * found.summary["sky_sigma"]
    assert abs(found.summary["sky_level"]) < 0.1 * found.summary["sky_sigma"]
    assert "sky was subtracted before" in found.summary["variance_source"]
