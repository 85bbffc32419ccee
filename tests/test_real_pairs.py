"""Pairs of real exposures through the command, with no option but names (all of them: benchmarks/real_others.py)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import diapipe
from diapipe.cli.main import main

DATA = Path(__file__).parents[2] / "shared" / "data"
DECAM = DATA / "sfft_decam" / "input_data"
pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not DECAM.is_dir(), reason="no real data beside the checkout (../shared/data)"),
]

CHANGED = (318.10822, -66.01571)
"""The source that is brighter in the exposures 04 than in 18, degrees."""


def exposure(name: str) -> Path:
    return DECAM / f"DEC-OBS{name}.mini.fits"


def difference(science: str, template: str, out: Path) -> dict:
    """The summary of a pair."""
    status = main(["subtract", str(exposure(science)), str(exposure(template)), "--out", str(out), "--quiet"])
    assert status == 0
    return json.loads((out / "summary.json").read_text())


@pytest.mark.parametrize(
    ("science", "template", "sign"), [("04a", "18a", 1), ("18e", "04e", -1), ("18a", "18b", 0), ("04c", "04d", 0)]
)
def test_the_known_source_and_white_noise(science, template, sign, tmp_path):
    """Found above 12 sigma with its sign where the epochs differ, absent where they do not; the noise, which SWarp
    correlated in most of the inputs by 0.2, is white to 0.03: its error on 62,000 pixels is 0.004, the rest is what the
    correlations of the inputs are not known to.
    """
    noise = difference(science, template, tmp_path)["noise"]
    assert abs(noise["lag1_x"]) < 0.03
    assert abs(noise["lag1_y"]) < 0.03
    assert noise["pixel_sigma"] == pytest.approx(1.0, abs=0.03)
    sources = diapipe.read_parquet(tmp_path / "dia_sources.parquet")
    wcs = diapipe.read_difference(tmp_path / "difference.fits").exposure.wcs
    x, y = wcs.all_world2pix(*CHANGED, 0)
    here = (np.hypot(sources["x"] - x, sources["y"] - y) < 4.0) & ~sources["dp_bad"]
    assert np.count_nonzero(here) == abs(sign)
    if sign:
        assert sign * float(sources["snr"][here][0]) > 12.0


def test_the_flux_scale_of_three_exposures_closes(tmp_path):
    """18b over 18d times 18d over 18a is 18b over 18a, to 3%: six or seven stars carry each kernel, the brightest of
    which one fit had lost.
    """
    scale = {}
    for science, template in [("18b", "18d"), ("18d", "18a"), ("18b", "18a")]:
        summary = difference(science, template, tmp_path / f"{science}{template}")
        scale[science, template] = summary["kernel"]["sum"] ** (1 if summary["convolved"] == "template" else -1)
    around = scale["18b", "18d"] * scale["18d", "18a"] / scale["18b", "18a"]
    assert around == pytest.approx(1.0, abs=0.03)


def test_a_written_difference_reads_back_as_it_was(tmp_path):
    """Pixels, PSF, kernel, background and whitening, as the flow made them (a residual level: `test_own_layout`)."""
    made = diapipe.difference_pair(*(diapipe.read_exposure(exposure(name)) for name in ("04b", "04d"))).difference
    diapipe.write_difference(made, tmp_path / "d.fits")
    read = diapipe.read_difference(tmp_path / "d.fits")
    for plane in ("image", "mask", "variance"):
        np.testing.assert_array_equal(
            getattr(read.exposure.masked_image, plane), getattr(made.exposure.masked_image, plane)
        )
    assert read.convolved == made.convolved
    box = made.exposure.box
    np.testing.assert_array_equal(read.background.over(box), made.background.over(box))
    for x, y in [(30.0, 40.0), (200.0, 100.0)]:
        for before, after in [
            (made.kernel.image_at, read.kernel.image_at),
            (made.whitening.image_at, read.whitening.image_at),
            (made.exposure.psf.kernel_image, read.exposure.psf.kernel_image),
        ]:
            np.testing.assert_array_equal(after(x=x, y=y), before(x=x, y=y))


def test_a_template_without_noise_is_refused_in_a_sentence(tmp_path, capsys):
    """The template of the HOTPANTS pair is a drawing: exact zeros but for nine stars, and a variance of zero there."""
    files = [str(DATA / "lsst_afw_format" / f"ip_diffim__{name}MI.fits") for name in ("science", "template")]
    assert main(["subtract", *files, "--out", str(tmp_path / "r"), "--quiet"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "0 of 9 candidate stars are usable for the matching kernel, 3 are needed; left out were 9 for masked" in said
    assert list(tmp_path.iterdir()) == []
