"""Files as the repository reads them: planes from wherever they are, cut-outs, components, by the camera's rules."""

from __future__ import annotations

import math
from pathlib import Path
from shutil import copy

import numpy as np
import pytest
from astropy.io import fits
from tests.tasks.camera_scenes import BEGIN_MJD, SIDE, camera, image_hdu, pixels_of, wcs_cards, write_image

import diapipe
from diapipe.cli.main import main
from diapipe.errors import BoundsError, InputError, ReadError
from diapipe.images import Box, MaskPlane, PhotoCalib
from diapipe.io import one_by_one, read_exposure, write_exposure
from diapipe.tasks.repository import open_repository
from diapipe.tasks.repository.camera import Camera
from diapipe.tasks.repository.camera_description import load_camera
from diapipe.tasks.repository.camera_files import ImageFile, images_of
from diapipe.tasks.repository.ingest_sorting import DATASET

CODES = np.zeros((SIDE, SIDE), np.int16)
CODES[3, 4], CODES[5, 6], CODES[7, 8], CODES[9, 10] = 1, 3, 5, 77


def zero_point(calib: PhotoCalib) -> float:
    """AB magnitude of one count."""
    return -2.5 * math.log10(calib.mean / 3630780547701.0)


def decam_set(folder: Path, visit: int = 1001) -> str:
    """An exposure as the Community Pipeline writes it: three chips and a guide chip, mask and weight beside."""
    folder.mkdir(parents=True, exist_ok=True)
    primary = fits.PrimaryHDU()
    primary.header.update(
        {"INSTRUME": "DECam", "EXPNUM": visit, "FILTER": "g DECam SDSS c0001 4720.0 1520.0", "EXPTIME": 90.0}
    )
    primary.header["MJD-OBS"] = BEGIN_MJD
    planes: dict[str, list[fits.hdu.base.ExtensionHDU]] = {"ooi": [], "ood": [], "oow": []}
    for name, number in (("S29", 1), ("N1", 32), ("FS1", None), ("N4", 35)):
        image = fits.CompImageHDU(
            pixels_of(visit, number or 99), name=name, quantize_level=0, compression_type="GZIP_2"
        )
        image.header.update(wcs_cards(30.0, -10.0))
        image.header.update(
            {"GAINA": 3.9, "GAINB": 4.1, "RDNOISEA": 6.0, "RDNOISEB": 7.5, "SATURATA": 4e4, "SATURATB": 5e4}
        )
        if number is not None:
            image.header["CCDNUM"] = number
        weight = np.full((SIDE, SIDE), 0.25 / (number or 99), np.float32)
        weight[0, 0] = 0
        planes["ooi"].append(image)
        planes["ood"].append(fits.CompImageHDU(CODES, name=name))
        planes["oow"].append(fits.CompImageHDU(weight, name=name, quantize_level=0, compression_type="GZIP_2"))
    for kind, hdus in planes.items():
        fits.HDUList([primary, *hdus]).writeto(folder / f"c4d_260110_050224_{kind}_g_v1.fits.fz")
    return str(folder / "c4d_260110_050224_ooi_g_v1.fits.fz")


def test_decam_has_its_chips_masks_and_weights(tmp_path: Path):
    """Chips by number and name, the guide chip left out; codes become planes, weights become variances."""
    path, decam = decam_set(tmp_path), load_camera("decam")
    found = images_of(path, decam)
    assert [(image.hdu, image.visit, image.detector, image.band) for image in found] == [
        (1, 1001, 1, "g"), (2, 1001, 32, "g"), (4, 1001, 35, "g"),
    ]  # fmt: skip
    exposure = ImageFile(path, decam, 1001, 35).exposure()
    planes = exposure.masked_image
    np.testing.assert_array_equal(planes.image, pixels_of(1001, 35))
    assert [planes.mask[3, 4], planes.mask[5, 6], planes.mask[7, 8], planes.mask[9, 10]] == [
        MaskPlane.BAD, MaskPlane.SAT, MaskPlane.CR, 0,
    ]  # fmt: skip
    assert planes.variance[2, 2] == pytest.approx(35 / 0.25)
    assert math.isinf(planes.variance[0, 0])
    assert exposure.has_mask
    assert exposure.has_variance
    info = exposure.info
    assert (info.visit, info.detector, info.band) == (1001, 35, "g")
    assert (info.gain, info.read_noise, info.saturation, info.exposure_time_s) == (4.0, 7.5, 4e4, 90.0)


