"""The verb: stack images of one sky, on one grid, into one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS

from diapipe.errors import InputError, NoOverlapError
from diapipe.images import (
    UNUSABLE,
    Box,
    ChebyshevField,
    Exposure,
    MaskedImage,
    MaskPlane,
    ObservationInfo,
    PhotoCalib,
    WeightMap,
)
from diapipe.images.fields import field_terms
from diapipe.images.psf import Psf
from diapipe.images.psf.stacked import PsfPart, stacked_psf
from diapipe.numerics.arrays import Float32Array, FloatArray, IntArray, MaskArray
from diapipe.numerics.noise import mean_correlation
from diapipe.numerics.polynomials import n_terms
from diapipe.numerics.stacking import MaskRule, Stack, Stacked, nothing_stacked, stack_rows
from diapipe.steps.coadd.agreement import own_levels
from diapipe.steps.coadd.base import AbstractCoadder, Block
from diapipe.steps.coadd.clipped import ClippedCoadder
from diapipe.steps.coadd.facts import FIELD_NODES, Facts, cell_weights, facts_of, field_positions
from diapipe.steps.coadd.inputs import CoaddInput

_PASSED = MaskPlane.INTRP | MaskPlane.SUSPECT | MaskPlane.DETECTED | MaskPlane.INJECTED
_CORRECTION_ORDER = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Coadd:
    """A stack of images.

    Attributes
    ----------
    exposure
        In nJy, with mask, variance, PSF, noise correlation, aperture corrections and the visits that went into it.
    n_images
        Images that count at each pixel, int32, shape of the exposure.
    clipped_share
        By the name of each input: part of its pixels that were left out as artefacts or transients.
    """

    exposure: Exposure
    n_images: MaskArray
    clipped_share: dict[str, float]


def coadd(
    inputs: Iterable[CoaddInput],
    *,
    box: Box,
    wcs: WCS,
    algorithm: AbstractCoadder | None = None,
    name: str = "coadd",
) -> Coadd:
    """Stack images that lie on one grid.

    Every input is read twice: once as a whole, for its weight, level and PSF, and once in tiles; at no time are more
    pixels in memory than the algorithm allows.

    Parameters
    ----------
    inputs
        Images on the pixels of ``wcs``, each with variance; in nJy or with a calibration.
    box, wcs
        The pixels of the coadd.
    algorithm
        What is left out; `ClippedCoadder` if nothing is said.
    name
        What messages call the coadd.

    Returns
    -------
    Coadd
        NaN and NO_DATA where no input has a pixel.

    Raises
    ------
    InputError
        If bands differ, or an input has no variance or no flux scale.
    NoOverlapError
        If no input has a usable pixel in the box.
    """
    algorithm = algorithm or ClippedCoadder()
    facts = [fact for fact in (facts_of(source, box, algorithm) for source in inputs) if fact is not None]
    if not facts:
        raise NoOverlapError(f"{name} has no input with a usable pixel in {box}; at least 1 is needed")
    band = _one_band(facts, name)
    levels = own_levels(facts, box, algorithm)
    frame, clipped = _stacked(facts, levels, box, algorithm)
    weights = [fact.weight * float(np.count_nonzero(fact.nodes)) for fact in facts]
    exposure = Exposure(
        name=name,
        masked_image=MaskedImage(frame.image, frame.mask, frame.variance, box),
        wcs=wcs,
        psf=_psf(facts, frame.used, box, algorithm),
        photo_calib=PhotoCalib(1.0),
        unit="nJy",
        noise_correlation=mean_correlation(
            (weight * fact.weight * fact.variance, fact.correlation)
            for weight, fact in zip(weights, facts, strict=True)
        ),
        info=_info(facts, weights, band),
        aperture_corrections=_corrections(facts, box, algorithm),
        inputs=tuple(sorted({visit for fact in facts for visit in fact.visits})),
    )
    return Coadd(exposure=exposure, n_images=frame.number, clipped_share=clipped)


def _one_band(facts: Sequence[Facts], name: str) -> str:
    bands = sorted({fact.info.band for fact in facts if fact.info.band})
    if len(bands) > 1:
        raise InputError(f"the inputs of {name} are of the bands {', '.join(bands)}; a coadd is of one", bands=bands)
    return bands[0] if bands else ""


def _info(facts: Sequence[Facts], weights: Sequence[float], band: str) -> ObservationInfo:
    """Mean time and total exposure of the visits that are known."""
    times = np.array([fact.info.mjd_midpoint for fact in facts])
    known = np.isfinite(times)
    middle = float(np.average(times[known], weights=np.array(weights)[known])) if known.any() else float("nan")
    total = sum(fact.info.exposure_time_s for fact in facts)
    return ObservationInfo(band=band, mjd_midpoint=middle, exposure_time_s=float(total))


def _tiles(box: Box, side: int) -> Iterator[Box]:
    for y0 in range(box.y0, box.y1, side):
        for x0 in range(box.x0, box.x1, side):
            yield Box(y0, min(y0 + side, box.y1), x0, min(x0 + side, box.x1))


def _stacked(
    facts: Sequence[Facts],
    levels: Sequence[ChebyshevField | None],
    box: Box,
    algorithm: AbstractCoadder,
) -> tuple[Stacked, dict[str, float]]:
    """The planes of the coadd, made tile by tile, and what was clipped of each input."""
    frame = nothing_stacked(box.shape, len(facts), facts[0].nodes.shape, no_data=int(MaskPlane.NO_DATA))
    clipped, seen = np.zeros(len(facts)), np.zeros(len(facts))
    for tile in _tiles(box, algorithm.tile_px(len(facts))):
        index = [k for k, fact in enumerate(facts) if fact.input.box.intersect(tile) is not None]
        if not index:
            continue
        wide = tile.dilated(algorithm.margin_px).intersect(box) or tile
        block = _block([facts[k] for k in index], [levels[k] for k in index], wide)
        rejected = algorithm.rejected(block)
        inner = tile.slices_in(wide)
        for i, k in enumerate(index):
            usable = block.usable[i][inner] != 0
            seen[k] += np.count_nonzero(usable)
            clipped[k] += np.count_nonzero(usable & (rejected[i][inner] != 0))
        stack = Stack(
            *(block.image, block.variance, block.mask, rejected),
            nodes=np.stack([facts[k].nodes for k in index]),
            step=algorithm.cell_px,
            row=wide.y0 - box.y0,
            column=wide.x0 - box.x0,
        )
        _stack_tile(stack, np.array(index, np.int64), inner, frame, algorithm)
    names = [fact.input.name for fact in facts]
    return frame, dict(zip(names, (clipped / np.maximum(seen, 1)).tolist(), strict=True))


def _stack_tile(
    stack: Stack, index: IntArray, inner: tuple[slice, slice], frame: Stacked, options: AbstractCoadder
) -> None:
    """Sum up the interior of one block."""
    rows, columns = inner
    rule = MaskRule(
        bad=int(UNUSABLE),
        passed=np.array([int(plane) for plane in MaskPlane if plane & _PASSED], np.int64),
        share=options.least_mask_share,
        no_data=int(MaskPlane.NO_DATA),
        clipped=int(MaskPlane.CLIPPED),
        lost=int(MaskPlane.SAT),
        lost_share=options.most_saturated_share,
    )
    stack_rows(stack, index, rule, frame, rows.start, rows.stop, columns.start, columns.stop)


def _block(facts: Sequence[Facts], levels: Sequence[ChebyshevField | None], box: Box) -> Block:
    """The inputs on one box, each less its level."""
    shape = (len(facts), *box.shape)
    image, variance = np.empty(shape, np.float32), np.empty(shape, np.float32)
    mask, usable = np.empty(shape, np.int32), np.empty(shape, np.uint8)
    psfs: list[FloatArray | None] = []
    for i, (fact, level) in enumerate(zip(facts, levels, strict=True)):
        part = fact.input.read(box)
        if part is None or part.box != box:
            image[i], variance[i], mask[i], usable[i] = np.nan, np.nan, int(MaskPlane.NO_DATA), 0
        if part is None:
            psfs.append(None)
            continue
        pixels, at = part.masked_image, part.box.slices_in(box)
        image[i][at] = pixels.image if level is None else pixels.image - level.over(part.box)
        variance[i][at], mask[i][at] = pixels.variance, pixels.mask
        usable[i][at] = pixels.usable()
        psfs.append(_psf_near(fact, part.box))
    return Block(
        box=box,
        image=image,
        variance=variance,
        mask=mask,
        usable=usable,
        psfs=psfs,
        correlations=[fact.correlation for fact in facts],
    )


def _psf_near(fact: Facts, part: Box) -> FloatArray | None:
    """The PSF of an input in the middle of what it has of a block."""
    if not fact.parts:
        return None
    return stacked_psf(fact.parts).kernel_image(x=part.x_center, y=part.y_center)


def _psf(facts: Sequence[Facts], used: Float32Array, box: Box, options: AbstractCoadder) -> Psf | None:
    """The PSF of the coadd: every part with the weights that the pixels of its image had in each cell."""
    if not all(fact.parts for fact in facts):
        return None
    parts = []
    area = float(options.cell_px**2)
    for fact, own in zip(facts, used, strict=True):
        total = np.sum([part.weight.values for part in fact.parts], axis=0)
        for part in fact.parts:
            share = np.divide(part.weight.values, total, out=np.zeros(own.shape, np.float64), where=total > 0)
            nodes = part.weight
            weight = WeightMap((share * own / area).astype(np.float32), nodes.x0, nodes.y0, nodes.step)
            if weight.values.any():
                parts.append(PsfPart(field=part.field, weight=weight))
    return stacked_psf(parts) if parts else None


def _corrections(facts: Sequence[Facts], box: Box, options: AbstractCoadder) -> dict[str, ChebyshevField]:
    """Aperture corrections that all inputs have: their mean with the weights of the images, as a smooth field."""
    names = set.intersection(*(set(fact.corrections) for fact in facts))
    if not names:
        return {}
    x, y = field_positions(box)
    weights = np.array([cell_weights(fact.nodes, box, options.cell_px).at(x=x, y=y) for fact in facts])
    covered = weights.sum(axis=0) > 0
    order = _CORRECTION_ORDER if np.count_nonzero(covered) >= FIELD_NODES**2 // 2 else 0
    if np.count_nonzero(covered) < n_terms(order):
        covered[:] = True
        weights += 1.0
    terms = field_terms(box, order, x=x[covered], y=y[covered]).T
    found = {}
    for correction in sorted(names):
        values = np.array([fact.corrections[correction] for fact in facts])
        mean = np.average(values[:, covered], axis=0, weights=weights[:, covered])
        coefficients, *_ = np.linalg.lstsq(terms, mean, rcond=None)
        found[correction] = ChebyshevField(coefficients, box)
    return found
