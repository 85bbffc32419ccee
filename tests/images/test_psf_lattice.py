"""PsfLattice: between its nodes it gives the PSF."""

from __future__ import annotations

import numpy as np

from diapipe.errors import PsfUndefinedError
from diapipe.images import Box, GaussianPsf, Psf
from diapipe.images.psf.lattice import PsfLattice


class Widening(Psf):
    """A Gaussian whose sigma grows by 10% over 1000 px; undefined left of ``left``."""

    def __init__(self, left: float = -1e9) -> None:
        self.left = left

    @property
    def size(self) -> int:
        return 25

    def kernel_image(self, *, x: float, y: float):
        if x < self.left:
            raise PsfUndefinedError("undefined")
        return GaussianPsf(2.0 * (1 + 1e-4 * x + 0.5e-4 * y)).kernel_image(x=x, y=y)


BOX = Box(50, 950, -20, 1000)


def blended(lattice):
    return np.einsum("nk,nkij->nij", lattice.weights, lattice.nodes[lattice.index])


def test_close_to_the_psf_everywhere(rng):
    """Bilinear in the position: the height goes as σ⁻², the error is at most 6 (step dσ/dx / σ)² / 8 = 1.2e-3 of it."""
    x, y = rng.uniform(-20, 1000, 50), rng.uniform(50, 950, 50)
    found = blended(PsfLattice.around(Widening(), x=x, y=y, box=BOX))
    for k in range(50):
        expected = Widening().kernel_image(x=x[k], y=y[k])
        assert np.abs(found[k] - expected).max() < 1.2e-3 * expected.max()


def test_one_position_does_not_depend_on_the_others(rng):
    """The nodes belong to the image, not to the positions."""
    x, y = rng.uniform(-20, 1000, 30), rng.uniform(50, 950, 30)
    alone = PsfLattice.around(Widening(), x=x[:1], y=y[:1], box=BOX)
    np.testing.assert_array_equal(blended(PsfLattice.around(Widening(), x=x, y=y, box=BOX))[0], blended(alone)[0])


def test_undefined_nodes_are_left_out():
    """Where part of the nodes is undefined the others stand in; where all are, the weights are zero."""
    lattice = PsfLattice.around(
        Widening(left=400.0), x=np.array([10.0, 450.0, 900.0]), y=np.array([100.0, 100.0, 100.0]), box=BOX
    )
    np.testing.assert_allclose(lattice.weights.sum(axis=1), [0, 1, 1])


class Leaping(Widening):
    """Another width on every other pixel."""

    @property
    def is_smooth(self) -> bool:
        return False

    def kernel_image(self, *, x: float, y: float):
        if x < self.left:
            raise PsfUndefinedError("undefined")
        return GaussianPsf(2.0 + int(x) % 2, width=self.size).kernel_image(x=x, y=y)


def test_a_psf_that_leaps_is_drawn_at_every_position():
    """Nothing in between tells what it is there."""
    x, y = np.array([100.0, 101.0, 102.0]), np.array([60.0, 60.0, 700.0])
    found = blended(PsfLattice.around(Leaping(), x=x, y=y, box=BOX))
    np.testing.assert_array_equal(found, [Leaping().kernel_image(x=u, y=v) for u, v in zip(x, y, strict=True)])


def test_a_psf_that_leaps_has_no_weight_where_it_is_undefined():
    """As a smooth one has none where all nodes are undefined."""
    lattice = PsfLattice.around(Leaping(left=400.0), x=np.array([10.0, 450.0]), y=np.array([100.0, 100.0]), box=BOX)
    np.testing.assert_array_equal(lattice.weights.sum(axis=1), [0, 1])


def test_a_psf_that_leaps_is_asked_for_nowhere_but_on_the_image():
    """A place that is none, as the WCS gives it on the other side of the sky, is no question to a PSF model."""
    x, y = np.array([100.0, np.nan, 100.0, 1e300, -60.0]), np.array([60.0, 100.0, np.nan, 60.0, 1000.0])
    lattice = PsfLattice.around(Leaping(), x=x, y=y, box=BOX)
    np.testing.assert_array_equal(lattice.weights.sum(axis=1), [1, 0, 0, 0, 0])