def test_a_chip_is_read_without_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of a file with many chips only the bytes of one are given to astropy: of three files two HDUs each."""
    made: list[int] = []
    real = one_by_one._Window.__init__
    monkeypatch.setattr(one_by_one._Window, "__init__", lambda self, *a, **k: (made.append(1), real(self, *a, **k))[1])
    ImageFile(decam_set(tmp_path), load_camera("decam"), 1001, 35).exposure()
    assert 3 <= len(made) <= 6


def test_planes_that_are_not_there_are_none(tmp_path: Path):
    """Without the files beside it an image is read without mask and variance."""
    path = decam_set(tmp_path)
    for kind in ("ood", "oow"):
        Path(path.replace("ooi", kind)).unlink()
    exposure = ImageFile(path, load_camera("decam"), 1001, 1).exposure()
    assert (exposure.has_mask, exposure.has_variance) == (False, False)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_cut_out_is_the_part_of_the_whole(tmp_path: Path, compressed: bool):
    """All planes of a box equal those of the whole image there; a box that sticks out is refused."""
    path = decam_set(tmp_path)
    if not compressed:
        for kind in ("ooi", "ood", "oow"):
            with fits.open(path.replace("ooi", kind)) as hdus:
                plain = [fits.PrimaryHDU(header=hdus[0].header)]
                plain += [fits.ImageHDU(hdu.data, hdu.header, name=hdu.name) for hdu in hdus[1:]]
                fits.HDUList(plain).writeto(path.replace("ooi", kind), overwrite=True)
    file = ImageFile(path, load_camera("decam"), 1001, 32)
    box = Box(2, 11, 3, 17)
    whole, part = file.exposure(), file.exposure(box)
    assert part.box == box
    for plane in ("image", "mask", "variance"):
        np.testing.assert_array_equal(getattr(part.masked_image, plane), getattr(whole[box].masked_image, plane))
    np.testing.assert_array_equal(file.part("mask", box), whole[box].masked_image.mask)
    np.testing.assert_allclose(part.wcs.all_pix2world([[5, 6]], 0), whole.wcs.all_pix2world([[5, 6]], 0), atol=0)
    with pytest.raises(BoundsError):
        file.exposure(Box(0, SIDE + 1, 0, 5))


def test_components_are_those_of_the_exposure(tmp_path: Path):
    """Each part alone is what the whole exposure has."""
    path = write_image(tmp_path / "a.fits", 4, 1, MAGZERO=25.0)
    file = ImageFile(path, camera(), 4, 1)
    whole = file.exposure()
    assert file.part("bbox") == whole.box
    assert file.part("info") == whole.info
    assert zero_point(file.part("photo_calib")) == zero_point(whole.photo_calib) == pytest.approx(25.0)
    assert file.part("psf") is None
    np.testing.assert_array_equal(file.part("mask"), whole.masked_image.mask)
    assert file.part("wcs").to_header() == whole.wcs.to_header()


def both(tmp_path: Path, image: fits.PrimaryHDU, *planes: fits.ImageHDU) -> str:
    path = tmp_path / "both.fits"
    fits.HDUList([image, *planes]).writeto(path, overwrite=True)
    return str(path)


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ("{hdu: FLAGS, bits: {0: BAD, 1: hot, 3: SAT}}", {1: MaskPlane.BAD, 2: MaskPlane.BAD, 8: MaskPlane.SAT, 4: 0}),
        ("{hdu: 1, bits: {1: CR}}", {1: 0, 2: MaskPlane.CR, 3: MaskPlane.CR}),
        ("{hdu: FLAGS, codes: {2: CR, 3: STREAK}}", {1: 0, 2: MaskPlane.CR, 3: MaskPlane.STREAK}),
        ("FLAGS", {0: 0, 1: MaskPlane.BAD, 8: MaskPlane.BAD}),
        ('{hdu: "{OBJECT}_{EXPNUM}", bits: {0: SUSPECT}}', {1: MaskPlane.SUSPECT, 2: 0}),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32])
def test_what_a_mask_means(tmp_path: Path, mask: str, expected: dict[int, int], dtype: type):
    """Bits, several for one plane, codes, or nothing said; also where a program wrote them as floats."""
    values = np.array([*expected] * 2)[: len(expected)]
    flags = np.zeros((SIDE, SIDE), dtype)
    flags[0, : len(values)] = values
    name = "FIELD 1_4" if "OBJECT" in mask else "FLAGS"
    path = both(tmp_path, image_hdu(4), fits.ImageHDU(flags, name=name))
    exposure = ImageFile(path, camera(mask=mask, image="0"), 4, 0).exposure()
    assert exposure.masked_image.mask[0, : len(values)].tolist() == [int(expected[value]) for value in values]
    assert exposure.has_mask


@pytest.mark.parametrize(("kind", "expected"), [("variance", 4.0), ("error", 16.0), ("inverse", 0.25)])
def test_what_a_variance_is(tmp_path: Path, kind: str, expected: float):
    """A variance, an error that is squared, an inverse that is turned over."""
    path = both(tmp_path, image_hdu(4), fits.ImageHDU(np.full((SIDE, SIDE), 4.0, np.float32), name="NOISE"))
    found = ImageFile(path, camera(variance=f"{{hdu: NOISE, kind: {kind}}}", image="0"), 4, 0).exposure()
    assert (found.masked_image.variance == expected).all()


def test_usual_names_need_no_description(tmp_path: Path):
    """SCI, ERR and DQ belong together, of several by EXTVER."""
    hdus: list[fits.PrimaryHDU | fits.ImageHDU] = [fits.PrimaryHDU()]
    for number in (1, 2):
        hdus.append(image_hdu(6, number, kind=fits.ImageHDU, name="SCI"))
        hdus.append(fits.ImageHDU(np.full((SIDE, SIDE), float(number), np.float32), name="ERR"))
        hdus.append(fits.ImageHDU(np.full((SIDE, SIDE), number - 1, np.int16), name="DQ"))
        for hdu in hdus[-3:]:
            hdu.header["EXTVER"] = number
    path = str(tmp_path / "a.fits")
    fits.HDUList(hdus).writeto(path)
    several = camera(image="each")
    assert [image.detector for image in images_of(path, several)] == [1, 2]
    assert [image.detector for image in images_of(path, camera(image="SCI"))] == [1, 2]
    found = ImageFile(path, several, 6, 2).exposure().masked_image
    assert (found.variance == 4.0).all()
    assert (found.mask == MaskPlane.BAD).all()


def test_what_the_camera_knows_better(tmp_path: Path):
    """Its rules win over the cards, `no` silences them, and the repository's numbers are the image's."""
    cards = {"MAGZERO": 25.0, "SATURATE": 1e4, "RDNOISE": 5.0, "BUNIT": "electron"}
    path = write_image(tmp_path / "a.fits", 4, **cards)
    plain = ImageFile(path, camera(), 4, 0).exposure()
    assert (plain.info.saturation, plain.info.read_noise, zero_point(plain.photo_calib)) == pytest.approx(
        (1e4, 5.0, 25.0)
    )
    changed = camera(
        saturation="no", read_noise="{card: RDNOISE, times: 2}", zero_point="27", unit="{value: adu}", gain="[EGAIN, 3]"
    )
    found = ImageFile(path, changed, 4, 3).exposure()
    assert (found.info.saturation, found.info.read_noise, found.info.gain, found.info.detector) == (None, 10.0, 3.0, 3)
    assert (zero_point(found.photo_calib), found.unit) == (pytest.approx(27.0), "adu")
    assert ImageFile(path, camera(zero_point="no"), 4, 0).exposure().photo_calib is None


def test_the_middle_of_the_exposure(tmp_path: Path):
    """The rule's moment and the length give the middle, in TAI: 37 s after UTC in 2026."""
    path = write_image(tmp_path / "a.fits", 0)
    for rule, shift in (
        ("{start: MJD-OBS}", 15.0),
        ("{end: MJD-OBS}", -15.0),
        ("{middle: MJD-OBS, scale: TAI}", -37.0),
    ):
        middle = ImageFile(path, camera(time=rule), 0, 0).exposure().info.mjd_midpoint
        assert abs((middle - BEGIN_MJD) * 86400 - 37 - shift) < 1e-3


