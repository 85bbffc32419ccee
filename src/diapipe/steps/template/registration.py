"""Registration: what the stars say about the template's position on the science image beyond the WCSs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from diapipe.catalogs.stars import StarList
from diapipe.images import Box, ChebyshevField, Exposure
from diapipe.images.fields import scaled_coordinates
from diapipe.images.pixel_map import PixelMap
from diapipe.numerics import polynomials
from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.numerics.pairs import mutual
from diapipe.numerics.registration import DisplacementFit, coarse_offset, fit_displacement
from diapipe.steps.limits import Limited
from diapipe.steps.template.mapping import template_positions

SIGMA_WITHOUT_PSF_PX = 2.0
"""Width taken for the centroid errors of an image whose PSF is not known."""

_LEAST_COARSE_SIGNIFICANCE = 5.0
_LEAST_COARSE_PAIRS = 5
_LEAST_COARSE_SHARE = 0.25  # of the stars that could have a partner; a few agree by chance on some shift
_CROWDING = 0.2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Registration:
    """Displacement of the template's stars from where the WCSs put them.

    Attributes
    ----------
    displacement
        Fields of x and y over the science box: template position = WCS position of the science pixel + displacement, in
        template pixels.
    n_matched
        Stars used in the fit.
    order
        Order of the field; -1 if none predicts the stars better than the WCSs.
    rms_before_px, rms_after_px
        Weighted scatter per axis of the stars' displacements and of the residuals, in science pixels; NaN if no star.
    error_px
        Error per axis of the field itself, root mean square at the stars, in science pixels.
    significance
        Sigma of the fall of χ² by the field.
    is_significant
        Whether the field is to be applied.
    rms_displacement_px
        Root mean square per axis of the field over the science box, in science pixels.
    rotation_deg, scale
        Rotation (template x towards y) and magnification of the template that the field adds to the WCSs.
    """

    displacement: tuple[ChebyshevField, ChebyshevField]
    n_matched: int = 0
    order: int = -1
    rms_before_px: float = float("nan")
    rms_after_px: float = float("nan")
    error_px: float = float("nan")
    significance: float = 0.0
    is_significant: bool = False
    rms_displacement_px: float = 0.0
    rotation_deg: float = 0.0
    scale: float = 1.0

    @property
    def shift_px(self) -> tuple[float, float]:
        """Displacement (x, y) at the centre of the science image, in template pixels."""
        box = self.displacement[0].box
        x, y = (float(field.at(x=box.x_center, y=box.y_center)) for field in self.displacement)
        return x, y


@dataclass(frozen=True, slots=True, kw_only=True)
class AbstractRegister(Limited, ABC):
    """A way to find, at the stars, where the template lies beyond what the WCSs say."""

    @abstractmethod
    def registered(
        self, science_stars: StarList, template_stars: StarList, *, science: Exposure, template: Exposure
    ) -> Registration:
        """The displacement; arguments and errors are those of `register`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Register(AbstractRegister):
    """Smooth displacement fields, fitted to matched stars, of the order that predicts left-out stars best.

    A vote of all pairs of bright stars finds a shift of tens of pixels first; then stars are matched in three rounds
    with falling radius and growing order, each with so few (the brightest) stars that chance matches are rare.

    Attributes
    ----------
    search_radius_px
        Largest shift of a wrong WCS that is found, in template pixels.
    match_radius_px
        Farthest that a matched star may lie from its fitted place, in template pixels.
    max_order
        Highest order of the displacement field.
    min_signal_to_noise
        Stars fainter than this are left out.
    least_significance
        Sigma that a displacement must have to be applied.
    least_displacement_px
        Displacements smaller than this (root mean square per axis over the image, science pixels) are not applied.
    centroid_floor_px
        Centroid error that even the brightest star has.
    """

    may_be_zero = (
        "max_order",
        "min_signal_to_noise",
        "least_significance",
        "least_displacement_px",
        "centroid_floor_px",
    )

    search_radius_px: float = 60.0
    match_radius_px: float = 1.5
    max_order: int = 7
    min_signal_to_noise: float = 10.0
    least_significance: float = 5.0
    least_displacement_px: float = 0.005
    centroid_floor_px: float = 0.002

    def registered(
        self, science_stars: StarList, template_stars: StarList, *, science: Exposure, template: Exposure
    ) -> Registration:
        """Match, fit, and say whether it matters."""
        pixel_map = template_positions(science, template)
        points, targets = _points(science_stars, template_stars, pixel_map, science, template, self)
        fit = _fitted(points, targets, science.box, pixel_map.scale, self)
        return _registration(fit, science.box, pixel_map, self)


