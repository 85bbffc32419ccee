"""The command on every pair of real images beside the MOA field: DECam, the HOTPANTS pair, afw files, alert cut-outs.

python -m benchmarks.real_others [--sets decam hotpants afw rubin] [--every 1] [--out FILE] [--keep FOLDER]

Each pair is run as a user would, with no option but names, and must end in a difference or in one clear sentence.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import diapipe
from benchmarks.rubin_cutouts import cutouts, written
from diapipe.cli.main import main as diapipe_command

DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
"""Where the files lie: beside the checkout."""

CHANGED = (318.10822, -66.01571)
"""Right ascension and declination of the one source that changed between the DECam epochs, degrees."""

NEAR_PX = 4.0
"""A detection within this of the known source is it; the WCSs of the epochs differ by half a pixel."""

COLUMNS = {
    "cpu_s": "CPU s",
    "fwhm_science": "FWHM S",
    "fwhm_template": "FWHM T",
    "kernel_sum": "kernel sum",
    "chi2_stars": "χ² stars",
    "lag1": "lag 1",
    "score_sigma": "score σ",
    "detections": "det./arcmin²",
    "detections_good": "after dp_bad",
    "known_snr": "known source S/N",
}
"""What is printed, and under which heading."""


@dataclass(frozen=True)
class Pair:
    """Two files, what they are called in the table, and the sign of the known change (0: there is none)."""

    group: str
    name: str
    science: Path
    template: Path
    sign: int | None = None


def decam() -> Iterator[Pair]:
    """Every ordered pair of the ten exposures, and of the two stacks; the source is brighter in epoch 04."""
    folder = DATA / "sfft_decam"
    names = {path.name[7:10]: path for path in sorted((folder / "input_data").glob("DEC-OBS*.mini.fits"))}
    names |= {f"{path.stem[-2:]}*": path for path in sorted((folder / "4check").glob("Stack-*.fits"))}
    for science, template in itertools.permutations(names, 2):
        if ("*" in science) != ("*" in template):
            continue
        sign = (science[:2] == "04") - (template[:2] == "04")
        group = f"DECam {science[:2]} - {template[:2]}" if sign else "DECam, same night"
        yield Pair(group, f"{science} - {template}", names[science], names[template], sign)


def hotpants() -> Iterator[Pair]:
    """The pair of the HOTPANTS comparison, either way."""
    files = [DATA / "lsst_afw_format" / f"ip_diffim__{name}MI.fits" for name in ("science", "template")]
    yield Pair("HOTPANTS", "science - template", *files)
    yield Pair("HOTPANTS", "template - science", *files[::-1])


def afw() -> Iterator[Pair]:
    """Every afw file with itself: there is no second image of the same sky, and reading it is the test."""
    for path in sorted((DATA / "lsst_afw_format").glob("*.fits*")):
        if not path.name.startswith("ip_diffim"):
            yield Pair("afw", f"{path.name} - itself", path, path)


def rubin(folder: Path) -> Iterator[Pair]:
    """Science and template cut-outs of every alert, written as they come."""
    for cutout in cutouts():
        files = [written(cutout, kind, folder) for kind in ("science", "template")]
        yield Pair("Rubin", str(cutout.dia_source_id), *files)


def run(pair: Pair, out: Path) -> dict[str, Any]:
    """One pair by the command; what its files say, or its sentence."""
    said, told = io.StringIO(), io.StringIO()
    begun = time.process_time()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(told):
        status = diapipe_command(["subtract", str(pair.science), str(pair.template), "--out", str(out), "--quiet"])
    found: dict[str, Any] = {
        "group": pair.group,
        "name": pair.name,
        "status": status,
        "cpu_s": time.process_time() - begun,
    }
    if status:
        left = sorted(path.name for path in out.parent.iterdir() if path.name.lstrip(".").startswith(out.name))
        return found | {"sentence": said.getvalue().strip(), "left_behind": left}
    return found | graded(out, pair.sign)


def graded(out: Path, sign: int | None) -> dict[str, Any]:
    """Grades of a difference from the files that the command wrote."""
    summary = json.loads((out / "summary.json").read_text())
    sources = diapipe.read_parquet(out / "dia_sources.parquet")
    exposure = diapipe.read_difference(out / "difference.fits").exposure
    area = exposure.box.area * abs(np.linalg.det(exposure.wcs.pixel_scale_matrix)) * 3600.0 if exposure.wcs else np.nan
    known = np.zeros(len(sources), dtype=bool)
    if sign is not None and exposure.wcs is not None:
        x, y = exposure.wcs.all_world2pix(*CHANGED, 0)
        known = np.hypot(sources["x"] - x, sources["y"] - y) < NEAR_PX
    good = ~np.asarray(sources["dp_bad"])
    of_known = np.asarray(sources["snr"])[known & good] if known.any() else ()
    noise = summary["noise"]
    return {
        "fwhm_science": summary["psf"]["science"]["fwhm_px"],
        "fwhm_template": summary["psf"]["template"]["fwhm_px"],
        "convolved": summary["convolved"],
        "kernel_sum": summary["kernel"]["sum"],
        "n_candidates": summary["candidates"]["used"],
        "chi2_stars": float(np.median(summary["stars"]["reduced_chi2"])) if summary["stars"]["n"] else np.nan,
        "lag1": max((noise["lag1_x"], noise["lag1_y"]), key=abs),
        "score_sigma": noise["score_sigma"],
        "pixel_sigma": noise["pixel_sigma"],
        "detections": float((~known).sum() / area),
        "detections_good": float((good & ~known).sum() / area),
        "known_snr": float(of_known[0]) if len(of_known) else 0.0 if sign is not None else np.nan,
        "known_right": None if sign is None else bool(np.sign(of_known[0]) == sign) if len(of_known) else sign == 0,
        "warnings": summary["warnings"],
    }


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Markdown: every pair that ended in a difference, medians of each group, then the sentences."""
    lines = ["| pair | " + " | ".join(COLUMNS.values()) + " |", "|" + "---|" * (len(COLUMNS) + 1)]
    done = [row for row in rows if row["status"] == 0]
    lines += [_line(row["name"], row) for row in done]
    for group in dict.fromkeys(row["group"] for row in done):
        members = [row for row in done if row["group"] == group]
        for name, share in (("median", 50), ("worst tenth", 90)):
            values = {key: _percentile([abs(row[key]) for row in members], share) for key in COLUMNS}
            lines.append(_line(f"**{group}**: {name} of {len(members)}", values))
        truth = [row["known_right"] for row in members if row["known_right"] is not None]
        lines += [f"known source as it should be: {sum(truth)} of {len(truth)}"] if truth else []
    sentences: dict[str, list[str]] = {}
    for row in rows:
        if row["status"]:
            sentences.setdefault(f"status {row['status']}, {row['sentence']}", []).append(row["name"])
    return [*lines, "", *(f"{len(names)} x {sentence}" for sentence, names in sentences.items())]


