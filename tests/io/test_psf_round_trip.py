"""Every PSF model survives the file, alone and inside others."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_own_layout import BOX, exposure

import diapipe.images.psf as psf_package
from diapipe.errors import ReadError
from diapipe.images import Box, ConvolvedPsf, GaussianPsf, ImageField, PolynomialPsf, Psf, SpatialKernel
from diapipe.images.pixel_map import PixelMap
from diapipe.images.psf.blended import BlendedPart, BlendedPsf
from diapipe.images.psf.coadd import CoaddComponent, CoaddPsf
from diapipe.images.psf.homogenized import HomogenizedPsf
from diapipe.images.psf.psfex import PsfexPsf
from diapipe.images.psf.stacked import PsfPart, StackedPsf, stacked_psf
from diapipe.images.psf.warped import WarpedPsf
from diapipe.images.weight_map import WeightMap
from diapipe.io import models, read_exposure, write_exposure
from diapipe.io.records import Record
from diapipe.numerics.interpolant import Interpolant

OFFSET = np.arange(-10, 11)
STAMP = np.exp(-0.5 * (OFFSET[:, None] ** 2 + 1.2 * OFFSET[None, :] ** 2) / 2.1**2)


def shear(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return 1.1 * x + 0.05 * y + 3.0, 0.95 * y + 1e-5 * x**2


def polynomial() -> PolynomialPsf:
    return PolynomialPsf(ImageField(STAMP * np.array([1.0, 0.05, -0.03])[:, None, None], BOX))


def coadd() -> CoaddPsf:
    turned = np.array([[0.9, -0.3], [0.3, 0.9]])
    return CoaddPsf(
        tuple(
            CoaddComponent(part, weight, Box(-200, 300, -200, 300), turned, np.array([3.0, 0.1 * weight]))
            for weight, part in enumerate([polynomial(), *(GaussianPsf(1.5 + 0.1 * n) for n in range(11))], start=1)
        )
    )


def blended() -> BlendedPsf:
    weights = np.linspace(0.1, 1.0, 12, dtype=np.float32).reshape(3, 4)
    parts = (
        BlendedPart(psf=polynomial(), weight=WeightMap(weights, 3.5, -2.5, 8.0)),
        BlendedPart(psf=GaussianPsf(1.7, 25), weight=WeightMap(weights[::-1].copy(), 3.5, -2.5, 8.0), dx=0.3, dy=-0.2),
    )
    return BlendedPsf(parts)


def stacked() -> StackedPsf:
    weights = np.linspace(0.1, 1.0, 12, dtype=np.float32).reshape(3, 4)
    fields = (polynomial().field, ImageField(STAMP[None, 4:17, 4:17], Box(0, 90, -5, 80)))
    nodes = (WeightMap(weights, 3.5, -2.5, 16.0), WeightMap(weights[::-1].copy(), 3.5, -2.5, 16.0))
    return stacked_psf([PsfPart(field=field, weight=weight) for field, weight in zip(fields, nodes, strict=True)])


def homogenized() -> HomogenizedPsf:
    labels = np.array([[0, 1], [2, 1]]).repeat(10, axis=0).repeat(8, axis=1)
    changes = np.zeros((3, 5, 5), np.float32)
    changes[1:, 2, 2], changes[1, 2, 1], changes[2, 3, 4] = 0.3, -0.3, -0.3
    return HomogenizedPsf(stacked(), GaussianPsf(1.9, 17).kernel_image(x=0.0, y=0.0), changes, labels, -4, 12, 4)


MODELS: dict[str, Psf] = {
    "GaussianPsf": GaussianPsf(np.pi / 2, 31),
    "PolynomialPsf": polynomial(),
    "ConvolvedPsf": ConvolvedPsf(polynomial(), SpatialKernel.constant(STAMP[5:16, 5:16], BOX)),
    "PsfexPsf": PsfexPsf(STAMP * np.array([1.0, 0.1, 0.2])[:, None, None], 1, 10.0, 20.0, 300.0, 400.0, 0.77),
    "CoaddPsf": coadd(),
    "WarpedPsf of Wiener": WarpedPsf(polynomial(), PixelMap.sampled(shear, BOX), Interpolant(0.7)),
    "BlendedPsf": blended(),
    "StackedPsf": stacked(),
    "HomogenizedPsf": homogenized(),
    "WarpedPsf": WarpedPsf(coadd(), PixelMap.sampled(shear, BOX), Interpolant(stretch=1.25)),
}


@pytest.mark.parametrize("name", MODELS)
def test_round_trip(tmp_path: Path, name: str) -> None:
    """The model read back has the same images to the 16 digits that a FITS card holds."""
    before = MODELS[name]
    write_exposure(replace(exposure(), psf=before), tmp_path / "e.fits")
    after = read_exposure(tmp_path / "e.fits").psf
    assert type(after) is type(before)
    assert after is not None
    for x, y in [(0.0, 30.0), (77.7, 80.2)]:
        image = before.kernel_image(x=x, y=y)
        np.testing.assert_allclose(after.kernel_image(x=x, y=y), image, rtol=0, atol=1e-14 * image.max())


def test_every_model_has_a_layout() -> None:
    """A PSF class that the package exports can be written, and is tested here."""
    exported = [value for value in vars(psf_package).values() if inspect.isclass(value) and issubclass(value, Psf)]
    concrete = {cls.__name__ for cls in exported if not inspect.isabstract(cls)}
    assert concrete <= set(MODELS)


def test_unknown_class() -> None:
    with pytest.raises(ReadError, match="no PSF is called 'MoonPsf'; known are GaussianPsf"):
        models.psf_of(Record(kind="MoonPsf"))


def test_newer_version() -> None:
    with pytest.raises(ReadError, match="GaussianPsf has layout version 7; this diapipe reads versions up to 1"):
        models.psf_of(Record(kind="GaussianPsf", version=7, cards={"SIGMA": 1.0, "WIDTH": 5}))