def test_pixels_without_a_value_are_marked(tmp_path: Path):
    image = image_hdu(4)
    image.data[2, 3] = np.nan
    found = ImageFile(both(tmp_path, image), camera(), 4, 0).exposure().masked_image
    assert found.mask[2, 3] == MaskPlane.NO_DATA
    assert np.count_nonzero(found.mask) == 1


@pytest.mark.parametrize(
    ("description", "told"),
    [
        ({"image": "SCI"}, r"both\.fits has no image in HDU SCI; it has 0"),
        ({"image": "7"}, "has no image in HDU 7"),
        ({"mask": "FLAGS"}, "has no image in HDU 'FLAGS'"),
        ({"mask": "{hdu: 1}"}, "the mask of both.fits has shape .*, the image"),
    ],
)
def test_planes_that_must_be_there_are_named(tmp_path: Path, description: dict[str, str], told: str):
    """A name that the file does not have, and a plane of another shape, are told with what there is."""
    path = both(tmp_path, image_hdu(4), fits.ImageHDU(np.zeros((3, 3), np.int16), name="SMALL"))
    with pytest.raises((ReadError, InputError), match=told):
        ImageFile(path, camera(**description), 4, 0).exposure()


def test_a_chip_without_a_number_is_refused_where_it_is_alone(tmp_path: Path):
    """And two images of one detector in a file are a contradiction."""
    path = str(tmp_path / "a.fits")
    fits.HDUList([fits.PrimaryHDU(), image_hdu(4, kind=fits.ImageHDU, CHIP=None)]).writeto(path)
    with pytest.raises(InputError, match="no detector number: there is no card CHIP"):
        images_of(path, camera(image="each"))
    twice = [image_hdu(4, kind=fits.ImageHDU, name=name) for name in "AB"]
    fits.HDUList([fits.PrimaryHDU(), *twice]).writeto(path, overwrite=True)
    with pytest.raises(InputError, match="two of its images are of detector 0"):
        images_of(path, camera(image="each"))


