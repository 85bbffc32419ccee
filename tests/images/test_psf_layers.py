"""Layers: what leaps and what is smooth in a PSF, apart, so that it need not be drawn at every position."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.errors import PsfUndefinedError
from diapipe.images import Box, GaussianPsf, Psf, SpatialKernel, WeightMap
from diapipe.images.fields import ImageField
from diapipe.images.pixel_map import PixelMap
from diapipe.images.psf import BlendedPart, BlendedPsf, CoaddComponent, CoaddPsf, ConvolvedPsf, WarpedPsf
from diapipe.images.psf.lattice import PsfLattice
from diapipe.images.psf.stacked import BASIS_TOLERANCE, PsfPart, StackedPsf, stacked_psf

BOX = Box(0, 400, 0, 400)


def stack() -> StackedPsf:
    """Three visits of other widths, two of which end on the image, along other lines; with a hole."""
    parts = []
    for sigma, first, last in ((1.6, 0, 70), (2.4, 25, 80), (2.0, 0, 33)):
        images = np.array([GaussianPsf(s, 31).kernel_image(x=0, y=0) for s in (sigma, 1.03 * sigma, 0.98 * sigma)])
        images[1:] -= images[0]
        weights = np.zeros((80, 80), np.float32)
        weights[first:last, 80 - last : 80 - first] = 1.0 / sigma
        weights[5:8, 70:75] = 0.0
        box = Box(-100, 700, -100, 700)
        parts.append(PsfPart(field=ImageField(images, box), weight=WeightMap(weights, -100.0, -100.0, 10.0)))
    return stacked_psf(parts)


def warped(psf: Psf) -> WarpedPsf:
    def positions(x, y):
        return 0.98 * x - 0.2 * y + 60.3 + 2e-6 * x**2, 0.2 * x + 0.98 * y - 20.7

    return WarpedPsf(psf, PixelMap.sampled(positions, BOX))


def blend() -> BlendedPsf:
    fades = WeightMap(np.linspace(0, 1, 41, dtype=np.float32)[None].repeat(41, axis=0), 0.0, 0.0, 10.0)
    parts = [BlendedPart(psf=warped(stack()), weight=WeightMap.constant(1.0), dx=0.4)]
    return BlendedPsf((*parts, BlendedPart(psf=GaussianPsf(1.9, 25), weight=fades)))


def whitened(psf: Psf) -> ConvolvedPsf:
    image = np.zeros((5, 5))
    image[2, 2], image[2, [1, 3]], image[[1, 3], 2] = 1.2, -0.06, -0.04
    return ConvolvedPsf(psf, SpatialKernel.constant(image, BOX))


def coadd() -> CoaddPsf:
    turned = np.array([[0.95, -0.3], [0.3, 0.95]])
    parts = (
        CoaddComponent(GaussianPsf(1.6, 25), 1.0, Box(0, 300, 0, 250), np.eye(2), np.zeros(2)),
        CoaddComponent(GaussianPsf(2.4, 25), 2.0, Box(0, 300, 0, 300), turned, np.array([150.0, 20.0])),
    )
    return CoaddPsf(parts)


PSFS = {
    "stacked": stack(),
    "warped": warped(stack()),
    "blended": blend(),
    "whitened": whitened(blend()),
    "coadd": coadd(),
}


def drawn(psf: Psf, x, y):
    """The PSF at every position, zero where it is undefined: slow, and obviously right."""
    images = np.zeros((len(x), psf.size, psf.size))
    for k in range(len(x)):
        try:
            images[k] = psf.kernel_image(x=float(x[k]), y=float(y[k]))
        except PsfUndefinedError:
            continue
    return images


class Smooth(Psf):
    """A PSF that is taken to change little by little."""

    def __init__(self, psf: Psf) -> None:
        self.psf = psf

    @property
    def size(self) -> int:
        return self.psf.size

    def kernel_image(self, *, x: float, y: float):
        return self.psf.kernel_image(x=x, y=y)


def flux_errors(images, truth):
    """Relative errors of fluxes that are fitted with the images to stars that look like the truth."""
    return (images * truth).sum(axis=(1, 2)) / (images**2).sum(axis=(1, 2)) - 1.0


@pytest.mark.parametrize("name", PSFS)
def test_layers_are_the_psf(name, rng):
    """Put together at a position they are what is drawn there, at borders as elsewhere.

    What is left are the sub-pixel phases, of which the layers of a warped PSF hold the mean: Lanczos-3 makes them
    differ by 1.2e-3 of the flux of a star of sigma 1.6 px.
    """
    psf = PSFS[name]
    x, y = rng.uniform(0, 400, (2, 150))
    truth, layers = drawn(psf, x, y), psf.layers(x=x, y=y)
    assert not psf.is_smooth
    assert layers is not None
    images = np.zeros_like(truth)
    for k, (u, v) in enumerate(zip(x, y, strict=True)):
        images[k] = sum(np.tensordot(layer.shares[k], layer.images_at(u, v), axes=1) for layer in layers)
    known = truth.any(axis=(1, 2))
    np.testing.assert_array_equal(images.any(axis=(1, 2)), known)
    assert np.abs(flux_errors(images[known], truth[known])).max() < 1.5e-3


@pytest.mark.parametrize("name", PSFS)
def test_a_lattice_of_layers_leaps_where_the_psf_does(name, rng):
    """Between nodes 130 px apart fluxes are right to 2e-3; between nodes that hold the PSF as a whole they are not."""
    psf = PSFS[name]
    x, y = rng.uniform(0, 400, (2, 300))
    truth, lattice = drawn(psf, x, y), PsfLattice.around(psf, x=x, y=y, box=BOX)
    known = truth.any(axis=(1, 2))
    np.testing.assert_array_equal(lattice.weights.any(axis=1), known)
    assert np.abs(flux_errors(lattice.drawn.nodes[known], truth[known])).max() < 2e-3
    whole = PsfLattice.around(Smooth(psf), x=x, y=y, box=BOX).drawn
    images = np.einsum("nk,nkij->nij", whole.weights, whole.nodes[whole.index])
    assert np.abs(flux_errors(images[known], truth[known])).max() > 0.05
    height, norm = lattice.peaks()
    left_out = BASIS_TOLERANCE * norm[known]  # in one pixel at most, and fluxes do not feel it
    blurred = 2 * 2e-3 * height[known]  # a blur that changes a flux by a part lowers the height by twice that
    assert (np.abs(height[known] - truth[known].max(axis=(1, 2))) < left_out + blurred).all()
    np.testing.assert_array_equal(np.isfinite(norm), known)


def test_one_position_does_not_depend_on_the_others(rng):
    """As for a smooth PSF; a position that is none harms nobody."""
    x, y = rng.uniform(0, 400, (2, 50))
    x[3], x[4], y[5] = np.nan, 1e300, -1e300
    together = PsfLattice.around(PSFS["whitened"], x=x, y=y, box=BOX)
    alone = PsfLattice.around(PSFS["whitened"], x=x[:1], y=y[:1], box=BOX)
    np.testing.assert_allclose(together.drawn.nodes[0], alone.drawn.nodes[0], rtol=0, atol=1e-15)
    assert together.of(np.arange(5)).typical_fwhm == pytest.approx(
        together.drawn.of(np.arange(5)).typical_fwhm, rel=0.2
    )


def test_moments_are_those_of_the_psf(rng):
    """Second moments are not linear in the images: they are taken of what is put together."""
    x, y = rng.uniform(0, 400, (2, 20))
    index = np.repeat(np.arange(20)[:, None], 4, axis=1)
    each = PsfLattice(drawn(stack(), x, y), index, np.eye(4)[np.zeros(20, int)])
    found = PsfLattice.around(stack(), x=x, y=y, box=BOX).moments(sigma=2.0)
    np.testing.assert_allclose(found, each.moments(sigma=2.0), atol=0.01)
