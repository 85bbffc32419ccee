"""What is put into a repository is what comes out, whole, cut out or by component."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import yaml
from astropy import units
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from hypothesis import HealthCheck, Phase, given, settings
from lsst.daf.butler import Butler, ButlerConfig, DatasetProvenance
from tests.made_exposures import differences
from tests.same_objects import assert_same
from tests.tasks.small_repository import SmallRepository, data_id, make_small_repository, register, visit_exposure

from diapipe.errors import BoundsError
from diapipe.images import Box, Difference, Exposure
from diapipe.io.fits_file import FitsFile
from diapipe.tasks.repository import CONFIG_FOLDER
from diapipe.tasks.repository.delegates import ExposureDelegate

WHERE = data_id(11, 1)


def get(butler: Butler, name: str = "visit_image", **parameters: Any) -> Any:
    return butler.get(name, WHERE, collections="visits", parameters=parameters or None)


def test_an_exposure_comes_back(pristine_repository: SmallRepository) -> None:
    """The planes bit for bit."""
    put = visit_exposure(11, 1)
    with pristine_repository.opened() as butler:
        found = get(butler)
    assert isinstance(found, Exposure)
    for plane in ("image", "mask", "variance"):
        np.testing.assert_array_equal(getattr(found.masked_image, plane), getattr(put.masked_image, plane))


def test_a_cut_out_is_the_part_of_the_whole(pristine_repository: SmallRepository) -> None:
    """By the parameter bbox, also of the mask alone; the sky stays where it is."""
    box = Box(10, 30, 200, 256)
    with pristine_repository.opened() as butler:
        whole, part = get(butler), get(butler, bbox=box)
        mask = get(butler, "visit_image.mask", bbox=box)
    assert part.box == box
    for plane in ("image", "mask", "variance"):
        np.testing.assert_array_equal(getattr(part.masked_image, plane), getattr(whole[box].masked_image, plane))
    np.testing.assert_array_equal(mask, whole[box].masked_image.mask)
    assert part.wcs.wcs.crpix == pytest.approx(whole.wcs.wcs.crpix, abs=0)


def test_a_cut_out_beyond_the_image_is_refused(pristine_repository: SmallRepository) -> None:
    """Both boxes are in the message, as where an exposure in memory is cut."""
    with pristine_repository.opened() as butler, pytest.raises(Exception, match=r"\[0:10, 250:260\]") as caught:
        get(butler, bbox=Box(0, 10, 250, 260))
    assert isinstance(caught.value.__cause__ or caught.value, BoundsError)


@pytest.mark.parametrize("component", ["bbox", "wcs", "psf", "photo_calib", "info"])
def test_components_read_no_pixels(
    pristine_repository: SmallRepository, component: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image, the mask and the variance are not touched for what stands beside them."""
    read: list[str] = []
    plain = FitsFile.data

    def watched(self: FitsFile, number: int) -> Any:
        read.append(self.names[number])
        return plain(self, number)

    with pristine_repository.opened() as butler:
        whole = get(butler)
        monkeypatch.setattr(FitsFile, "data", watched)
        found = get(butler, f"visit_image.{component}")
    assert not {"IMAGE", "MASK", "VARIANCE"} & set(read)
    expected = whole.box if component == "bbox" else getattr(whole, component)
    assert type(found) is type(expected)


def test_a_repository_may_keep_compressed_images(pristine_repository: SmallRepository, tmp_path: Path) -> None:
    """By choice at its making: away by half a step at most, a step being 1/16 of a row's estimated noise."""
    packed = make_small_repository(tmp_path / "packed", compress=True)
    with pristine_repository.opened() as one, packed.opened() as other:
        size = {butler: butler.getURI("visit_image", WHERE, collections="visits").size() for butler in (one, other)}
        before, after = get(one).masked_image, get(other).masked_image
        cut_out = get(other, bbox=Box(100, 110, 20, 40)).masked_image
        path = other.getURI("visit_image", WHERE, collections="visits").ospath
    assert size[other] < size[one] / 4
    np.testing.assert_array_equal(before.mask, after.mask)
    step = fits.getdata(path, "IMAGE", disable_image_compression=True)["ZSCALE"]
    assert np.median(step) == pytest.approx(10.0 / 16, rel=0.1)
    assert (np.abs(before.image - after.image).max(axis=1) <= 0.5001 * step).all()
    np.testing.assert_array_equal(cut_out.image, after[Box(100, 110, 20, 40)].image)


