"""What a kernel leaves at each star, told by the numbers that judge it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import signal, stats

from diapipe.catalogs.sources import SourceList
from diapipe.errors import InputError
from diapipe.images import MaskPlane, SpatialKernel
from diapipe.steps.match import AlardLupton, DeltaFunction, candidate_quality, match, quality_summary
from diapipe.steps.match.candidate_quality import BAD, GOOD, UNKNOWN
from gaussian_sky import Sky, masked, with_planes

SKY = Sky(n_stars=48, brightest=4e4, faintest=8e3, noise_template=0.5, background=7.0)
BRIGHT = dataclasses.replace(SKY, brightest=4e5, faintest=8e4)
ALGORITHM = AlardLupton(spatial_order=1)
WIDTH = np.sqrt(SKY.sigma_science**2 - SKY.sigma_template**2)
N_PIXELS = 33**2


class Scene:
    """A pair, its stars as sources, and a match fitted to all but every fourth of them."""

    def __init__(self, rng, sky=SKY):
        stars = sky.stars(rng)
        self.stars, (self.science, self.template) = stars, sky.exposures(rng, stars)
        self.sources = SourceList.of_stars(stars)
        self.is_control = np.arange(len(stars)) % 4 == 0
        self.match = match(self.science, self.template, stars.select(~self.is_control), algorithm=ALGORITHM)

    def quality(self, *, found=None, sources=None, science=None):
        return candidate_quality(
            self.match if found is None else found,
            self.science if science is None else science,
            self.template,
            self.sources if sources is None else sources,
            algorithm=ALGORITHM,
        )


@pytest.fixture
def scene(rng):
    return Scene(rng)


def test_a_right_kernel_leaves_noise(scene):
    """χ² is 1 at every star, to four times √(2/1089), and on average to three of it; the other moments are those of a
    Gaussian; the probabilities of 48 stars are uniform; A² exceeds its 15% value about as often as that.
    """
    found = scene.quality()
    sigma = np.sqrt(2.0 / N_PIXELS)
    for suffix in ("LOCAL", "SPATIAL"):
        chi2 = found[f"KCDiffimChiSq_{suffix}"]
        assert np.abs(chi2 - 1.0).max() < 4.0 * sigma
        assert chi2.mean() == pytest.approx(1.0, abs=3.0 * sigma / np.sqrt(48))
    assert np.abs(found["KCDiffimMean_SPATIAL"]).max() < 4.0 / np.sqrt(N_PIXELS)
    assert np.abs(found["KCDiffimMedian_SPATIAL"]).max() < 4.0 * 1.253 / np.sqrt(N_PIXELS)
    np.testing.assert_allclose(found["KCDiffimIQR_SPATIAL"], 1.349, rtol=4 * 1.17 / np.sqrt(N_PIXELS))
    np.testing.assert_allclose(found["KCDiffimMseResids_SPATIAL"], found["KCDiffimChiSq_SPATIAL"], rtol=1e-12)
    assert stats.kstest(found["KCDiffimKSProb_SPATIAL"], "uniform").pvalue > 0.01
    share = (found["KCDiffimADA2_SPATIAL"] > found["KCDiffimADCrit_SPATIAL"][:, 0]).mean()
    assert share == pytest.approx(0.15, abs=3 * np.sqrt(0.15 * 0.85 / 48))


@pytest.mark.parametrize("noise_template", [0.5, 10.0])
def test_controls_are_as_the_kernels_own(rng, noise_template):
    """Stars that the kernel was not fitted to have the χ² of those that it was, to three errors of the means, for a
    template as deep as the science image too.
    """
    scene = Scene(rng, dataclasses.replace(SKY, noise_template=noise_template))
    chi2 = np.asarray(scene.quality()["KCDiffimChiSq_SPATIAL"])
    of_control, of_kernel = chi2[scene.is_control], chi2[~scene.is_control]
    error = np.sqrt(2.0 / N_PIXELS) * np.sqrt(1 / len(of_control) + 1 / len(of_kernel))
    assert of_control.mean() - of_kernel.mean() == pytest.approx(0.0, abs=3 * error)


def test_a_wrong_kernel_is_found_out(scene):
    """A template that is not convolved at all: χ² far above 1, at the brighter half no chance that it is noise; fits
    of the stamps alone are not touched by it.
    """
    wrong = _unconvolved(scene)
    found, right = scene.quality(found=wrong), scene.quality()
    assert found["KCDiffimChiSq_SPATIAL"].min() > 1.5
    assert found["KCDiffimKSProb_SPATIAL"][:24].max() < 1e-3
    assert (found["KCDiffimADA2_SPATIAL"] > found["KCDiffimADCrit_SPATIAL"][:, -1]).all()
    np.testing.assert_array_equal(found["KCDiffimChiSq_LOCAL"], right["KCDiffimChiSq_LOCAL"])


def _unconvolved(scene):
    """The match with a kernel that does nothing."""
    delta = np.zeros((scene.match.kernel.size,) * 2)
    delta[len(delta) // 2, len(delta) // 2] = 1.0
    return dataclasses.replace(scene.match, kernel=SpatialKernel.constant(delta, scene.science.box))


def test_spatial_and_local_kernels_are_compared(rng):
    """Their mean square is small for a right kernel, of which the noise of the local ones alone is left; for one that
    does nothing it is twenty times that and more, the mean square of δ - K, K the Gaussian between the PSFs:
    (1 - 2 K(0) + ΣK²) / size², to 10%, for of all the kernel its finest structure, K(0), is known least.
    """
    scene = Scene(rng, BRIGHT)
    right, wrong = (
        np.median(scene.quality(found=found)["KCDiffimMseKernel_SPATIAL"])
        for found in (scene.match, _unconvolved(scene))
    )
    variance = WIDTH**2
    expected = (1.0 - 2.0 / (2 * np.pi * variance) + 1.0 / (4 * np.pi * variance)) / scene.match.kernel.size**2
    assert wrong == pytest.approx(expected, rel=0.1)
    assert right < 0.05 * expected


def test_the_numbers_are_those_of_the_plain_way(scene):
    """Kernel at the star, convolution of the whole template with it, residual over noise on the stamp: one star."""
    found = scene.quality()
    k = 7
    x, y = scene.stars.x[k], scene.stars.y[k]
    kernel = scene.match.kernel.image_at(x=x, y=y)
    model = signal.fftconvolve(scene.template.masked_image.image.astype(float), kernel, mode="same")
    residual = scene.science.masked_image.image - model - float(scene.match.background.at(x=x, y=y))
    pull = residual / np.sqrt(SKY.noise_science**2 + (kernel**2).sum() * SKY.noise_template**2)
    half = (int(np.sqrt(N_PIXELS)) - 1) // 2
    row, column = round(y), round(x)
    pull = pull[row - half : row + half + 1, column - half : column + half + 1]
    assert pull.shape == (33, 33)
    expected = {
        "Mean": pull.mean(),
        "Median": np.median(pull),
        "IQR": np.subtract(*np.percentile(pull, [75, 25])),
        "StDev": pull.std(),
        "KSD": stats.kstest(pull.ravel(), "norm").statistic,
        "KSProb": stats.kstest(pull.ravel(), "norm").pvalue,
        "ChiSq": (pull**2).mean(),
    }
    for name, value in expected.items():
        assert found[f"KCDiffim{name}_SPATIAL"][k] == pytest.approx(value, rel=2e-3, abs=2e-4), name
    offset = np.arange(len(kernel)) - len(kernel) // 2
    assert found["KCKernelCentX_SPATIAL"][k] == pytest.approx((kernel * offset).sum() / kernel.sum(), abs=1e-9)
    change = kernel - np.tensordot(found["KernelCoeffValues_LOCAL"][k], _basis_images(scene), axes=1)
    assert found["KCDiffimMseKernel_SPATIAL"][k] == pytest.approx((change**2).mean(), rel=1e-6)


def _basis_images(scene):
    sigmas = {
        "target_sigma_px": scene.template.psf.sigma_at(x=0, y=0),
        "reference_sigma_px": scene.science.psf.sigma_at(x=0, y=0),
    }
    return ALGORITHM.sized_basis(**sigmas).basis.images


def test_centre_width_and_constant_of_the_kernels(rng):
    """Between two Gaussians √(σ_S² - σ_T²), centred; the background is the 7 counts that were added.

    Stars of S/N 1200 have centres known to 1.9 √2 / 1200 = 2 mpx; the moments of a kernel weigh its wings, of which
    stamps say less: five times that for the centres, 2% for the widths.
    """
    found = Scene(rng, BRIGHT).quality()
    for suffix in ("LOCAL", "SPATIAL"):
        for axis in "XY":
            assert np.median(found[f"KCKernelStd{axis}_{suffix}"]) == pytest.approx(WIDTH, rel=0.02)
            assert np.median(found[f"KCKernelCent{axis}_{suffix}"]) == pytest.approx(0.0, abs=0.01)
    assert np.median(found["BackgroundValue_LOCAL"]) == pytest.approx(7.0, abs=4 * 1.25 * 10 / 33 / np.sqrt(48))


def test_a_displaced_template_displaces_the_kernel(rng):
    """Science stars 1 px to the right and 1 px down of the template's: the kernel's centroid is (1, -1), to 0.01 px."""
    scene = Scene(rng, BRIGHT)
    scene.science = with_planes(scene.science, image=np.roll(scene.science.masked_image.image, (-1, 1), (0, 1)))
    stars = dataclasses.replace(scene.stars, x=scene.stars.x + 1, y=scene.stars.y - 1)
    found = scene.quality(
        found=match(scene.science, scene.template, stars, algorithm=ALGORITHM), sources=SourceList.of_stars(stars)
    )
    for suffix in ("SPATIAL", "LOCAL"):
        assert np.median(found[f"KCKernelCentX_{suffix}"]) == pytest.approx(1.0, abs=0.01)
        assert np.median(found[f"KCKernelCentY_{suffix}"]) == pytest.approx(-1.0, abs=0.01)


def test_what_became_of_each_source(scene):
    """Used, never shown to the fit, and rejected: one that became twice as bright between the images."""
    row, column = round(scene.stars.y[5]), round(scene.stars.x[5])
    image = scene.science.masked_image.image.copy()
    cut = np.s_[row - 8 : row + 9, column - 8 : column + 9]
    image[cut] *= 2.0
    changed = with_planes(scene.science, image=image)
    found = match(changed, scene.template, scene.stars.select(~scene.is_control), algorithm=ALGORITHM)
    quality = scene.quality(found=found, science=changed)
    expected = np.where(scene.is_control, UNKNOWN, GOOD)
    expected[5] = BAD
    np.testing.assert_array_equal(quality["KCKernelStatus_LOCAL"], expected)
    assert quality["KCDiffimChiSq_SPATIAL"][5] > 5.0


def test_without_pixels_there_are_no_numbers(scene):
    """A source on masked pixels has NaN, the others are not touched; no sources make a table with all columns."""
    row, column = round(scene.stars.y[5]), round(scene.stars.x[5])
    hole = masked(scene.science, slice(row - 20, row + 21), slice(column - 20, column + 21), MaskPlane.BAD)
    found, whole = scene.quality(science=hole), scene.quality()
    for name in ("KCDiffimChiSq_LOCAL", "KCDiffimKSProb_SPATIAL", "KCDiffimADA2_SPATIAL", "BackgroundValue_LOCAL"):
        assert np.isnan(found[name][5]), name
    np.testing.assert_array_equal(found["KCDiffimChiSq_SPATIAL"][9], whole["KCDiffimChiSq_SPATIAL"][9])
    nothing = scene.quality(sources=scene.sources.select(np.zeros(48, bool)))
    assert nothing.colnames == whole.colnames
    assert len(nothing) == 0
    assert np.isnan(quality_summary(nothing)["KCDiffimMean_LOCAL_MEAN"])


def test_off_the_image_there_are_no_numbers(scene):
    """Nowhere at all, and beyond the border."""
    sources = dataclasses.replace(scene.sources, x=np.r_[np.nan, -30.0, scene.sources.x[2:]])
    found, whole = scene.quality(sources=sources), scene.quality()
    for name in ("KCDiffimChiSq_LOCAL", "KCDiffimChiSq_SPATIAL", "KCKernelCentX_SPATIAL", "KCDiffimMseKernel_SPATIAL"):
        assert np.isnan(found[name][:2]).all()
        np.testing.assert_array_equal(found[name][2:], whole[name][2:])


def test_columns_are_those_of_lsst(scene):
    """SPEC B.6, with its suffixes; A-D has five critical values and their significance."""
    found = scene.quality(sources=scene.sources.select(np.arange(3)))
    both = ["Diffim" + name for name in ("Mean", "Median", "IQR", "StDev", "KSD", "KSProb", "ADA2", "ADCrit", "ADSig")]
    both += ["DiffimChiSq", "DiffimMseResids", "KernelCentX", "KernelCentY", "KernelStdX", "KernelStdY"]
    expected = {f"KC{name}_{suffix}" for name in both for suffix in ("LOCAL", "SPATIAL")}
    expected |= {"KernelCandidateId_LOCAL", "KernelCandidateId_SPATIAL", "KCKernelStatus_LOCAL"}
    expected |= {"KernelCoeffValues_LOCAL", "BackgroundValue_LOCAL", "KCDiffimMseKernel_SPATIAL"}
    assert set(found.colnames) == expected
    assert found["KCDiffimADCrit_LOCAL"].shape == (3, 5)
    assert found["KCDiffimADSig_LOCAL"][0].tolist() == [15.0, 10.0, 5.0, 2.5, 1.0]
    assert found["KernelCandidateId_LOCAL"].tolist() == [1, 2, 3]


def test_the_summary_is_over_the_sources(scene):
    """Mean, median and standard deviation of the finite values, by the names that the metadata has."""
    found = scene.quality()
    summary = quality_summary(found)
    values = np.asarray(found["KCDiffimChiSq_SPATIAL"])
    assert summary["KCDiffimChiSq_SPATIAL_MEAN"] == pytest.approx(values.mean())
    assert summary["KCDiffimChiSq_SPATIAL_MEDIAN"] == pytest.approx(np.median(values))
    assert summary["KCDiffimChiSq_SPATIAL_STDEV"] == pytest.approx(values.std())
    assert len(summary) == 3 * (2 * 8 + 1)
    found["KCDiffimChiSq_SPATIAL"][0] = np.nan
    assert quality_summary(found)["KCDiffimChiSq_SPATIAL_MEAN"] == pytest.approx(values[1:].mean())


def test_a_psf_is_needed_to_judge(scene):
    with pytest.raises(InputError, match="science and template must both have a PSF for their kernel to be judged"):
        scene.quality(science=dataclasses.replace(scene.science, psf=None))


def test_free_pixels_are_judged_too(scene):
    """A basis of single pixels, held smooth: its own fits leave noise as well, of which the penalty takes a part."""
    algorithm = DeltaFunction(kernel_half_px=6, spatial_order=0)
    found = match(scene.science, scene.template, scene.stars, algorithm=algorithm)
    quality = candidate_quality(
        found, scene.science, scene.template, scene.sources.select(np.arange(12)), algorithm=algorithm
    )
    assert quality["KCDiffimChiSq_SPATIAL"].mean() == pytest.approx(1.0, abs=4 * np.sqrt(2.0 / N_PIXELS / 12))
    assert (quality["KCDiffimMseResids_LOCAL"] < quality["KCDiffimMseResids_SPATIAL"]).all()
