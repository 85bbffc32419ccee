"""PSFs, kernels, fields and calibrations as records, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from diapipe.errors import ReadError, WriteError
from diapipe.images.box import Box
from diapipe.images.fields import ChebyshevField, ImageField
from diapipe.images.kernel import SpatialKernel
from diapipe.images.mesh_field import MeshField
from diapipe.images.photo_calib import PhotoCalib
from diapipe.images.pixel_map import PixelMap
from diapipe.images.psf.base import Psf
from diapipe.images.psf.blended import BlendedPart, BlendedPsf
from diapipe.images.psf.coadd import CoaddComponent, CoaddPsf
from diapipe.images.psf.convolved import ConvolvedPsf
from diapipe.images.psf.gaussian import GaussianPsf
from diapipe.images.psf.homogenized import HomogenizedPsf
from diapipe.images.psf.polynomial import PolynomialPsf
from diapipe.images.psf.psfex import PsfexPsf
from diapipe.images.psf.stacked import StackedPsf
from diapipe.images.psf.warped import WarpedPsf
from diapipe.images.weight_map import WeightMap
from diapipe.io.records import Record, check_version, required
from diapipe.numerics.arrays import Float32Array, FloatArray
from diapipe.numerics.interpolant import Interpolant


def _box_cards(box: Box) -> dict[str, int]:
    return {"BOXY0": box.y0, "BOXY1": box.y1, "BOXX0": box.x0, "BOXX1": box.x1}


def _box(record: Record) -> Box:
    return Box(*(int(record.cards[key]) for key in ("BOXY0", "BOXY1", "BOXX0", "BOXX1")))


def field_record(field: ChebyshevField) -> Record:
    """A number at every position: the coefficients in triangular order, the box in cards."""
    return Record(kind="ChebyshevField", cards=_box_cards(field.box), array=field.coefficients)


def field_of(record: Record) -> ChebyshevField:
    """The ChebyshevField of a record."""
    return ChebyshevField(required(record), _box(record))


def mesh_record(field: MeshField) -> Record:
    """A level on a mesh: its values, the centres of the cells in two parts."""
    parts = {"x": array_record("Centres", field.x), "y": array_record("Centres", field.y)}
    return Record(kind="MeshField", array=field.values, parts=parts)


def mesh_of(record: Record) -> MeshField:
    """The MeshField of a record."""
    return MeshField(required(record), required(record.parts["x"]), required(record.parts["y"]))


def kernel_record(kernel: SpatialKernel) -> Record:
    """A kernel at every position: coefficient images in triangular order, shape (n_terms, size, size)."""
    return Record(kind="SpatialKernel", cards=_box_cards(kernel.box), array=kernel.field.images)


def kernel_of(record: Record) -> SpatialKernel:
    """The SpatialKernel of a record."""
    return SpatialKernel(ImageField(required(record), _box(record)))


def calib_record(calib: PhotoCalib) -> Record:
    """A photometric calibration."""
    parts = {} if calib.field is None else {"field": field_record(calib.field)}
    return Record(kind="PhotoCalib", cards={"MEAN": calib.mean, "ERROR": calib.error}, parts=parts)


def calib_of(record: Record) -> PhotoCalib:
    """The PhotoCalib of a record."""
    check_version(record)
    field = record.parts.get("field")
    return PhotoCalib(
        float(record.cards["MEAN"]), float(record.cards["ERROR"]), None if field is None else field_of(field)
    )


def psf_record(psf: Psf) -> Record:
    """A PSF model, with those it is made of.

    Raises
    ------
    WriteError
        If its class has no layout.
    """
    writer = _PSF_WRITERS.get(type(psf))
    if writer is None:
        raise WriteError(
            f"a {type(psf).__name__} cannot be written to FITS; the PSFs that can are {', '.join(_PSF_READERS)}"
        )
    return writer(psf)


def psf_of(record: Record) -> Psf:
    """The PSF model of a record; ReadError if its class is not known."""
    reader = _PSF_READERS.get(record.kind)
    if reader is None:
        raise ReadError(f"no PSF is called {record.kind!r}; known are {', '.join(_PSF_READERS)}")
    return reader(record)


class _Shared:
    """The PSFs of a stack as they are read: what was one object when it was written is one again."""

    def __init__(self) -> None:
        self._known: dict[int, Psf] = {}

    def psf_of(self, holder: Record) -> Psf:
        """The PSF of a component or part."""
        record = holder.parts["psf"]
        if id(record) not in self._known:
            self._known[id(record)] = psf_of(record)
        return self._known[id(record)]


def _write_gaussian(psf: GaussianPsf) -> Record:
    return Record(kind="GaussianPsf", cards={"SIGMA": psf.sigma, "WIDTH": psf.width})


def _read_gaussian(record: Record) -> GaussianPsf:
    check_version(record)
    return GaussianPsf(float(record.cards["SIGMA"]), int(record.cards["WIDTH"]))


def _write_polynomial(psf: PolynomialPsf) -> Record:
    return Record(kind="PolynomialPsf", cards=_box_cards(psf.field.box), array=psf.field.images)


def _read_polynomial(record: Record) -> PolynomialPsf:
    return PolynomialPsf(ImageField(required(record), _box(record)))


def _write_convolved(psf: ConvolvedPsf) -> Record:
    return Record(kind="ConvolvedPsf", parts={"psf": psf_record(psf.psf), "kernel": kernel_record(psf.kernel)})


def _read_convolved(record: Record) -> ConvolvedPsf:
    check_version(record)
    return ConvolvedPsf(psf_of(record.parts["psf"]), kernel_of(record.parts["kernel"]))


def _write_psfex(psf: PsfexPsf) -> Record:
    cards = {"DEGREE": psf.degree, "SAMPLING": psf.sampling}
    cards |= {"XZERO": psf.x_zero, "YZERO": psf.y_zero, "XSCALE": psf.x_scale, "YSCALE": psf.y_scale}
    return Record(kind="PsfexPsf", cards=cards, array=psf.images)


def _read_psfex(record: Record) -> PsfexPsf:
    numbers = [float(record.cards[key]) for key in ("XZERO", "YZERO", "XSCALE", "YSCALE", "SAMPLING")]
    return PsfexPsf(required(record), int(record.cards["DEGREE"]), *numbers)


def _write_coadd(psf: CoaddPsf) -> Record:
    parts = {f"c{n}": _write_component(part) for n, part in enumerate(psf.components)}
    return Record(kind="CoaddPsf", parts=parts)


def _write_component(part: CoaddComponent) -> Record:
    affine = np.column_stack([part.matrix, part.offset])
    cards = {"WEIGHT": part.weight, **_box_cards(part.box)}
    return Record(kind="CoaddComponent", cards=cards, array=affine, parts={"psf": psf_record(part.psf)})


def _read_coadd(record: Record) -> CoaddPsf:
    check_version(record)
    shared = _Shared()
    return CoaddPsf(tuple(_read_component(part, shared) for part in record.parts.values()))


def _read_component(record: Record, shared: _Shared) -> CoaddComponent:
    affine = required(record)
    weight = float(record.cards["WEIGHT"])
    return CoaddComponent(shared.psf_of(record), weight, _box(record), affine[:, :2].copy(), affine[:, 2].copy())


def _write_warped(psf: WarpedPsf) -> Record:
    grid = psf.pixel_map
    cards = {"NODEX0": grid.x0, "NODEY0": grid.y0, "NODESTEP": grid.step, "STRETCH": psf.interpolant.stretch}
    if psf.interpolant.blur_px is not None:
        cards["BLURPX"] = psf.interpolant.blur_px
    return Record(kind="WarpedPsf", cards=cards, array=np.stack([grid.x, grid.y]), parts={"psf": psf_record(psf.psf)})


def _read_warped(record: Record) -> WarpedPsf:
    x, y = required(record)
    grid = PixelMap(x, y, *(int(record.cards[key]) for key in ("NODEX0", "NODEY0", "NODESTEP")))
    blur = record.cards.get("BLURPX")
    interpolant = Interpolant(None if blur is None else float(blur), float(record.cards["STRETCH"]))
    return WarpedPsf(psf_of(record.parts["psf"]), grid, interpolant)


def _write_blended(psf: BlendedPsf) -> Record:
    return Record(kind="BlendedPsf", parts={f"b{n}": _write_part(part) for n, part in enumerate(psf.parts)})


def _write_part(part: BlendedPart) -> Record:
    grid = part.weight
    cards = {"NODEX0": grid.x0, "NODEY0": grid.y0, "NODESTEP": grid.step, "DX": part.dx, "DY": part.dy}
    return Record(kind="BlendedPart", cards=cards, array=grid.values, parts={"psf": psf_record(part.psf)})


def _read_blended(record: Record) -> BlendedPsf:
    check_version(record)
    shared = _Shared()
    return BlendedPsf(tuple(_read_part(part, shared) for part in record.parts.values()))


def _read_part(record: Record, shared: _Shared) -> BlendedPart:
    values = required(record).astype(np.float32)
    weight = WeightMap(values, *(float(record.cards[key]) for key in ("NODEX0", "NODEY0", "NODESTEP")))
    return BlendedPart(
        psf=shared.psf_of(record), weight=weight, dx=float(record.cards["DX"]), dy=float(record.cards["DY"])
    )


def _write_stacked(psf: StackedPsf) -> Record:
    """Three arrays, however many images: coefficient images, boxes (y0, y1, x0, x1) and weights.

    Most of the weights are one number an image: they are kept as runs of equal values, (length, value).
    """
    _, n_rows, n_columns = psf.weights.shape
    cards = {"NODEX0": psf.x0, "NODEY0": psf.y0, "NODESTEP": psf.step, "NROWS": n_rows, "NCOLUMNS": n_columns}
    boxes = np.array([(box.y0, box.y1, box.x0, box.x1) for box in psf.boxes], dtype=np.float64)
    parts = {"boxes": array_record("Boxes", boxes), "weights": array_record("Weights", _runs(psf.weights))}
    return Record(kind="StackedPsf", cards=cards, array=psf.images, parts=parts)


def _write_homogenized(psf: HomogenizedPsf) -> Record:
    """The kernels, and in parts the PSF before, the one aimed at and the kernel of each square."""
    cards = {"FIRSTX": psf.x0, "FIRSTY": psf.y0, "STEP": psf.step}
    parts = {
        "psf": psf_record(psf.psf),
        "target": array_record("Target", psf.target),
        "labels": array_record("Labels", psf.labels.astype(np.int32)),
    }
    return Record(kind="HomogenizedPsf", cards=cards, array=psf.changes, parts=parts)


def _read_homogenized(record: Record) -> HomogenizedPsf:
    check_version(record)
    changes, labels = required(record).astype(np.float32), required(record.parts["labels"]).astype(np.int64)
    place = [int(record.cards[key]) for key in ("FIRSTX", "FIRSTY", "STEP")]
    return HomogenizedPsf(psf_of(record.parts["psf"]), required(record.parts["target"]), changes, labels, *place)


def _runs(values: Float32Array) -> FloatArray:
    """Lengths and values of the runs of equal numbers in an array, flattened; shape (2, n)."""
    flat = values.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    return np.stack([np.diff(np.append(starts, len(flat))).astype(np.float64), flat[starts].astype(np.float64)])


def _read_stacked(record: Record) -> StackedPsf:
    boxes = tuple(Box(*(int(end) for end in row)) for row in required(record.parts["boxes"]))
    lengths, values = required(record.parts["weights"])
    shape = len(boxes), int(record.cards["NROWS"]), int(record.cards["NCOLUMNS"])
    weights = np.repeat(values.astype(np.float32), lengths.astype(np.int64)).reshape(shape)
    return StackedPsf(
        required(record), boxes, weights, *(float(record.cards[key]) for key in ("NODEX0", "NODEY0", "NODESTEP"))
    )


_PSF_WRITERS: dict[type[Psf], Callable[[Any], Record]] = {
    GaussianPsf: _write_gaussian,
    PolynomialPsf: _write_polynomial,
    ConvolvedPsf: _write_convolved,
    PsfexPsf: _write_psfex,
    CoaddPsf: _write_coadd,
    WarpedPsf: _write_warped,
    BlendedPsf: _write_blended,
    StackedPsf: _write_stacked,
    HomogenizedPsf: _write_homogenized,
}
_PSF_READERS: dict[str, Callable[[Record], Psf]] = {
    "GaussianPsf": _read_gaussian,
    "PolynomialPsf": _read_polynomial,
    "ConvolvedPsf": _read_convolved,
    "PsfexPsf": _read_psfex,
    "CoaddPsf": _read_coadd,
    "WarpedPsf": _read_warped,
    "BlendedPsf": _read_blended,
    "StackedPsf": _read_stacked,
    "HomogenizedPsf": _read_homogenized,
}


def array_record(kind: str, array: np.ndarray[Any, Any]) -> Record:
    """A bare array."""
    return Record(kind=kind, array=array)
