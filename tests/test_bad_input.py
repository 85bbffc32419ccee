"""Bad input through the real command: one sentence that names the file, what was found and what is needed; the right
exit status; nothing half-written.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from diapipe import flow
from diapipe.cli import pair as cli_pair
from diapipe.cli.main import main
from diapipe.errors import counted
from diapipe.io import read_parquet
from gaussian_sky import Sky

SKY = Sky(shape=(200, 210), n_stars=25, jitter_px=13.0)
SKY_LEVEL = 500.0
SATURATION = 650.0


def wcs(*, ra=150.0, x=0.0):
    """TAN at 0.2 arcsec a pixel, the reference pixel moved along x."""
    header = WCS(naxis=2)
    header.wcs.ctype = "RA---TAN", "DEC--TAN"
    header.wcs.crval, header.wcs.cdelt, header.wcs.crpix = (ra, 2.0), (-0.2 / 3600, 0.2 / 3600), (105 + x, 100)
    return header


def write(path, image, *, at=None, variance=None, mask=None, **cards):
    """A FITS file: a single image, or IMAGE with the planes that are given."""
    header = fits.Header() if at is None else at.to_header()
    header.update(cards)
    pixels = np.asarray(image, np.float32)
    if variance is None and mask is None:
        fits.writeto(path, pixels, header, overwrite=True)
        return path
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(pixels, header, name="IMAGE")]
    hdus += [] if mask is None else [fits.ImageHDU(np.asarray(mask, np.int32), name="MASK")]
    hdus += [] if variance is None else [fits.ImageHDU(np.asarray(variance, np.float32), name="VARIANCE")]
    fits.HDUList(hdus).writeto(path, overwrite=True)
    return path


def images(sky=SKY, *, n=None, grid=True, seed=3):
    """Pixels of science and template on a sky of 500 counts, with the ``n`` brightest stars only."""
    rng = np.random.default_rng(seed)
    stars = sky.stars(rng, grid=grid)
    stars = stars.select(np.argsort(-stars.flux)[:n])
    return [e.masked_image.image + np.float32(SKY_LEVEL) for e in sky.exposures(rng, stars)]


@pytest.fixture(scope="module")
def pixels():
    """Science and template of a sky like any other."""
    return images()


@pytest.fixture(scope="module")
def pair(pixels, tmp_path_factory):
    """The same as good files: with WCS and variance."""
    folder = tmp_path_factory.mktemp("good")
    science, template = pixels
    variances = SKY.noise_science**2, SKY.noise_template**2
    planes = [np.full(SKY.shape, variance) for variance in variances]
    return (
        write(folder / "science.fits", science, at=wcs(), variance=planes[0]),
        write(folder / "template.fits", template, at=wcs(), variance=planes[1]),
    )


def run(capsys, science, template, out, *words):
    """Exit status and the lines of stderr, without progress."""
    quiet = ["--quiet", "--no-report"]
    status = main(["subtract", str(science), str(template), "--out", str(out), *quiet, *map(str, words)])
    return status, capsys.readouterr().err.splitlines()


def assert_refused(capsys, tmp_path, science, template, *words, says, status=1):
    """The status, one sentence with all that it must say, and nothing left behind."""
    before = sorted(path.name for path in tmp_path.iterdir())
    found, lines = run(capsys, science, template, tmp_path / "result", *words)
    assert found == status
    assert len(lines) == 1
    assert lines[0].startswith("diapipe: ")
    assert len(lines[0]) < 300
    for part in says:
        assert part in lines[0]
    assert lines[0].count("cannot difference") == (status == 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def assert_differenced(capsys, tmp_path, science, template, *, says=()):
    """It works; whatever is doubtful is said."""
    status = main(["subtract", str(science), str(template), "--out", str(tmp_path / "result"), "--no-report"])
    lines = [line for line in capsys.readouterr().err.splitlines() if "take care" in line]
    assert status == 0
    for part in says:
        assert any(part in line for line in lines)
    assert (tmp_path / "result" / "difference.fits").exists()


# ---- files ---------------------------------------------------------------------------------------------------------


def damaged(kind: str, folder: Path, good: Path) -> Path:
    """A file with something wrong."""
    path = folder / f"{kind}.fits"
    if kind == "truncated":
        path.write_bytes(good.read_bytes()[:100_000])
    elif kind == "text":
        path.write_text("these are not the pixels you are looking for\n" * 100)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "table":
        column = fits.Column("flux", "D", array=np.ones(3))
        fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns([column])]).writeto(path)
    elif kind == "spectrum":
        fits.writeto(path, np.ones(500, np.float32))
    elif kind == "folder":
        path.mkdir()
    return path


@pytest.mark.parametrize("which", ["science", "template"])
@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", "there is no such file"),
        ("truncated", "is truncated: it has 100000 bytes"),
        ("text", "as FITS"),
        ("empty", "Empty or corrupt FITS file"),
        ("table", "holds no image: none of its 2 HDUs has pixels"),
        ("spectrum", "has an image of shape (500,); one with two dimensions is needed"),
        ("folder", "it is a folder"),
    ],
)
def test_files_that_hold_no_image(kind, says, which, pair, tmp_path, capsys):
    """Either input: the sentence names the bad file."""
    bad = damaged(kind, tmp_path, pair[0])
    files = (bad, pair[1]) if which == "science" else (pair[0], bad)
    assert_refused(capsys, tmp_path, *files, says=[f"{kind}.fits", says])


def nothing_to_see(kind, science):
    """Pixels that show no sky."""
    return {
        "nan": np.full(SKY.shape, np.nan),
        "constant": np.full(SKY.shape, 7.0),
        "tiny": science[:20, :30],
        "huge": science.astype(float) * 1e30,
    }[kind]


@pytest.mark.parametrize("which", ["science", "template"])
@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("nan", "no finite pixel"),
        ("constant", "have the value 7; an image of the sky has noise"),
        ("tiny", " has 20 x 30 pixels; at least 48 along either axis are needed"),
        ("huge", "scale the image to values below 1e+15"),
    ],
)
def test_images_that_show_no_sky(kind, says, which, pair, pixels, tmp_path, capsys):
    bad = write(tmp_path / f"{kind}.fits", nothing_to_see(kind, pixels[0]), at=wcs())
    files = (bad, pair[1]) if which == "science" else (pair[0], bad)
    assert_refused(capsys, tmp_path, *files, says=[f"{kind}.fits", says])


# ---- geometry ------------------------------------------------------------------------------------------------------


def test_shapes_without_wcs_must_agree(pixels, tmp_path, capsys):
    science, template = write(tmp_path / "a.fits", pixels[0]), write(tmp_path / "b.fits", pixels[1][:150])
    says = ["a.fits: it has 200 x 210 pixels, b.fits has 150 x 210", "one shape"]
    assert_refused(capsys, tmp_path, science, template, says=says)


def test_equal_shapes_without_wcs_are_taken_as_aligned(pixels, tmp_path, capsys):
    science, template = write(tmp_path / "a.fits", pixels[0]), write(tmp_path / "b.fits", pixels[1])
    assert_differenced(capsys, tmp_path, science, template)


def test_images_of_different_sky(pair, pixels, tmp_path, capsys):
    far = write(tmp_path / "far.fits", pixels[1], at=wcs(ra=150.3))
    says = ["science.fits", "(far.fits)", "arcmin from the template's nearest edge", "check CRVAL"]
    assert_refused(capsys, tmp_path, pair[0], far, says=says)


def test_images_of_the_other_hemisphere(pair, pixels, tmp_path, capsys):
    """Far away is told in degrees."""
    far = write(tmp_path / "far.fits", pixels[1], at=wcs(ra=330.0))
    assert_refused(capsys, tmp_path, pair[0], far, says=["its WCS lies 176 degrees from", "(far.fits)", "check CRVAL"])


@pytest.mark.parametrize(("shift", "cover"), [(199, "5.2%"), (192, "8.6%")])
def test_an_overlap_below_a_tenth(shift, cover, pair, pixels, tmp_path, capsys):
    beside = write(tmp_path / "beside.fits", pixels[1], at=wcs(x=-shift))
    says = ["science.fits", "beside.fits", f"cover {cover}", "at least 10% are needed"]
    assert_refused(capsys, tmp_path, pair[0], beside, says=says)


def test_an_overlap_of_a_half_is_differenced_and_said(pixels, tmp_path, capsys):
    """The template covers the left half; what it does not cover is said to be missing."""
    science = write(tmp_path / "a.fits", pixels[0], at=wcs())
    half = write(tmp_path / "half.fits", pixels[1][:, :110], at=wcs())
    assert_differenced(capsys, tmp_path, science, half, says=["of the pixels have no difference"])


@pytest.mark.parametrize("which", ["science", "template"])
@pytest.mark.parametrize("value", [0.0, -999.0])
def test_padding_is_no_data(which, value, pixels, tmp_path, capsys):
    """A border filled with a number, as resampling programs leave it: no difference there, and no false source."""
    planes = [p.copy() for p in pixels]
    planes[which == "template"][:, :60] = value
    files = [write(tmp_path / name, p, at=wcs()) for name, p in zip(("a.fits", "b.fits"), planes, strict=True)]
    assert_differenced(capsys, tmp_path, *files, says=["of the pixels have no difference"])
    found = read_parquet(tmp_path / "result" / "dia_sources.parquet")
    assert np.count_nonzero(~found["dp_bad"]) <= 1
    with fits.open(tmp_path / "result" / "difference.fits") as difference:
        flags, planes_of = difference["MASK"].data, difference["MASK"].header
        bit = planes_of["MP_NO_DATA" + ("_TEMPLATE" if which == "template" else "")]
        assert ((flags[:, :60] >> bit) & 1).all()


@pytest.mark.parametrize("which", ["science", "template"])
def test_a_wcs_on_one_side_only(which, pair, pixels, tmp_path, capsys):
    bare = write(tmp_path / "bare.fits", pixels[which == "template"])
    files = (bare, pair[1]) if which == "science" else (pair[0], bare)
    assert_refused(capsys, tmp_path, *files, says=["bare.fits", "has no WCS but", "give both a WCS"])


# ---- noise ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["science", "template"])
@pytest.mark.parametrize(
    ("variance", "says"),
    [
        (0.0, "no pixel's variance is positive; the largest is 0"),
        (-5.0, "no pixel's variance is positive; the largest is -5"),
        (np.inf, "no positive finite pixel"),
        (np.nan, "no pixel's variance is positive"),
        (
            100.0 * SKY.noise_science**2,
            "within a factor of 10, in the squared unit of the image; name its extension ERR or WEIGHT",
        ),
        (
            0.01 * SKY.noise_template**2,
            "within a factor of 10, in the squared unit of the image; name its extension ERR or WEIGHT",
        ),
    ],
)
def test_an_impossible_variance(variance, says, which, pair, pixels, tmp_path, capsys):
    """Zero, negative, infinite, undefined, or 100 times off: the file is named, and the squared unit asked for."""
    bad = write(tmp_path / "v.fits", pixels[which == "template"], at=wcs(), variance=np.full(SKY.shape, variance))
    files = (bad, pair[1]) if which == "science" else (pair[0], bad)
    assert_refused(capsys, tmp_path, *files, says=["v.fits", says])


def test_a_variance_that_is_impossible_in_places_masks_them(pair, pixels, tmp_path, capsys):
    """Rows of zero, negative and infinite variance are BAD on the difference; the rest is differenced."""
    variance = np.full(SKY.shape, SKY.noise_science**2)
    variance[50:52], variance[60:62], variance[70:72] = 0.0, -3.0, np.inf
    science = write(tmp_path / "v.fits", pixels[0], at=wcs(), variance=variance)
    assert_differenced(capsys, tmp_path, science, pair[1])
    with fits.open(tmp_path / "result" / "difference.fits") as found:
        bad = (found["MASK"].data >> found["MASK"].header["MP_BAD"]) & 1
        assert bad[[50, 51, 60, 61, 70, 71]].all()
        assert bad.mean() < 0.1
        assert (found["VARIANCE"].data[bad == 0] > 0).all()


@pytest.mark.parametrize("cards", [{}, {"GAIN": -3.0}])
def test_a_missing_gain_is_made_up_for_and_said(cards, pixels, tmp_path, capsys):
    """No variance, no usable gain: estimated from the sky, with a warning for either image."""
    files = [write(tmp_path / name, p, at=wcs(), **cards) for name, p in zip(("a.fits", "b.fits"), pixels, strict=True)]
    says = [f"{name} does not say its gain" for name in ("a.fits", "b.fits")] + ["--gain or, for the template, --templ"]
    assert_differenced(capsys, tmp_path, *files, says=says)


@pytest.mark.parametrize("kind", ["mask", "variance"])
def test_a_plane_of_the_wrong_shape(kind, pair, pixels, tmp_path, capsys):
    """In the file, or given as a file of its own."""
    wrong = {kind: np.ones((10, 12))}
    inside = write(tmp_path / "inside.fits", pixels[0], at=wcs(), **wrong)
    says = f"the {kind} of {{}} has shape (10, 12), the image (200, 210): they must be equal"
    assert_refused(capsys, tmp_path, inside, pair[1], says=[says.format("inside.fits")])
    fits.writeto(tmp_path / "beside.fits", np.ones((10, 12), np.int32))
    option = (f"--science-{kind}", tmp_path / "beside.fits")
    assert_refused(capsys, tmp_path, *pair, *option, says=[says.format("beside.fits")])


def test_the_first_of_several_images_is_taken_and_said(pair, tmp_path, capsys):
    """A file of two chips, and nobody said which."""
    with fits.open(pair[0]) as file:
        chips = [fits.ImageHDU(file["IMAGE"].data, file["IMAGE"].header) for _ in range(2)]
        planes = [fits.ImageHDU(file["VARIANCE"].data, file["VARIANCE"].header)]
        fits.HDUList([fits.PrimaryHDU(), *chips, *planes]).writeto(tmp_path / "chips.fits")
    says = ["the first of 2 images of chips.fits was taken; --hdu or --template-hdu chooses another"]
    assert_differenced(capsys, tmp_path, tmp_path / "chips.fits", pair[1], says=says)


def test_a_mask_that_leaves_nothing(pair, pixels, tmp_path, capsys):
    bad = write(tmp_path / "m.fits", pixels[0], at=wcs(), mask=np.ones(SKY.shape))
    assert_refused(capsys, tmp_path, bad, pair[1], says=["0 of the 42000 pixels of m.fits are usable"])


# ---- stars ---------------------------------------------------------------------------------------------------------


def written(folder, planes, **cards):
    """Science and template files of given pixels, with true variances."""
    return [
        write(folder / name, p, at=wcs(), variance=np.full(p.shape, noise**2), **cards)
        for name, p, noise in zip(("s.fits", "t.fits"), planes, (SKY.noise_science, SKY.noise_template), strict=True)
    ]


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_stars(n, tmp_path, capsys):
    """None, one, two: counted, with what is needed."""
    files = written(tmp_path, images(n=n))
    assert_refused(
        capsys,
        tmp_path,
        *files,
        says=["s.fits", f"{counted(n, 'usable star')} among", "3 are needed for its PSF"],
    )


def test_no_stars_on_the_template_alone(pair, tmp_path, capsys):
    template = written(tmp_path, images(n=0))[1]
    assert_refused(capsys, tmp_path, pair[0], template, says=["t.fits has 0 usable stars", "3 are needed"])


def test_three_stars_are_enough_and_doubted(tmp_path, capsys):
    files = written(tmp_path, images(n=3))
    assert_differenced(capsys, tmp_path, *files, says=["Only 3 stars carried the matching kernel"])


@pytest.mark.parametrize("cards", [{"SATURATE": SATURATION}, {}])
def test_all_stars_saturated(cards, pixels, tmp_path, capsys):
    """The card says so, or the flat tops do."""
    files = written(tmp_path, [np.minimum(p, SATURATION) for p in pixels], **cards)
    says = ["s.fits are saturated", "3 unsaturated ones are needed for its PSF"]
    assert_refused(capsys, tmp_path, *files, says=says)


def test_a_crowded_field_is_differenced(tmp_path, capsys):
    """A star every 12 x 12 px, of FWHM 4.5: hardly any is alone, and the difference is made all the same."""
    sky = Sky(shape=(300, 310), n_stars=650, brightest=1e5, faintest=500)
    assert_differenced(capsys, tmp_path, *written(tmp_path, images(sky, grid=False)))


# ---- options and the outside world -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "says", "status"),
    [
        (20, "20 is not odd and at least 3; a kernel has a middle pixel, so give 21", 2),
        (-5, "-5 is not odd and at least 3", 2),
        (301, "a kernel of 301 px is larger than science.fits, which has 200 x 210 px", 2),
    ],
)
def test_kernels_of_no_use(size, says, status, pair, tmp_path, capsys):
    assert_refused(capsys, tmp_path, *pair, "--kernel-size", size, says=[says], status=status)


def test_a_large_kernel_is_used(pair, tmp_path, capsys):
    """Larger than the DFT that whitening usually takes."""
    status, _ = run(capsys, *pair, tmp_path / "result", "--kernel-size", 151)
    assert status == 0


def test_an_output_folder_below_a_file(pair, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    status, lines = run(capsys, *pair, tmp_path / "file" / "result")
    assert status == 1
    assert len(lines) == 1
    assert "cannot write the results to" in lines[0]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_an_output_folder_that_is_not_writable(pair, tmp_path, capsys):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    status, lines = run(capsys, *pair, locked / "result")
    assert status == 1
    assert "the folder is not writable" in lines[0]
    assert list(locked.iterdir()) == []


def test_an_output_folder_that_nobody_may_write(pair, tmp_path, capsys, monkeypatch):
    """The same whoever runs the test: the system refuses the folder."""

    def refuse(self, *args, **options):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    status, lines = run(capsys, *pair, tmp_path / "result")
    assert status == 1
    assert lines == [
        f"diapipe: cannot write the results to {tmp_path / 'result'}: the folder is not writable (Permission denied)"
    ]
    assert list(tmp_path.iterdir()) == []


def command(*words):
    return [sys.executable, "-m", "diapipe", "subtract", *map(str, words)]


def _small_files_only() -> None:
    """No file may grow beyond 300 kB: a write beyond it fails as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))


