"""--template-also: tiles of a template give what the whole gives."""

from __future__ import annotations

import json

import numpy as np
import pytest

from diapipe.cli.main import main
from diapipe.cli.truth import simulated, write_truth
from diapipe.images import Box
from diapipe.io import read_difference, read_exposure, write_exposure


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A simulated pair of 400 px, and its template in two tiles that overlap by 100 px."""
    folder = tmp_path_factory.mktemp("tiles")
    write_truth(simulated(size=400, seed=4), folder)
    whole = read_exposure(folder / "template.fits")
    box, middle = whole.box, whole.box.x0 + whole.box.width // 2
    for name, columns in (("west", (box.x0, middle + 50)), ("east", (middle - 50, box.x1))):
        write_exposure(whole[Box(box.y0, box.y1, *columns)], folder / f"{name}.fits")
    return folder


def test_tiles_give_the_difference_of_the_whole(folder):
    """Pixels agree to a tenth of the noise, which is what sky and PSF of half an image are known to; so do sources."""
    words = ["subtract", str(folder / "science.fits")]
    assert main([*words, str(folder / "template.fits"), "--out", str(folder / "whole"), "--quiet", "--no-report"]) == 0
    tiles = [str(folder / "west.fits"), "--template-also", str(folder / "east.fits")]
    assert main([*words, *tiles, "--out", str(folder / "tiled"), "--quiet", "--no-report"]) == 0
    whole, tiled = (read_difference(folder / name / "difference.fits").exposure for name in ("whole", "tiled"))
    apart = (tiled.masked_image.image - whole.masked_image.image) / np.sqrt(whole.masked_image.variance)
    assert np.isfinite(apart).mean() > 0.97
    assert np.nanpercentile(np.abs(apart), 68) < 0.1
    summaries = [json.loads((folder / name / "summary.json").read_text()) for name in ("whole", "tiled")]
    assert summaries[1]["inputs"]["template_2"]["path"].endswith("east.fits")
    assert summaries[0]["counts"]["good"] == summaries[1]["counts"]["good"]


def test_a_variance_of_its_own_has_no_meaning_for_several_tiles(folder, capsys):
    words = ["subtract", "science.fits", "west.fits", "--template-also", "east.fits", "--out", str(folder / "no")]
    assert main([*words, "--template-mask", "mask.fits", "--quiet"]) == 2
    assert "--template-mask belongs to one image, --template-also gives several" in capsys.readouterr().err
    assert not (folder / "no").exists()
