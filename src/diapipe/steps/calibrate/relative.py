"""Without a catalogue: all images of a band together, from the stars that they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from astropy.table import Table
from scipy.sparse import csr_array

from diapipe.catalogs.photometric_scales import PHOTOMETRIC_SCALE
from diapipe.catalogs.sources import ReferenceList
from diapipe.catalogs.tables import table_of
from diapipe.catalogs.visit_stars import VisitStars
from diapipe.errors import UsageError, counted
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray
from diapipe.numerics.zero_point_errors import zero_point_errors
from diapipe.numerics.zero_points import MAD_TO_SIGMA, ZeroPoints, zero_points
from diapipe.steps.calibrate.anchors import anchored
from diapipe.steps.calibrate.base import MAG, AbstractScale
from diapipe.steps.calibrate.shared_stars import SharedStars


@dataclass(frozen=True, slots=True, kw_only=True)
class Relative(AbstractScale):
    """Robust least squares for the zero points of all images and the magnitudes of all stars.

    Attributes
    ----------
    match_radius_arcsec
        Detections within this of each other are one star.
    least_snr
        Signal-to-noise ratio that the fit expects of a star before it counts; above that of the stars that are given,
        so that noise does not choose them.
    min_stars
        A visit that shares fewer stars with others gets no scale.
    per
        ``visit``: one zero point for a visit, and one constant for each detector; ``detector``: one for each image.
    detector_prior_mag
        Detectors are expected to agree within this once their files' calibrations are applied; stars tell better.
    reference_visit
        Visit whose scale is set; None: of each group of visits that share stars the first whose zero point the stars
        determine well, so that visits that come later do not change it.
    nominal_zero_point_mag
        AB magnitude of one count of the reference visit where no file brings a calibration.
    """

    any_sign = ("reference_visit", "nominal_zero_point_mag")

    match_radius_arcsec: float = 0.7
    least_snr: float = 25.0
    min_stars: int = 3
    per: Literal["visit", "detector"] = "visit"
    detector_prior_mag: float = 0.05
    reference_visit: int | None = None
    nominal_zero_point_mag: float = 25.0

    def __post_init__(self) -> None:
        super(Relative, self).__post_init__()
        if self.per not in ("visit", "detector"):
            raise UsageError(f"per of Relative must be visit or detector, not {self.per!r}", field="per")

    def scale(self, stars: VisitStars, *, band: str, reference: ReferenceList | None) -> Table:
        """All images together; groups of them that share no stars have each a reference of their own."""
        shared = SharedStars.among(stars, radius_arcsec=self.match_radius_arcsec)
        model = _Model.of(stars, self)
        base = model.base[shared.image]
        fit = zero_points(
            shared.flux * base,
            shared.error * base,
            star=shared.star,
            image=shared.image,
            design=model.design,
            prior=model.prior,
            least_snr=self.least_snr,
        )
        return self._table(stars, shared, model, fit)

    def _table(self, stars: VisitStars, shared: SharedStars, model: _Model, fit: ZeroPoints) -> Table:
        """One row for each image."""
        used = fit.weights > 0.0
        weight = np.bincount(model.node[shared.image], fit.weights, model.n_nodes)[model.node]
        n_of_node = np.bincount(model.node[shared.image], used, model.n_nodes)[model.node]
        linked = (n_of_node >= self.min_stars) | np.array(model.n_nodes == 1)
        component_of_node = shared.components(model.node, model.n_nodes, used)
        component = np.where(linked, component_of_node[model.node], -1)
        value = model.base * np.exp(-(model.design @ fit.parameters))
        anchors = anchored(
            stars,
            component,
            value,
            weight,
            reference_visit=self.reference_visit,
            nominal_zero_point_mag=self.nominal_zero_point_mag,
        )
        value = np.where(linked, value * anchors.factor, stars.given)
        relative_error = zero_point_errors(
            fit.weights,
            star=shared.star,
            image=shared.image,
            design=model.design,
            prior=model.prior,
            group=component_of_node,
        )
        columns = {
            "visit": stars.visit,
            "detector": stars.detector,
            "nJyPerCount": value,
            "nJyPerCountErr": np.where(linked, value * relative_error, stars.given_err),
            "nStars": np.bincount(shared.image, used, stars.n_images),
            "chi2": _robust_scatter(shared, used, fit.residuals * shared.flux / shared.error, stars.n_images) ** 2,
            "scatter": MAG * _robust_scatter(shared, used, fit.residuals, stars.n_images),
            "component": component,
            "isReference": anchors.is_reference,
            "isAbsolute": np.where(linked, anchors.is_absolute, np.isfinite(stars.given)),
            "reason": self._reasons(linked, np.isfinite(stars.given), n_of_node),
        }
        return table_of(PHOTOMETRIC_SCALE, columns, n=stars.n_images)

    def _reasons(self, linked: BoolArray, told: BoolArray, n: FloatArray) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
        """Why an image is not on the scale of the others."""
        ending = {True: "the calibration of its file stands", False: f"{self.min_stars} are needed"}
        return np.array(
            [
                "" if good else f"{counted(int(number), 'star')} shared with other visits; {ending[bool(own)]}"
                for good, own, number in zip(linked, told, n, strict=True)
            ]
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    """What the zero point of an image is made of.

    Attributes
    ----------
    node
        Number of the visit, or of the image, that has a zero point of its own; for each image.
    design, prior
        As `zero_points` wants them.
    base
        What the files say of a count, where all do, else 1; for each image.
    """

    node: IntArray
    n_nodes: int
    design: csr_array
    prior: FloatArray
    base: FloatArray

    @classmethod
    def of(cls, stars: VisitStars, options: Relative) -> _Model:
        """Zero points of visits and constants of detectors, or zero points of images."""
        m = stars.n_images
        base = stars.given if np.isfinite(stars.given).all() else np.ones(m)
        of_visit = np.unique(stars.visit, return_inverse=True)[1] if options.per == "visit" else np.arange(m)
        n = int(of_visit.max(initial=-1)) + 1
        _, of_detector = np.unique(stars.detector, return_inverse=True)
        n_detectors = int(of_detector.max(initial=-1)) + 1
        if options.per == "detector" or n_detectors <= 1:
            return cls(of_visit, n, csr_array((np.ones(m), (np.arange(m), of_visit)), shape=(m, n)), np.zeros(n), base)
        rows, columns = np.tile(np.arange(m), 2), np.concatenate([of_visit, n + of_detector])
        design = csr_array((np.ones(2 * m), (rows, columns)), shape=(m, n + n_detectors))
        certainty = (MAG / options.detector_prior_mag) ** 2
        return cls(of_visit, n, design, np.concatenate([np.zeros(n), np.full(n_detectors, certainty)]), base)


def _robust_scatter(shared: SharedStars, used: BoolArray, values: FloatArray, n_images: int) -> FloatArray:
    """Scatter of the values on each image, by the median of their sizes; NaN where there are none."""
    found, at = np.full(n_images, np.nan), np.flatnonzero(used)
    at = at[np.argsort(shared.image[at], kind="stable")]
    starts = np.searchsorted(shared.image[at], np.arange(n_images + 1))
    for image in np.flatnonzero(np.diff(starts)):
        found[image] = MAD_TO_SIGMA * np.median(np.abs(values[at[starts[image] : starts[image + 1]]]))
    return found