def _percentile(values: list[float], share: float) -> float:
    """Of the finite values; NaN if there are none."""
    finite = [value for value in values if np.isfinite(value)]
    return float(np.percentile(finite, share)) if finite else float("nan")


def closure(rows: list[dict[str, Any]]) -> str:
    """How well the kernel sums of all pairs agree with one flux scale for each exposure."""
    pairs = {
        tuple(row["name"].split(" - ")): row["kernel_sum"] ** (1 if row["convolved"] == "template" else -1)
        for row in rows
        if row["status"] == 0
    }
    names = sorted({name for pair in pairs for name in pair})
    design = np.array([[(name == a) - (name == b) for name in names] for a, b in pairs], dtype=float)
    ratio = np.log(np.array(list(pairs.values())))
    scale, *_ = np.linalg.lstsq(design, ratio, rcond=None)
    left = ratio - design @ scale
    return (
        f"kernel sums beside one flux scale for each of {len(names)} images: "
        f"rms {left.std():.4f}, largest {np.abs(left).max():.4f}"
    )


def _line(name: str, values: Any) -> str:
    return f"| {name} | " + " | ".join(f"{values[key]:.3g}" for key in COLUMNS) + " |"


def main() -> None:
    """Run the pairs, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="*", default=["decam", "hotpants", "afw", "rubin"])
    parser.add_argument("--every", type=int, default=1, help="take every n-th pair of a set")
    parser.add_argument("--only", nargs="*", default=[], help="names of the pairs to take")
    parser.add_argument("--out", type=Path, help="JSON file for every number")
    parser.add_argument("--keep", type=Path, help="folder in which the results stay")
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        sets = {"decam": decam, "hotpants": hotpants, "afw": afw, "rubin": lambda: rubin(Path(temporary))}
        for kind in given.sets:
            chosen = [pair for pair in sets[kind]() if not given.only or pair.name in given.only][:: given.every]
            found = [run(pair, folder / pair.name.replace(" ", "")) for pair in chosen]
            sys.stdout.write("\n".join([f"\n{kind}\n", *table(found), ""]))
            if kind == "decam":
                sys.stdout.write(f"{closure(found)}\n")
            sys.stdout.flush()
            rows += found
    if given.out is not None:
        given.out.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