@given(difference=differences())
@settings(
    max_examples=5, phases=(Phase.generate,), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_a_difference_comes_back(small_repository: SmallRepository, difference: Difference) -> None:
    """Whole, cut out, as the exposure that it is, and its kernel alone; the same by the delegate, from memory."""
    box = Box(difference.box.y0, difference.box.y0 + 1, difference.box.x0, difference.box.x1)
    with small_repository.opened(writeable=True) as butler:
        kind = register(butler, "difference_image", ("instrument", "visit", "detector"), "DiaDifference")
        run = f"differences/{len(butler.collections.query('*'))}"
        butler.collections.register(run)
        ref = butler.put(difference, kind, WHERE, run=run)
        assert_same(difference, butler.get(ref))
        assert_same(difference[box], butler.get(ref, parameters={"bbox": box}))
        assert_same(difference.exposure, butler.get(ref, storageClass="DiaExposure"))
        delegate = ExposureDelegate(ref.datasetType.storageClass)
        for component in ref.datasetType.storageClass.allComponents():
            found = butler.get(ref.makeComponentRef(component))
            assert_same(delegate.getComponent(difference, component), found, component)
        assert_same(difference[box], delegate.handleParameters(difference, {"bbox": box}))


def test_tables_keep_their_units(small_repository: SmallRepository) -> None:
    """Units, descriptions, several numbers a row, missing values; the table's own remarks where they are asked for."""
    table = Table(
        {
            "id": np.array([0, 1]),
            "ra": np.array([30.1, 30.2]) * units.deg,
            "raCorners": np.arange(8.0).reshape(2, 4) * units.deg,
            "psfSigma": MaskedColumn([1.7, 0.0], mask=[False, True], unit="pix", description="width"),
            "band": ["r", "r"],
        },
        meta={"visit": 11},
    )
    with small_repository.opened(writeable=True) as butler:
        kind = register(butler, "visit_summary", ("instrument", "visit"), "ArrowAstropy")
        ref = butler.put(table, kind, instrument=WHERE["instrument"], visit=11, run="visits")
        found, remarks = butler.get(ref), butler.get(ref, parameters={"strip_astropy_meta_yaml": False}).meta
    assert {name: found[name].unit for name in found.colnames} == {name: table[name].unit for name in table.colnames}
    assert found["raCorners"].shape == (2, 4)
    np.testing.assert_array_equal(found["raCorners"], table["raCorners"])
    assert found["psfSigma"].mask.tolist() == [False, True]
    assert found["psfSigma"].description == "width"
    assert remarks["visit"] == 11


def test_no_name_of_ours_is_another_s() -> None:
    """Storage classes of LSST's stack have theirs for ever, in every repository; ours begin with Dia."""
    ours = yaml.safe_load((CONFIG_FOLDER / "storageClasses.yaml").read_text())["storageClasses"]
    assert all(name.startswith("Dia") for name in ours)
    assert not set(ours) & set(ButlerConfig()["storageClasses"])


def test_a_file_says_which_dataset_it_is(small_repository: SmallRepository) -> None:
    """Its run, type and data id, what made it and from what, in the primary header, for who finds the file alone."""
    made = visit_exposure(11, 1)
    with small_repository.opened(writeable=True) as butler:
        kind = register(butler, "copy", ("instrument", "visit", "detector"), "DiaExposure")
        (source,) = butler.query_datasets("visit_image", collections="visits", data_id=WHERE)
        butler.collections.register("copies")
        making = DatasetProvenance(quantum_id=UUID(int=7))
        making.add_input(source)
        ref = butler.put(made, kind, WHERE, run="copies", provenance=making)
        header = fits.getheader(butler.getURI(ref).ospath)
        assert_same(made, butler.get(ref))
    said = {key.removeprefix("DPPROV "): header[key] for key in header if key.startswith("DPPROV ")}
    assert (said["ID"], said["RUN"], said["DATASETTYPE"]) == (str(ref.id), "copies", "copy")
    assert (said["DATAID-VISIT"], said["DATAID-DETECTOR"]) == (11, 1)
    assert (said["QUANTUM"], said["INPUT-0-ID"]) == (str(UUID(int=7)), str(source.id))
