"""A small difference of known truth, made with NumPy alone: for the tests of what comes after the science."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from astropy.table import Table
from scipy import ndimage

from diapipe.catalogs.stars import StarList
from diapipe.images import (
    Box,
    ChebyshevField,
    Difference,
    Exposure,
    GaussianPsf,
    MaskedImage,
    MaskPlane,
    ObservationInfo,
    SpatialKernel,
)

SCIENCE_SIGMA, TEMPLATE_SIGMA, NOISE = 1.7, 1.3, 10.0
SHAPE = (400, 440)


@dataclass(frozen=True)
class ToyCharacterized:
    exposure: Exposure
    stars: StarList
    summary: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ToyAligned:
    exposure: Exposure
    coverage: float = 0.997
    how: str = "interpolated"
    registration_applied: bool = True


@dataclass(frozen=True)
class ToyRegistration:
    n_matched: int = 57
    order: int = 2
    rms_before_px: float = 0.052
    rms_after_px: float = 0.011
    rms_displacement_px: float = 0.05
    significance: float = 21.0


@dataclass(frozen=True)
class ToyCandidates:
    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    reduced_chi2: np.ndarray
    kept: np.ndarray
    why_rejected: tuple[str, ...]


@dataclass(frozen=True)
class ToyMatch:
    kernel: SpatialKernel
    background: ChebyshevField
    candidates: ToyCandidates
    convolved: str = "template"
    reason: str = "the template was convolved because its PSF is the sharper one"
    spatial_order: int = 1
    basis: str = "one Gaussian"
    relative_error: float = 0.0
    kernel_sum_error: float = 1e-3
    fitted_to: str = "stars"
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ToyCleaned:
    n_cosmic_ray_pixels: int = 12
    streaks: tuple[object, ...] = ()


@dataclass(frozen=True)
class ToyDetections:
    score: MaskedImage
    threshold_sigma: float = 5.0
    searched: str = "difference"


def toy_parts(rng: np.random.Generator, *, noise_scale: float = 1.0, n_stars: int = 80) -> dict[str, Any]:
    """The keyword arguments of `summarize`: perfect subtraction, white noise ``noise_scale`` times what is claimed."""
    box = Box.from_shape(SHAPE)
    x, y, flux = _stars(rng, n_stars)
    sky = _drawn(x, y, flux, SCIENCE_SIGMA)
    template = (sky + rng.normal(0, 0.3 * NOISE, SHAPE)).astype(np.float32)
    transients = np.array([[100.3, 80.2, 3000.0], [300.1, 250.4, -2500.0], [200.0, 350.0, 1500.0]])
    change = _drawn(*transients.T, SCIENCE_SIGMA)
    pixels = (change + rng.normal(0, NOISE * noise_scale, SHAPE)).astype(np.float32)
    mask = np.zeros(SHAPE, np.int32)
    mask[:, 200:202] = int(MaskPlane.BAD)
    for at_x, at_y, _ in transients:
        mask[int(at_y) - 9 : int(at_y) + 10, int(at_x) - 9 : int(at_x) + 10] |= int(MaskPlane.DETECTED)
    planes = MaskedImage(pixels, mask, np.full(SHAPE, NOISE**2, np.float32), box)
    psf = GaussianPsf(SCIENCE_SIGMA)
    info = ObservationInfo(visit=7, band="r", mjd_midpoint=60000.25)
    science = Exposure(
        name="science.fits", info=info, psf=psf,
        masked_image=MaskedImage(template + pixels, mask & int(MaskPlane.BAD), planes.variance, box),
    )  # fmt: skip
    own = Exposure(
        name="template.fits", masked_image=MaskedImage.from_planes(template), psf=GaussianPsf(TEMPLATE_SIGMA)
    )
    width = np.sqrt(SCIENCE_SIGMA**2 - TEMPLATE_SIGMA**2)
    kernel = SpatialKernel.constant(GaussianPsf(width, 15).kernel_image(x=0, y=0), box)
    zeros = np.zeros(n_stars, bool)
    stars = StarList(x, y, flux, np.full(n_stars, 45.0), flux / 18.0, ~zeros, zeros, ~zeros)
    match = ToyMatch(kernel, ChebyshevField.constant(0.5, box), _candidates(stars))
    return {
        "science": ToyCharacterized(science, stars, {"background_sigma": NOISE, "warnings": []}),
        "template": ToyCharacterized(own, stars, {"background_sigma": 0.3 * NOISE}),
        "registration": ToyRegistration(),
        "aligned": ToyAligned(own),
        "match": match,
        "difference": Difference(
            exposure=Exposure(name="difference", masked_image=planes, psf=psf, info=info),
            kernel=kernel,
            background=match.background,
            convolved="template",
            matched_template=MaskedImage.from_planes(template),
        ),
        "cleaned": ToyCleaned(),
        "detections": ToyDetections(_score(planes)),
        "dia_sources": _sources(transients),
        "seconds": {"characterize science": 0.4, "match PSFs": 0.2, "subtract": 0.1},
    }


def _stars(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places and fluxes of stars, brightest first."""
    flux = np.sort(10 ** rng.uniform(3.2, 5.0, n))[::-1]
    return rng.uniform(25, SHAPE[1] - 26, n), rng.uniform(25, SHAPE[0] - 26, n), flux


def _drawn(x: np.ndarray, y: np.ndarray, flux: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian stars on an empty image."""
    image, psf = np.zeros(SHAPE), GaussianPsf(sigma)
    for at_x, at_y, value in zip(x, y, flux, strict=True):
        stamp = Box.around(x=at_x, y=at_y, half=psf.size // 2)
        image[stamp.slices_in(Box.from_shape(SHAPE))] += value * psf.image_at(x=at_x, y=at_y)
    return image


def _candidates(stars: StarList) -> ToyCandidates:
    """The brighter half of the stars, every fifth left out."""
    n = len(stars) // 2
    kept = np.arange(n) % 5 > 0
    why = tuple("" if k else "residual too large" for k in kept)
    return ToyCandidates(stars.x[:n], stars.y[:n], stars.flux[:n], np.ones(n), kept, why)


def _score(planes: MaskedImage) -> MaskedImage:
    """The matched filter of a Gaussian PSF in uniform noise: image * P / (σ √ΣP²)."""
    norm = np.sqrt((GaussianPsf(SCIENCE_SIGMA).kernel_image(x=0, y=0) ** 2).sum())
    score = ndimage.gaussian_filter(planes.image.astype(np.float64), SCIENCE_SIGMA) / (NOISE * norm)
    return MaskedImage(score.astype(np.float32), planes.mask, np.ones(SHAPE, np.float32), planes.box)


def _sources(transients: np.ndarray) -> Table:
    """A catalogue as the measurement makes it: the true sources, and a bad one."""
    x, y, flux = (np.append(column, extra) for column, extra in zip(transients.T, (201.0, 60.0, 900.0), strict=True))
    error = np.full(len(x), 60.0)
    return Table(
        {
            "diaSourceId": np.arange(len(x)),
            "x": x,
            "y": y,
            "ra": np.full(len(x), np.nan),
            "dec": np.full(len(x), np.nan),
            "psfFlux": flux,
            "psfFluxErr": error,
            "snr": flux / error,
            "isNegative": flux < 0,
            "isDipole": np.zeros(len(x), bool),
            "pixelFlags_bad": np.arange(len(x)) == len(x) - 1,
            "dp_bad": np.arange(len(x)) == len(x) - 1,
        }
    )