def test_cubes_are_no_images(tmp_path: Path):
    """An axis of length 1 is one image; more are several."""
    image = image_hdu(4)
    image.data = image.data[None]
    path = both(tmp_path, image)
    assert ImageFile(path, camera(), 4, 0).exposure(Box(1, 3, 2, 7)).box.shape == (2, 5)
    image.data = np.zeros((2, SIDE, SIDE), np.float32)
    with pytest.raises(ReadError, match=r"an image of shape \(2, 24, 24\); two dimensions are needed"):
        images_of(both(tmp_path, image), camera())


def test_ztf(tmp_path: Path):
    """A quadrant with its mask beside it; quadrants are numbered through."""
    stem = "ztf_20260110211111_000583_zr_c08_o_q2"
    cards = {"INSTRUME": "ZTF/MOSAIC", "EXPID": 330_211, "CCDID": 8, "QID": 2, "FILTER": "ZTF_r", "MAGZP": 26.3}
    path = write_image(tmp_path / f"{stem}_sciimg.fits", 1, **{**cards, "OBSMJD": BEGIN_MJD})
    flags = np.zeros((SIDE, SIDE), np.int16)
    flags[0, :4] = [1 << 0, 1 << 1, 1 << 8, 1 << 10 | 1 << 3]
    fits.PrimaryHDU(flags).writeto(tmp_path / f"{stem}_mskimg.fits")
    ztf = load_camera("ztf")
    [found] = images_of(path, ztf)
    assert (found.visit, found.detector, found.band) == (330_211, 29, "r")
    exposure = ImageFile(path, ztf, found.visit, found.detector).exposure()
    assert exposure.masked_image.mask[0, :4].tolist() == [
        MaskPlane.STREAK, 0, MaskPlane.SAT, MaskPlane.NO_DATA | MaskPlane.BAD,
    ]  # fmt: skip
    assert zero_point(exposure.photo_calib) == pytest.approx(26.3)


def test_any_image_with_the_usual_cards(tmp_path: Path):
    """The generic camera: a number from a card, or else from the time; no filter is a filter too."""
    fits_camera = load_camera("fits")
    [numbered] = images_of(write_image(tmp_path / "a.fits", 12), fits_camera)
    assert (numbered.visit, numbered.band, numbered.detector) == (12, "r", 0)
    [timed] = images_of(write_image(tmp_path / "b.fits", 3, EXPNUM=None, FILTER=None), fits_camera)
    assert (timed.visit, timed.band) == (260110053112, "none")