@pytest.mark.e2e
@pytest.mark.parametrize("existing", [False, True])
def test_a_disk_that_fills_up(existing, pair, tmp_path):
    """The real command, stopped by the system in the middle of a file: one line, status 1, an older result kept."""
    out = tmp_path / "result"
    if existing:
        out.mkdir()
        (out / "summary.json").write_text('{"schema": "diapipe-summary-1"}')
    done = subprocess.run(
        command(*pair, "--out", out, "--quiet", "--no-report"),
        capture_output=True, text=True, check=False, preexec_fn=_small_files_only,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert f"cannot write the results to {out}" in done.stderr
    assert [path.name for path in tmp_path.rglob("*")] == (["result", "summary.json"] if existing else [])


@pytest.mark.e2e
def test_an_interrupt_leaves_nothing(pair, tmp_path):
    """Ctrl-C while the real command works: status 130, one sentence, no file."""
    with subprocess.Popen(command(*pair, "--out", tmp_path / "result"), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        said = process.stderr.read().splitlines()
    assert process.returncode == 130
    assert said[-1] == "diapipe: interrupted; nothing was written"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stage", ["characterize", "measure", "write_products"])
def test_an_interrupt_that_a_library_drops_is_not_lost(stage, pair, tmp_path, capsys, monkeypatch):
    """As in a callback from C, where Python can only ignore it: the command ends where the next stage begins."""
    home = cli_pair if stage == "write_products" else flow
    real = getattr(home, stage)

    def dropping(*args, **options):
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return real(*args, **options)

    monkeypatch.setattr(home, stage, dropping)
    handler = signal.getsignal(signal.SIGINT)
    try:
        status, lines = run(capsys, *pair, tmp_path / "result")
    finally:
        signal.signal(signal.SIGINT, handler)
    assert (status, lines[-1]) == (130, "diapipe: interrupted; nothing was written")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_earlier_result(pair, tmp_path, capsys):
    """A second run with a bad template says why, and the files of the first stay as they are, to the byte."""
    out = tmp_path / "result"
    assert run(capsys, *pair, out)[0] == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert run(capsys, pair[0], tmp_path / "none.fits", out)[0] == 1
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_quiet_sky_of_this_page_is_a_good_pair(pair, tmp_path, capsys):
    """The other tests refuse for the reason they name: unchanged, the pair is differenced without a warning."""
    status, lines = run(capsys, *pair, tmp_path / "result")
    assert (status, lines) == (0, [])
