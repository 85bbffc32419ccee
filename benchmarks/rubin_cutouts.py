"""Cut-outs of Rubin alerts, and our PSF flux on their differences beside the catalogue's.

python -m benchmarks.rubin_cutouts
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from astropy.io import fits
from numpy.typing import NDArray

import diapipe
from benchmarks.real_grading import forced_fluxes
from diapipe.images import Exposure

RUBIN = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "rubin_triplets"
"""Where the files lie: beside the checkout."""

KINDS = ("science", "template", "difference")

CALIBRATION_PX = 12.0
"""The catalogue's PSF fluxes hold the light within this radius, the aperture on which LSST calibrates: against all the
light of the PSF they are short by what lies outside, 1% at 1.1" and 10% at 2.4", and so are their errors.
"""

LARGEST_CHI2 = 1.5
"""Sources that the PSF fits worse than this, by the catalogue's χ² per pixel, are trails or blends."""

type Array = NDArray[np.float64]


@dataclass(frozen=True)
class Cutout:
    """One alert: the FITS files as bytes, by kind, and the catalogue's row."""

    images: dict[str, bytes]
    row: dict[str, Any]

    @property
    def dia_source_id(self) -> int:
        """Its number."""
        return int(self.row["diaSourceId"])


def cutouts(folder: Path = RUBIN) -> Iterator[Cutout]:
    """Every alert of every file."""
    for path in sorted(folder.glob("*.parquet")):
        columns = ["diaSource", *(f"cutout{kind.capitalize()}" for kind in KINDS)]
        for row in pq.read_table(path, columns=columns).to_pylist():
            yield Cutout({kind: row[f"cutout{kind.capitalize()}"] for kind in KINDS}, row["diaSource"])


def written(cutout: Cutout, kind: str, folder: Path) -> Path:
    """A cut-out as a file of its own, as it came but for what its WCS cards lack."""
    with fits.open(io.BytesIO(cutout.images[kind])) as hdus:
        header = hdus[0].header
        header["CTYPE1"], header["CTYPE2"], header["CUNIT1"], header["CUNIT2"] = "RA---TAN", "DEC--TAN", "deg", "deg"
        path = folder / f"{cutout.dia_source_id}_{kind}.fits"
        hdus.writeto(path, overwrite=True)
    return path


@dataclass(frozen=True, kw_only=True, eq=False)
class Compared:
    """Our PSF flux on the difference of every alert beside the catalogue's; one entry each, in nJy.

    Attributes
    ----------
    flux, error
        Ours, on the scale of the catalogue: light within `CALIBRATION_PX`.
    whole_flux
        The same for all the light of the PSF model.
    catalogue, catalogue_error
        ``psfFlux`` and ``psfFluxErr``.
    is_point
        Neither a dipole nor, by the catalogue's own χ², a trail.
    """

    flux: Array
    error: Array
    whole_flux: Array
    catalogue: Array
    catalogue_error: Array
    is_point: NDArray[np.bool_]

    @property
    def snr(self) -> Array:
        """Absolute signal-to-noise by the catalogue."""
        return np.asarray(np.abs(self.catalogue / self.catalogue_error), dtype=np.float64)


def compare(alerts: Iterable[Cutout], folder: Path) -> Compared:
    """PSF fluxes at the catalogue's places; ``folder`` takes the cut-outs as files."""
    rows = []
    for cutout in alerts:
        row, exposure = cutout.row, diapipe.read_exposure(written(cutout, "difference", folder))
        flux, error = forced(exposure, ra=row["ra"], dec=row["dec"])
        inside = enclosed(exposure.psf.kernel_image(x=exposure.box.x_center, y=exposure.box.y_center), CALIBRATION_PX)
        is_point = not row["isDipole"] and row["psfChi2"] < LARGEST_CHI2 * row["psfNdata"]
        rows.append((flux * inside, error * inside, flux, row["psfFlux"], row["psfFluxErr"], is_point))
    columns = np.array(rows, dtype=np.float64).T
    return Compared(
        flux=columns[0], error=columns[1], whole_flux=columns[2],
        catalogue=columns[3], catalogue_error=columns[4], is_point=columns[5] > 0,
    )  # fmt: skip


def forced(exposure: Exposure, *, ra: float, dec: float) -> tuple[float, float]:
    """PSF flux at a place on the sky and its error."""
    x, y = exposure.wcs.all_world2pix(ra, dec, 0)
    flux, error = forced_fluxes(exposure, np.array([float(x)]), np.array([float(y)]))
    return float(flux[0]), float(error[0])


def enclosed(psf: Array, radius: float) -> float:
    """Part of a centred image of unit sum within a radius in pixels."""
    offset = np.arange(psf.shape[0]) - psf.shape[0] // 2
    return float(psf[np.hypot(offset[:, None], offset[None, :]) <= radius].sum())


def line(name: str, ratio: Array) -> str:
    """Number, median, median deviation from one and robust scatter of flux ratios."""
    scatter = 1.4826 * np.median(np.abs(ratio - np.median(ratio)))
    return f"| {name} | {len(ratio)} | {np.median(ratio):.4f} | {np.median(np.abs(ratio - 1)):.4f} | {scatter:.4f} |"


def main() -> None:
    """Print the comparison."""
    with tempfile.TemporaryDirectory() as temporary:
        found = compare(cutouts(), Path(temporary))
    ratio = found.flux / found.catalogue
    of_errors = found.error / found.catalogue_error
    samples = {
        "all": np.ones(len(ratio), dtype=bool),
        "points": found.is_point,
        "points, S/N below 6": found.is_point & (found.snr < 6),
        "points, S/N 6 to 20": found.is_point & (found.snr >= 6) & (found.snr < 20),
        "points, S/N above 20": found.is_point & (found.snr >= 20),
    }
    lines = ["| sample | n | median ratio | median deviation from 1 | scatter |", "|" + "---|" * 5]
    lines += [line(name, ratio[which]) for name, which in samples.items()]
    lines.append(line("points, all the light of the PSF", (found.whole_flux / found.catalogue)[found.is_point]))
    lines.append(line("points, errors", of_errors[found.is_point]))
    sys.stdout.write("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
