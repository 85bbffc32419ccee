"""Strategies that draw exposures and differences with everything that they can hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.wcs import WCS, Sip
from hypothesis import strategies as st

from diapipe.images import (
    BlendedPart,
    BlendedPsf,
    Box,
    ChebyshevField,
    CoaddComponent,
    CoaddPsf,
    ConvolvedPsf,
    Difference,
    Exposure,
    GaussianPsf,
    ImageField,
    MaskedImage,
    MaskPlane,
    MeshField,
    ObservationInfo,
    PhotoCalib,
    PolynomialPsf,
    Psf,
    PsfexPsf,
    SpatialKernel,
    WeightMap,
)
from diapipe.images.pixel_map import PixelMap
from diapipe.images.psf import StackedPsf, WarpedPsf
from diapipe.numerics.interpolant import Interpolant

generators = st.integers(0, 2**32 - 1).map(np.random.default_rng)
positive = st.floats(1e-3, 1e3)
any_float = st.floats(allow_nan=True, allow_infinity=True)
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=90)
boxes = st.builds(
    lambda y, x, height, width: Box(y, y + height, x, x + width),
    st.integers(-5000, 5000),
    st.integers(-5000, 5000),
    st.integers(1, 40),
    st.integers(1, 40),
)
scalars = st.booleans() | st.integers(-(2**70), 2**70) | any_float | words


@st.composite
def masked_images(draw: Any, box: Box) -> MaskedImage:
    """Noise with every kind of number that float32 has, and every plane of the mask."""
    rng = draw(generators)
    image, variance = rng.normal(0, 1e3, (2, *box.shape)).astype(np.float32)
    odd = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45, 3e38], np.float32)
    for plane in (image, variance):
        np.put(plane, rng.integers(0, plane.size, 3), rng.choice(odd, 3))
    mask = rng.integers(0, 2 * int(MaskPlane.HIGH_VARIANCE), box.shape, dtype=np.int32)
    return MaskedImage(image, mask, variance, box)


@st.composite
def skies(draw: Any) -> WCS:
    """TAN, with the polynomials of SIP or of SCAMP, or a projection with parameters, tangent anywhere."""
    kind = draw(st.sampled_from(["TAN", "TAN-SIP", "TPV", "ZPN", "STG"]))
    rng = draw(generators)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [f"RA---{kind}", f"DEC--{kind}"]
    wcs.wcs.crval = [draw(st.floats(0, 360, exclude_max=True)), draw(st.floats(-89.5, 89.5))]
    wcs.wcs.crpix = rng.normal(0, 500, 2)
    turn = rng.uniform(0, 2 * np.pi)
    wcs.wcs.cd = 5.6e-5 * np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    if kind == "TAN-SIP":
        wcs.sip = Sip(*rng.normal(0, 1e-8, (2, 4, 4)), *rng.normal(0, 1e-8, (2, 4, 4)), wcs.wcs.crpix)
    if kind == "TPV":
        wcs.wcs.set_pv([(i, m, 1.0 if m == 1 else rng.normal(0, 1e-3)) for i in (1, 2) for m in (0, 1, 2, 4, 5, 6)])
    if kind == "ZPN":
        wcs.wcs.set_pv([(2, 1, 1.0), (2, 3, 0.01)])
    wcs.wcs.set()
    return wcs


@st.composite
def fields(draw: Any) -> ChebyshevField:
    """A number at every position, of order 0 to 2."""
    n_terms = draw(st.sampled_from([1, 3, 6]))
    return ChebyshevField(draw(generators).normal(0, 1, n_terms), draw(boxes))


@st.composite
def kernels(draw: Any) -> SpatialKernel:
    """A kernel at every position, of order 0 to 2."""
    n_terms, side = draw(st.sampled_from([1, 3, 6])), draw(st.sampled_from([1, 3, 7]))
    return SpatialKernel(ImageField(draw(generators).normal(0, 1, (n_terms, side, side)), draw(boxes)))


@st.composite
def maps(draw: Any) -> PixelMap:
    """Nodes with a hole."""
    x, y = draw(generators).normal(0, 100, (2, 6, 7))
    x[0, 0] = y[0, 0] = np.nan
    return PixelMap(x, y, draw(st.integers(-90, 90)), draw(st.integers(-90, 90)), draw(st.integers(1, 64)))


def weights(rng: np.random.Generator) -> WeightMap:
    """Weights at nodes that lie between pixels."""
    return WeightMap(rng.uniform(0, 1, (3, 4)).astype(np.float32), *rng.uniform(1, 9, 3).tolist())


@st.composite
def simple_psfs(draw: Any) -> Psf:
    """A PSF that is not made of others."""
    rng, n_terms = draw(generators), draw(st.sampled_from([1, 3]))
    return draw(
        st.sampled_from(
            [
                GaussianPsf(float(rng.uniform(0.5, 4)), 21),
                PolynomialPsf(ImageField(rng.uniform(0.1, 1, (n_terms, 9, 9)), Box(0, 100, -3, 90))),
                StackedPsf(
                    rng.uniform(0.1, 1, (2, n_terms, 9, 9)),
                    (Box(0, 100, -3, 90), Box(-7, 80, 0, 100)),
                    rng.uniform(0.1, 1, (2, 3, 4)).astype(np.float32),
                    *rng.uniform(1, 9, 3).tolist(),
                ),
                PsfexPsf(rng.uniform(0.1, 1, (3, 11, 13)), 1, *rng.uniform(0.4, 2, 5).tolist()),
            ]
        )
    )


def stacked(parts: list[Psf], rng: np.random.Generator) -> CoaddPsf:
    """The PSF of a stack."""
    return CoaddPsf(
        tuple(
            CoaddComponent(
                part, float(rng.uniform(0, 1)), Box(-9, 99, 0, 88), rng.normal(0, 1, (2, 2)), rng.normal(0, 9, 2)
            )
            for part in parts
        )
    )


def blended(parts: list[Psf], rng: np.random.Generator) -> BlendedPsf:
    """The PSF of a blend, its first part in it twice, as the displaced images of one template are."""
    return BlendedPsf(
        tuple(
            BlendedPart(psf=part, weight=weights(rng), dx=float(rng.normal()), dy=float(rng.normal()))
            for part in [parts[0], *parts]
        )
    )


def psfs() -> st.SearchStrategy[Psf]:
    """Every kind of PSF, alone and inside others."""
    interpolants = st.builds(Interpolant, st.none() | st.floats(0.1, 1.0), st.floats(1.0, 2.0))

    def larger(inner: st.SearchStrategy[Psf]) -> st.SearchStrategy[Psf]:
        several = st.lists(inner, min_size=1, max_size=5)
        return (
            st.builds(ConvolvedPsf, inner, kernels())
            | st.builds(WarpedPsf, inner, maps(), interpolants)
            | st.builds(stacked, several, generators)
            | st.builds(blended, several, generators)
        )

    return st.recursive(simple_psfs(), larger, max_leaves=6)


infos = st.builds(
    ObservationInfo,
    visit=st.integers(0, 2**62),
    detector=st.integers(0, 400),
    band=words,
    mjd_midpoint=any_float,
    exposure_time_s=any_float,
    gain=st.none() | any_float,
    read_noise=st.none() | positive,
    saturation=st.none() | any_float,
    airmass=any_float,
    parallactic_angle_deg=any_float,
    temperature_c=any_float,
    pressure_hpa=any_float,
    relative_humidity=any_float,
)


@st.composite
def exposures(draw: Any) -> Exposure:
    """An exposure with any of its attributes set to anything."""
    return Exposure(
        name=draw(words),
        masked_image=draw(masked_images(draw(boxes))),
        has_variance=draw(st.booleans()),
        has_mask=draw(st.booleans()),
        wcs=draw(st.none() | skies()),
        psf=draw(st.none() | psfs()),
        photo_calib=draw(st.none() | st.builds(PhotoCalib, positive, any_float, st.none() | fields())),
        noise_correlation=draw(st.none() | generators.map(lambda rng: rng.normal(0, 1, (5, 5)))),
        info=draw(infos),
        aperture_corrections=draw(st.dictionaries(words, fields(), max_size=3)),
        unit=draw(st.sampled_from(["adu", "nJy", "electron", "", "µJy", "counts"]) | words),
        inputs=tuple(draw(st.lists(st.integers(0, 2**62), max_size=4))),
        metadata=draw(st.dictionaries(words.filter(bool), scalars, max_size=4)),
    )


@st.composite
def differences(draw: Any) -> Difference:
    """A difference with any of its attributes set to anything."""
    exposure = draw(exposures())
    return Difference(
        exposure=exposure,
        kernel=draw(kernels()),
        background=draw(fields()),
        convolved=draw(st.sampled_from(["template", "science"])),
        matched_template=draw(st.none() | masked_images(exposure.box)),
        whitening=draw(st.none() | kernels()),
        template_filter=draw(st.none() | kernels()),
        residual_background=draw(
            st.none() | generators.map(lambda rng: MeshField(rng.normal(0, 1, (2, 3)), np.arange(3.0), np.arange(2.0)))
        ),
        variance_factor=draw(positive),
        relative_error=draw(any_float),
    )
