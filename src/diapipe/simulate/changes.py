"""What changed between template and science: transients of chosen signal-to-noise, and variable stars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.numerics import pairs, significance
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray
from diapipe.simulate.geometry import Geometry
from diapipe.simulate.moffat import MoffatFieldPsf
from diapipe.simulate.population import Galaxies, Stars, inside_half_light
from diapipe.simulate.spec import PairSpec

EDGE_PX = 20.0
"""Transients keep this far from the edge of either frame."""
SEPARATION_PX = 25.0
"""Transients keep this far from each other, so that each can be told which detection is its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """Point sources of the ideal difference; shape (n,) each.

    Attributes
    ----------
    x, y
        Science pixels.
    flux
        Science minus template in science counts.
    is_variable
        A star that varies, else a transient.
    on_host
        Within the half-light ellipse of a galaxy by design.
    """

    x: FloatArray
    y: FloatArray
    flux: FloatArray
    is_variable: BoolArray
    on_host: BoolArray


def random_transients(
    spec: PairSpec,
    galaxies: Galaxies,
    geometry: Geometry,
    *,
    psf: MoffatFieldPsf,
    variance: Float32Array,
    rng: np.random.Generator,
) -> Changes:
    """Transients on galaxies and in the field, with fluxes for a log-uniform signal-to-noise.

    Parameters
    ----------
    spec, galaxies, geometry
        The sky and how it is seen.
    psf
        Of the science image.
    variance
        Of the ideal difference without the transients, squared science counts.
    rng
        Places, signs and fluxes.
    """
    x, y, on_host = _positions(spec, galaxies, geometry, rng)
    n = len(x)
    snr = np.exp(rng.uniform(np.log(spec.transient_min_snr), np.log(spec.transient_max_snr), n))
    is_negative = np.zeros(n, dtype=np.bool_)
    is_negative[rng.permutation(n)[: round(spec.transient_negative_fraction * n)]] = True
    photons_per_count = spec.gain_electrons * np.where(is_negative, spec.template_depth, 1.0)
    flux = flux_of_snr(
        snr, flux_variance=psf.flux_variance(variance, x=x, y=y), photons_per_count=photons_per_count, beta=psf.beta
    )
    return Changes(x, y, np.where(is_negative, -flux, flux), np.zeros(n, dtype=np.bool_), on_host)


def variables(stars: Stars) -> Changes:
    """The stars that changed."""
    which = stars.is_variable
    n = int(which.sum())
    change = (stars.flux - stars.template_flux)[which]
    return Changes(stars.x[which], stars.y[which], change, np.ones(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_))


def flux_of_snr(
    snr: FloatArray, *, flux_variance: FloatArray, photons_per_count: FloatArray, beta: float
) -> FloatArray:
    """Flux whose matched-filter S/N is ``snr`` when the source's own photons add to the noise.

    With P a Moffat profile, κ = ΣP³ / (ΣP²)² per photon and count is (2β - 1)² / ((β - 1)(3β - 1)), exact where the
    rest of the noise is uniform.
    """
    kappa = (2.0 * beta - 1.0) ** 2 / ((beta - 1.0) * (3.0 * beta - 1.0)) / photons_per_count
    return significance.flux_of_snr(snr, flux_variance=flux_variance, photon_variance=kappa)


def _positions(
    spec: PairSpec, galaxies: Galaxies, geometry: Geometry, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Places for the transients, apart from each other and from the frames' edges, and which are on hosts."""
    n_all = round(spec.n_transients)
    n_hosted = round(spec.transient_host_fraction * n_all)
    hosts = rng.permutation(np.flatnonzero(galaxies.mag < spec.host_faintest_mag))
    host_x, host_y = inside_half_light(galaxies, hosts, rng=rng)
    n_tries = 20 * (n_all + 1)
    x = np.concatenate([host_x, rng.uniform(0, spec.width - 1, n_tries)])
    y = np.concatenate([host_y, rng.uniform(0, spec.height - 1, n_tries)])
    seen = np.flatnonzero(_well_inside(geometry, x, y))
    hosted, field = seen[seen < len(hosts)], seen[seen >= len(hosts)]
    hosted = hosted[apart(x[hosted], y[hosted])][:n_hosted]
    both = np.concatenate([hosted, field])
    field = both[apart(x[both], y[both])]
    field = field[field >= len(hosts)][: n_all - len(hosted)]
    both = np.concatenate([hosted, field])
    return x[both], y[both], both < len(hosts)


def _well_inside(geometry: Geometry, x: FloatArray, y: FloatArray) -> BoolArray:
    """Whether positions are on both frames, away from the edges."""
    inside = np.ones(len(x), dtype=np.bool_)
    for box, (u, v) in ((geometry.science_box, (x, y)), (geometry.template_box, geometry.to_template(x, y))):
        inside &= (u > box.x0 + EDGE_PX) & (u < box.x1 - 1 - EDGE_PX)
        inside &= (v > box.y0 + EDGE_PX) & (v < box.y1 - 1 - EDGE_PX)
    return inside


def apart(x: FloatArray, y: FloatArray) -> BoolArray:
    """Positions that keep `SEPARATION_PX` from every earlier one that is kept."""
    return pairs.apart(np.column_stack([x, y]), radius=SEPARATION_PX)
