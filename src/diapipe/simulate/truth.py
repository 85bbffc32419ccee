"""Truth tables of a simulated pair. Positions are science pixels, fluxes science counts unless a column says otherwise.

``stars``
    id x y mag flux template_flux (template counts) x_template y_template is_variable saturated: a pixel of its core
    overflowed in either image.
``galaxies``
    id x y mag flux x_template y_template half_light_px axis_ratio angle_rad sersic_index.
``transients``
    id x y flux (signed: science minus template) snr_true (signed: flux over the error of an ideal matched filter, with
    the true PSF and the true noise of the ideal difference, source included) on_host kind ("transient" or "variable")
    mask: the planes of either image, the template's as ``*_TEMPLATE``, within two pixels.
``cosmic_rays``
    id image ("science" or "template", whose pixels x and y are) x y electrons n_pix masked.
"""

from __future__ import annotations

import numpy as np
from astropy import units
from astropy.table import Table, vstack

from diapipe.images import Box, MaskedImage, MaskPlane
from diapipe.numerics.arrays import Float32Array, FloatArray, MaskArray
from diapipe.simulate.changes import Changes
from diapipe.simulate.cosmic_rays import CosmicRays
from diapipe.simulate.geometry import Geometry
from diapipe.simulate.moffat import MoffatFieldPsf
from diapipe.simulate.population import Galaxies, Stars
from diapipe.simulate.spec import PairSpec

_UNITS = {
    "x": units.pix,
    "y": units.pix,
    "x_template": units.pix,
    "y_template": units.pix,
    "half_light_px": units.pix,
    "angle_rad": units.rad,
    "mag": units.mag,
    "flux": units.adu,
    "template_flux": units.adu,
    "electrons": units.electron,
}


def joined(first: Changes, second: Changes) -> Changes:
    """Changes of both, one after the other."""
    return Changes(
        x=np.concatenate([first.x, second.x]),
        y=np.concatenate([first.y, second.y]),
        flux=np.concatenate([first.flux, second.flux]),
        is_variable=np.concatenate([first.is_variable, second.is_variable]),
        on_host=np.concatenate([first.on_host, second.on_host]),
    )


def star_table(stars: Stars, geometry: Geometry, science: MaskedImage, template: MaskedImage, spec: PairSpec) -> Table:
    """Stars on the science frame, brightest first."""
    x_template, y_template = geometry.to_template(stars.x, stars.y)
    saturated = (planes_around(science.mask, science.box, x=stars.x, y=stars.y) & MaskPlane.SAT) != 0
    saturated |= (planes_around(template.mask, template.box, x=x_template, y=y_template) & MaskPlane.SAT) != 0
    table = _table(
        x=stars.x,
        y=stars.y,
        mag=stars.mag,
        flux=stars.flux,
        template_flux=stars.template_flux * spec.template_flux_scale,
        x_template=x_template,
        y_template=y_template,
        is_variable=stars.is_variable,
        saturated=saturated,
    )
    return _brightest_first(table[geometry.science_box.holds(stars.x, stars.y)])


def galaxy_table(galaxies: Galaxies, geometry: Geometry) -> Table:
    """Galaxies on the science frame, brightest first."""
    x_template, y_template = geometry.to_template(galaxies.x, galaxies.y)
    table = _table(
        x=galaxies.x,
        y=galaxies.y,
        mag=galaxies.mag,
        flux=galaxies.flux,
        x_template=x_template,
        y_template=y_template,
        half_light_px=galaxies.half_light_px,
        axis_ratio=galaxies.axis_ratio,
        angle_rad=galaxies.angle_rad,
        sersic_index=galaxies.sersic_index,
    )
    return _brightest_first(table[geometry.science_box.holds(galaxies.x, galaxies.y)])


def change_table(changes: Changes, psf: MoffatFieldPsf, variance: Float32Array, ceiling: MaskedImage) -> Table:
    """Transients and variable stars on the science frame; ``variance`` is that of the ideal difference."""
    error = np.full(len(changes.x), np.nan)
    there = ceiling.box.holds(changes.x, changes.y)
    error[there] = np.sqrt(psf.flux_variance(variance, x=changes.x[there], y=changes.y[there]))
    table = _table(
        x=changes.x,
        y=changes.y,
        flux=changes.flux,
        snr_true=changes.flux / error,
        on_host=changes.on_host,
        kind=np.where(changes.is_variable, "variable", "transient"),
        mask=planes_around(ceiling.mask, ceiling.box, x=changes.x, y=changes.y, half=2),
    )
    return _numbered(table[there])


def cosmic_ray_table(*, science: CosmicRays, template: CosmicRays) -> Table:
    """Cosmic rays of both images."""
    tables = [
        _table(
            image=np.full(len(rays.x), name, dtype="U8"),
            x=rays.x,
            y=rays.y,
            electrons=rays.electrons,
            n_pix=rays.n_pix,
            masked=rays.is_masked,
        )
        for name, rays in (("science", science), ("template", template))
    ]
    return _numbered(vstack(tables))


def planes_around(mask: MaskArray, box: Box, *, x: FloatArray, y: FloatArray, half: int = 1) -> MaskArray:
    """Mask planes set anywhere in the square of ``2 half + 1`` pixels around each position; shape of ``x``."""
    columns, rows = np.floor(x + 0.5).astype(np.int64) - box.x0, np.floor(y + 0.5).astype(np.int64) - box.y0
    planes = np.zeros(len(x), np.int32)
    for dy in range(-half, half + 1):
        for dx in range(-half, half + 1):
            inside = (rows + dy >= 0) & (rows + dy < box.height) & (columns + dx >= 0) & (columns + dx < box.width)
            planes[inside] |= mask[rows[inside] + dy, columns[inside] + dx]
    return planes


def _table(**columns: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Table:
    """Columns with their units."""
    table = Table(columns)
    for name, unit in _UNITS.items():
        if name in columns:
            table[name].unit = unit
    return table


def _brightest_first(table: Table) -> Table:
    """Rows by magnitude, numbered."""
    return _numbered(table[np.argsort(np.asarray(table["mag"]), kind="stable")])


def _numbered(table: Table) -> Table:
    """The table with the first column ``id``: 0, 1, 2, ..."""
    table.add_column(np.arange(len(table)), name="id", index=0)
    return table