def test_what_the_simulator_writes(tmp_path: Path):
    """A simulated image is read as `read_exposure` reads it, PSF-less and calibrated."""
    spec = diapipe.PairSpec.small(128, n_stars=5)
    pair = diapipe.simulate_pair(spec, rng=np.random.default_rng(3))
    path = str(tmp_path / "science.fits")
    write_exposure(pair.science, path)
    simulator = load_camera("simulator")
    [found] = images_of(path, simulator)
    assert (found.visit, found.detector, found.band) == (2, 1, "r")
    assert abs(found.span.middle - 60_700.0) < 1e-9
    ours, plain = ImageFile(path, simulator, 2, 1).exposure(), read_exposure(path)
    np.testing.assert_array_equal(ours.masked_image.image, plain.masked_image.image)
    np.testing.assert_array_equal(ours.masked_image.variance, plain.masked_image.variance)
    assert zero_point(ours.photo_calib) == zero_point(plain.photo_calib)
    assert (ours.has_mask, ours.has_variance) == (True, True)


def hsc() -> Camera:
    return camera(
        "name: HSC\nvisit: {card: FRAMEID, match: 'HSCA(\\d+)'}\ndetector: DET-ID\nfilter: FILTER01\n"
        "time: {middle: DATE-AVG}"
    )


@pytest.mark.realdata
def test_an_afw_calexp_brings_all_it_has(shared_data: Path, tmp_path: Path):
    """A real HSC calexp: its own WCS, PSF, calibration and mask by names, also in a cut-out and one by one."""
    path = str(shared_data / "lsst_afw_format" / "obs_base__calexp.fits")
    [found] = images_of(path, hsc())
    assert (found.visit, found.detector, found.band) == (90401142, 4, "i")
    file, plain = ImageFile(path, hsc(), found.visit, found.detector), read_exposure(path)
    whole, part = file.exposure(), file.exposure(Box(4, 20, 10, 50))
    np.testing.assert_array_equal(whole.masked_image.mask, plain.masked_image.mask)
    np.testing.assert_array_equal(part.masked_image.image, plain.masked_image.image[4:20, 10:50])
    calibs = (exposure.photo_calib for exposure in (whole, part, plain))
    assert len({zero_point(calib) for calib in (*calibs, file.part("photo_calib"))}) == 1
    for exposure in (whole, part):
        np.testing.assert_array_equal(exposure.psf.kernel_image(x=30, y=12), plain.psf.kernel_image(x=30, y=12))
        np.testing.assert_allclose(
            exposure.wcs.all_pix2world([[30, 12]], 0), plain.wcs.all_pix2world([[30, 12]], 0), rtol=0, atol=1e-12
        )
    assert file.part("psf").kernel_image(x=30, y=12).shape == plain.psf.kernel_image(x=30, y=12).shape


@pytest.mark.realdata
def test_a_calexp_named_as_in_dc2(root: Path, shared_data: Path, tmp_path: Path):
    """Visit, detector and filter of Run 1.2i stand in the file's name; the raft is in the detector's."""
    path = tmp_path / "calexp_00000230-i-R22-S11-det094.fits"
    copy(shared_data / "lsst_afw_format" / "obs_base__calexp.fits", path)
    with fits.open(path, mode="update") as hdus:
        for key in ("EXPID", "DET-ID", "DETSER", "DETNAME", "FILTER"):
            hdus[0].header.remove(key, ignore_missing=True)
    assert main(["ingest", str(root), str(path), "--camera", "lsstcam-dc2", "--quiet"]) == 0
    with open_repository(root) as butler:
        where = {"instrument": "LSSTCam-imSim", "exposure": 230, "detector": 94, "collections": "LSSTCam-imSim/raw"}
        found = butler.get(DATASET, **where)
        detector = butler.query_dimension_records("detector", instrument="LSSTCam-imSim", detector=94)[0]
    assert (found.info.visit, found.info.detector, found.info.band) == (230, 94, "i")
    assert found.psf is not None
    assert (detector.full_name, detector.raft, detector.name_in_raft) == ("R22_S11", "R22", "S11")


@pytest.mark.realdata
def test_the_files_of_sfft(shared_data: Path):
    """DECam cut-outs of single chips: chip, filter and band from their cards, number from the name they once had."""
    path = str(shared_data / "sfft_decam" / "input_data" / "DEC-OBS04a.mini.fits")
    [found] = images_of(path, load_camera("decam"))
    assert (found.visit, found.detector, found.band) == (180804092331, 37, "i")
    exposure = ImageFile(path, load_camera("decam"), found.visit, 37).exposure()
    assert exposure.info.gain == pytest.approx((3.9814571780326 + 3.98663620648847) / 2)
    assert exposure.info.read_noise == 11.83702