def register(
    science_stars: StarList,
    template_stars: StarList,
    *,
    science: Exposure,
    template: Exposure,
    options: AbstractRegister | None = None,
) -> Registration:
    """Find the smooth displacement between the stars of two images.

    Parameters
    ----------
    science_stars, template_stars
        Sources of the two images, brightest first, each in its own parent pixels.
    science, template
        Boxes, WCSs and PSFs are used, the pixels are not.
    options
        How to match and to fit; displacement fields where left out.

    Returns
    -------
    Registration
        Not significant, with ``n_matched`` 0, where fewer than three stars match.

    Raises
    ------
    InputError
        If the WCSs cannot be compared (one is missing, or none is there and the shapes differ).
    """
    way = options or Register()
    return way.registered(science_stars, template_stars, science=science, template=template)


@dataclass(frozen=True, slots=True, eq=False)
class StarPairs:
    """Stars that both images have, one array entry each.

    Attributes
    ----------
    science, template
        The stars, each in parent pixels of its image.
    sigma_px
        Error per axis of their relative place, in template pixels.
    """

    science: StarList
    template: StarList
    sigma_px: FloatArray


def star_pairs(
    science_stars: StarList, template_stars: StarList, *, science: Exposure, template: Exposure, options: Register
) -> StarPairs:
    """The stars that `register` would fit to, matched within ``match_radius_px``; parameters and errors as there."""
    pixel_map = template_positions(science, template)
    points, targets = _points(science_stars, template_stars, pixel_map, science, template, options)
    fit = _fitted(points, targets, science.box, pixel_map.scale, options)
    shift = 0.0 if fit is None else _evaluated(fit, points)
    first, second, _ = mutual(points.position + shift, targets.position, radius=options.match_radius_px)
    return StarPairs(
        points.stars.select(first), targets.stars.select(second), np.hypot(points.sigma[first], targets.sigma[second])
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Points:
    """Stars in template pixels, brightest first, with their errors per axis; ``u``, ``v`` scaled science positions."""

    stars: StarList
    position: FloatArray
    sigma: FloatArray
    u: FloatArray
    v: FloatArray


def _points(
    science_stars: StarList,
    template_stars: StarList,
    pixel_map: PixelMap,
    science: Exposure,
    template: Exposure,
    options: Register,
) -> tuple[_Points, _Points]:
    """The stars that can be used, in the region that both images may share."""
    stars = _usable(science_stars, options, prefer_isolated=True)
    x, y = pixel_map.at(x=stars.x, y=stars.y)
    reach = template.box.dilated(int(options.search_radius_px))
    shared = (x > reach.x0) & (x < reach.x1) & (y > reach.y0) & (y < reach.y1)
    stars, x, y = stars.select(shared), x[shared], y[shared]
    u, v = scaled_coordinates(science.box, x=stars.x, y=stars.y)
    points = _Points(stars, np.stack([x, y], axis=1), _centroid_sigma(stars, science, options) * pixel_map.scale, u, v)
    others = _usable(template_stars, options, prefer_isolated=False)
    if len(x):
        radius = options.search_radius_px
        near = (others.x > x.min() - radius) & (others.x < x.max() + radius)
        near &= (others.y > y.min() - radius) & (others.y < y.max() + radius)
        others = others.select(near)
    nowhere = np.zeros(0)
    place = np.stack([others.x, others.y], axis=1)
    targets = _Points(others, place, _centroid_sigma(others, template, options), nowhere, nowhere)
    return points, targets


def _usable(stars: StarList, options: Register, *, prefer_isolated: bool) -> StarList:
    """Unsaturated stars of sufficient signal: the isolated ones if they are many, all sources if stars are few."""
    with np.errstate(invalid="ignore"):
        good = ~stars.is_saturated & (stars.flux > options.min_signal_to_noise * stars.flux_err) & (stars.flux_err > 0)
    good &= np.isfinite(stars.x) & np.isfinite(stars.y)
    choices: list[BoolArray] = [good & stars.is_star, good]
    if prefer_isolated:
        choices.insert(0, good & stars.is_star & stars.is_isolated)
    enough = next((choice for choice in choices if choice.sum() >= 100), None)
    fewest = next((choice for choice in choices[-2:] if choice.sum() >= 10), good)
    return stars.select(fewest if enough is None else enough)


def _centroid_sigma(stars: StarList, exposure: Exposure, options: Register) -> FloatArray:
    """Error per axis of the centroids in pixels: √2 σ_psf σ_F/F for a Gaussian star on a noisy sky, and the floor."""
    sigma = SIGMA_WITHOUT_PSF_PX
    if exposure.psf is not None:
        sigma = exposure.psf.sigma_at(x=exposure.box.x_center, y=exposure.box.y_center)
    return np.asarray(np.hypot(np.sqrt(2.0) * sigma * stars.flux_err / stars.flux, options.centroid_floor_px))


def _fitted(points: _Points, targets: _Points, box: Box, scale: float, options: Register) -> DisplacementFit | None:
    """Match and fit in rounds of falling radius; None where fewer than three stars match."""
    if len(points.position) < 3 or len(targets.position) < 3:
        return None
    area = box.area * scale**2
    predicted = points.position + _coarse(points, targets, area, options)
    fit = None
    for radius, order in ((6.0, 1), (3.0, min(3, options.max_order)), (options.match_radius_px, options.max_order)):
        n = max(10, int(_CROWDING * area / (np.pi * radius**2)))
        pairs = mutual(predicted[:n], targets.position[:n], radius=radius)
        if len(pairs.first) < 3:
            continue
        first, second, _ = pairs
        fit = fit_displacement(
            *(points.u[first], points.v[first]),
            targets.position[second] - points.position[first],
            np.hypot(points.sigma[first], targets.sigma[second]),
            max_order=order,
        )
        predicted = points.position + _evaluated(fit, points)
    return fit


def _coarse(points: _Points, targets: _Points, area: float, options: Register) -> FloatArray:
    """Shift (x, y) by which the WCSs are wrong; zero unless clearly more pairs agree on another."""
    n = max(30, min(300, int(_CROWDING * area / (np.pi * 2.0**2))))
    bright, others = points.position[:n], targets.position[:n]
    found = coarse_offset(bright, others, radius=options.search_radius_px)
    if found is None or found.significance < _LEAST_COARSE_SIGNIFICANCE:
        return np.zeros(2)
    shift = np.array([found.dx, found.dy])
    moved, low, high = bright + shift, others.min(axis=0), others.max(axis=0)
    could = min(int(((moved >= low) & (moved <= high)).all(axis=1).sum()), len(others))
    in_place = len(mutual(bright, others, radius=3.0).first)
    agree = found.n_pairs > 1.5 * in_place and found.n_pairs >= max(_LEAST_COARSE_PAIRS, _LEAST_COARSE_SHARE * could)
    return shift if agree else np.zeros(2)


def _evaluated(fit: DisplacementFit, points: _Points) -> FloatArray:
    if fit.order < 0:
        return np.zeros_like(points.position)
    terms = polynomials.chebyshev_terms(points.u, points.v, fit.order)
    return np.stack([fit.x @ terms, fit.y @ terms], axis=1)


def _registration(fit: DisplacementFit | None, box: Box, pixel_map: PixelMap, options: Register) -> Registration:
    """What a fit means for the two images."""
    still = ChebyshevField.constant(0.0, box)
    if fit is None:
        return Registration(displacement=(still, still))
    scale = pixel_map.scale
    fields = (still, still) if fit.order < 0 else (ChebyshevField(fit.x, box), ChebyshevField(fit.y, box))
    rms = _rms_over(fields, box) / scale
    rotation, magnification = _rotation_and_scale(fields, box, pixel_map.mean_affine)
    return Registration(
        displacement=fields,
        n_matched=int(fit.kept.sum()),
        order=fit.order,
        rms_before_px=fit.rms_before / scale,
        rms_after_px=fit.rms_after / scale,
        error_px=fit.error / scale,
        significance=fit.significance,
        is_significant=fit.significance >= options.least_significance and rms >= options.least_displacement_px,
        rms_displacement_px=rms,
        rotation_deg=rotation,
        scale=magnification,
    )


def _rms_over(fields: tuple[ChebyshevField, ChebyshevField], box: Box) -> float:
    """Root mean square per axis of a displacement over a box, from 33 x 33 positions."""
    x, y = np.meshgrid(np.linspace(box.x0, box.x1 - 1, 33), np.linspace(box.y0, box.y1 - 1, 33))
    return float(np.sqrt(0.5 * sum((field.at(x=x, y=y) ** 2).mean() for field in fields)))


def _rotation_and_scale(
    fields: tuple[ChebyshevField, ChebyshevField], box: Box, affine: FloatArray
) -> tuple[float, float]:
    """Rotation in degrees and magnification of (A + ∇d) A⁻¹: A the WCSs' affine, ∇d the slope across half the image."""
    lengths = 0.25 * box.width, 0.25 * box.height
    slope = np.empty((2, 2))
    for i, field in enumerate(fields):
        for j, (dx, dy) in enumerate(((lengths[0], 0.0), (0.0, lengths[1]))):
            ahead = field.at(x=box.x_center + dx, y=box.y_center + dy)
            behind = field.at(x=box.x_center - dx, y=box.y_center - dy)
            slope[i, j] = (ahead - behind) / (2.0 * (dx + dy))
    change = np.eye(2) + slope @ np.linalg.inv(affine)
    rotation = np.degrees(np.arctan2(change[1, 0] - change[0, 1], change[0, 0] + change[1, 1]))
    return float(rotation), float(np.sqrt(abs(np.linalg.det(change))))
