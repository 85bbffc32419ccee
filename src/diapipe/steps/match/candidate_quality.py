"""candidate_quality: what is left at each star by a kernel of its own, and by the one that varies over the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import Table

from diapipe.catalogs.sources import SourceList
from diapipe.errors import InputError
from diapipe.images.exposure import Exposure
from diapipe.images.mask import MaskPlane
from diapipe.numerics import pairs
from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.numerics.kernel_bases import KernelBasis, noise_products, one_kernel
from diapipe.numerics.normality import ANDERSON_SIGNIFICANCE_PERCENT, anderson_darling, kolmogorov_smirnov
from diapipe.numerics.single_fits import fit_each
from diapipe.numerics.stats import finite
from diapipe.steps.match.direction import choose_direction
from diapipe.steps.match.from_stars import StarMatcher
from diapipe.steps.match.result import Match
from diapipe.steps.match.sized_basis import SizedBasis
from diapipe.steps.match.stamps import Stamps, cut_stamps

BAD, GOOD, UNKNOWN = 0, 1, 2
"""Status of a candidate: rejected by the fit, used in it, or never shown to it."""

SAME_STAR_PX = 0.5
"""A source and a candidate of the fit this near to each other are one."""

AVERAGED = ("Mean", "Median", "IQR", "StDev", "KSProb", "ADSig", "ChiSq", "MseResids")
"""Statistics of which `quality_summary` tells mean, median and scatter over the sources."""


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    """A kernel for each source and what it leaves there.

    Attributes
    ----------
    kernels
        Shape (n_sources, size, size).
    pulls
        Residuals of the usable pixels in units of their noise, one array a source.
    n_fitted
        Unknowns that were fitted to each stamp itself.
    """

    kernels: FloatArray
    pulls: list[FloatArray]
    n_fitted: int


def candidate_quality(
    match: Match, science: Exposure, template: Exposure, sources: SourceList, *, algorithm: StarMatcher
) -> Table:
    """Statistics of the residuals at each source, in the columns of LSST's ``KernelCandidateQa`` (SPEC B.6).

    Columns end in ``_LOCAL`` for a kernel and a constant fitted to the stamp alone, in ``_SPATIAL`` for kernel and
    background of the match. Residuals are reference minus convolved image over √(V + ΣK² V'), on the usable pixels of
    the stamp. The tests of normality take pixels for independent, which they are where the convolved image is deep.

    Parameters
    ----------
    match
        The kernel to judge.
    science, template
        As they were matched.
    sources
        Kernel sources or controls; one row each.
    algorithm
        That made the match: its basis and the size of its stamps.

    Returns
    -------
    Table
        ``KernelCandidateId``, that of the source. ``KCDiffim*``: ``Mean``, ``Median``, ``IQR``, ``StDev``; ``KSD`` and
        ``KSProb``, Kolmogorov-Smirnov against N(0, 1); ``ADA2``, ``ADCrit``, ``ADSig``, Anderson-Darling with five
        critical values and their significance in percent; ``ChiSq``, χ² per degree of freedom; ``MseResids``, mean
        square. ``KCKernelCentX`` and ``Y``, centroid of the kernel from its middle pixel, ``KCKernelStdX`` and ``Y``,
        its width, in pixels. Local only: ``KCKernelStatus`` (`BAD`, `GOOD`, `UNKNOWN`), ``KernelCoeffValues``,
        ``BackgroundValue``; spatial only: ``KCDiffimMseKernel``, mean square of spatial minus local kernel. NaN where a
        stamp has no usable pixels, or its source lies off the image.

    Raises
    ------
    InputError
        If an exposure has no PSF.
    """
    if science.psf is None or template.psf is None:
        raise InputError(f"{science.name} and {template.name} must both have a PSF for their kernel to be judged")
    direction = choose_direction(science.psf, template.psf, science.box, convolve=match.convolved)
    target, reference = direction.oriented(science, template)
    sized = algorithm.sized_basis(
        target_sigma_px=direction.target_sigma_px, reference_sigma_px=direction.reference_sigma_px
    )
    places = _Places(target, reference, sources, algorithm.stamp_half(direction), algorithm.bad_bits)
    local, coefficients = _local(places, sized, with_background=algorithm.background_order is not None)
    spatial = _spatial(places, match)
    columns: dict[str, Any] = {}
    for suffix, model in (("LOCAL", local), ("SPATIAL", spatial)):
        columns[f"KernelCandidateId_{suffix}"] = sources.id
        columns |= {f"{name}_{suffix}": values for name, values in _statistics(model).items()}
    columns["KCKernelStatus_LOCAL"] = _status(match, sources)
    columns["KernelCoeffValues_LOCAL"] = coefficients[:, :-1]
    columns["BackgroundValue_LOCAL"] = coefficients[:, -1]
    columns["KCDiffimMseKernel_SPATIAL"] = ((spatial.kernels - local.kernels) ** 2).mean(axis=(1, 2))
    return Table(columns)


def quality_summary(quality: Table) -> dict[str, float]:
    """Mean, median and standard deviation of the statistics over the sources, as the run's metadata has them.

    Names are those of the columns with ``_MEAN``, ``_MEDIAN`` and ``_STDEV`` behind; NaN where no source has a value.
    """
    names = [f"KCDiffim{name}_{suffix}" for suffix in ("LOCAL", "SPATIAL") for name in AVERAGED]
    found: dict[str, float] = {}
    for name in (*names, "KCDiffimMseKernel_SPATIAL"):
        values = finite(np.asarray(quality[name], dtype=np.float64))
        for statistic, of in (("MEAN", np.mean), ("MEDIAN", np.median), ("STDEV", np.std)):
            found[f"{name}_{statistic}"] = float(of(values)) if len(values) else float("nan")
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Places:
    """Where stamps are cut: both images, the sources, the half-size of the stamps and the planes left out."""

    target: Exposure
    reference: Exposure
    sources: SourceList
    half: int
    bad_planes: MaskPlane

    @property
    def on_image(self) -> IntArray:
        """Sources that lie on a pixel of the images."""
        places = zip(self.sources.x, self.sources.y, strict=True)
        return np.flatnonzero([self.reference.box.contains_point(x=x, y=y) for x, y in places])

    def stamp(self, k: int, basis: KernelBasis) -> Stamps:
        """That of one source: one at a time, for a basis of single pixels is large."""
        return cut_stamps(
            self.target.masked_image,
            self.reference.masked_image,
            basis,
            x=self.sources.x[k : k + 1],
            y=self.sources.y[k : k + 1],
            half=self.half,
            noise_gain=1.0,
            bad_planes=self.bad_planes,
        )


def _local(places: _Places, sized: SizedBasis, *, with_background: bool) -> tuple[_Model, FloatArray]:
    """A kernel and a constant fitted to each stamp alone; and the coefficients, the constant last."""
    n, products = len(places.sources), noise_products(sized.basis, places.target.noise_correlation)
    coefficients, pulls = np.full((n, len(sized.basis) + 1), np.nan), [np.empty(0)] * n
    for k in places.on_image:
        stamp = places.stamp(k, sized.basis)
        if stamp.good.any():
            sums = stamp.sums(stamp.good, is_precise=True)
            fits = fit_each(sums, penalty=sized.penalty(sums, products), with_background=with_background)
            coefficients[k] = fits.coefficients[0]
        kernel = coefficients[k, :-1]
        pulls[k] = _pulls(stamp, coefficients[k], gain=float(kernel @ products @ kernel))
    kernels = np.tensordot(coefficients[:, :-1], sized.basis.images, axes=1)
    return _Model(kernels, pulls, coefficients.shape[1]), coefficients


def _spatial(places: _Places, match: Match) -> _Model:
    """Kernel and background of the match at each source."""
    x, y = places.sources.x, places.sources.y
    kernels = np.full((len(x), match.kernel.size, match.kernel.size), np.nan)
    background = match.background.at(x=x, y=y)
    pulls = [np.empty(0)] * len(x)
    for k in places.on_image:
        kernels[k] = match.kernel.image_at(x=float(x[k]), y=float(y[k]))
        basis = one_kernel(kernels[k])
        gain = float(noise_products(basis, places.target.noise_correlation)[0, 0])
        pulls[k] = _pulls(places.stamp(k, basis), np.array([1.0, background[k]]), gain=gain)
    return _Model(kernels, pulls, 0)


def _pulls(stamp: Stamps, coefficients: FloatArray, *, gain: float) -> FloatArray:
    """Residuals of one stamp's usable pixels in units of their noise."""
    good = stamp.good[0]
    if not good.any():
        return np.empty(0)
    residual = stamp.residuals(coefficients[None])[0][good].astype(np.float64)
    return np.asarray(residual / np.sqrt(stamp.noise(gain)[0][good].astype(np.float64)))


def _statistics(model: _Model) -> dict[str, FloatArray]:
    """Columns of one model, without suffix."""
    return _stacked([_of_pulls(pulls, model.n_fitted) for pulls in model.pulls], _of_pulls(np.empty(0), 0)) | _stacked(
        [_of_kernel(kernel) for kernel in model.kernels], _of_kernel(np.ones((1, 1)))
    )


def _stacked(rows: list[dict[str, Any]], like: dict[str, Any]) -> dict[str, FloatArray]:
    """Columns of rows that have the entries of ``like``."""
    return {
        name: np.array([row[name] for row in rows], dtype=np.float64).reshape(-1, *np.shape(value))
        for name, value in like.items()
    }


def _of_pulls(pulls: FloatArray, n_fitted: int) -> dict[str, Any]:
    """Statistics of the residuals of one stamp; NaN without pixels."""
    n = len(pulls)
    has = n > n_fitted + 1
    low, middle, high = np.percentile(pulls, [25.0, 50.0, 75.0]) if has else [np.nan] * 3
    normal, gaussian = kolmogorov_smirnov(pulls), anderson_darling(pulls)
    return {
        "KCDiffimMean": pulls.mean() if has else np.nan,
        "KCDiffimMedian": middle,
        "KCDiffimIQR": high - low,
        "KCDiffimStDev": pulls.std() if has else np.nan,
        "KCDiffimKSD": normal.statistic,
        "KCDiffimKSProb": normal.probability,
        "KCDiffimADA2": gaussian.statistic,
        "KCDiffimADCrit": gaussian.critical,
        "KCDiffimADSig": np.array(ANDERSON_SIGNIFICANCE_PERCENT),
        "KCDiffimChiSq": (pulls**2).sum() / (n - n_fitted) if has else np.nan,
        "KCDiffimMseResids": (pulls**2).mean() if has else np.nan,
    }


def _of_kernel(kernel: FloatArray) -> dict[str, float]:
    """Centroid from the middle pixel and root of the central second moments, in pixels; NaN where there is none."""
    offset = np.arange(len(kernel)) - len(kernel) // 2
    total = kernel.sum()
    found = {}
    for axis, profile in (("X", kernel.sum(axis=0)), ("Y", kernel.sum(axis=1))):
        centre = (profile * offset).sum() / total
        square = (profile * (offset - centre) ** 2).sum() / total
        found[f"KCKernelCent{axis}"] = float(centre)
        found[f"KCKernelStd{axis}"] = float(np.sqrt(square)) if square >= 0 else float("nan")
    return found


def _status(match: Match, sources: SourceList) -> IntArray:
    """What became of each source in the fit."""
    found = np.full(len(sources), UNKNOWN, np.int64)
    candidates = match.candidates
    places, fitted = (np.stack([entries.x, entries.y], axis=1) for entries in (sources, candidates))
    same = pairs.nearest(places, fitted, radius=SAME_STAR_PX)
    found[same.first] = np.where(candidates.kept[same.second], GOOD, BAD)
    return found
