"""What it costs to summarize the objects of a survey, to make their light curves, and to export them.

``python -m benchmarks.objects`` prints a Markdown table: a patch of 10,000 objects with 10 and with 100 sources each in
six bands, and one call for 10⁶ objects with 10. Tables are made beforehand and not counted; files do not stay.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy.table import Table

from diapipe.catalogs.light_curve import light_curves
from diapipe.io.exports import EXPORTS, SurveyTables, export_tables
from diapipe.numerics.arrays import IntArray
from diapipe.steps.summarize import summarize_objects

BANDS = tuple("ugrizy")


def survey(n_objects: int, n_each: int) -> tuple[Table, IntArray]:
    """Sources of objects all over the sky, visit by visit, each object with about so many; and their objects."""
    rng = np.random.default_rng(1)
    n = n_objects * n_each
    ids = rng.integers(1, n_objects + 1, n)
    error = np.full(n, 3e-5, np.float32)
    table = Table({"diaSourceId": np.arange(1, n + 1), "diaObjectId": ids, "raErr": error, "decErr": error})
    table["band"] = rng.choice(np.array(BANDS), n)
    table["midpointMjdTai"] = 60000.0 + np.arange(n) // 10_000
    table["ra"] = rng.uniform(0.0, 360.0, n_objects + 1)[ids]
    table["dec"] = rng.uniform(-80.0, 80.0, n_objects + 1)[ids]
    for flux in ("psfFlux", "scienceFlux"):
        table[flux] = rng.normal(0.0, 300.0, n).astype(np.float32)
        table[f"{flux}Err"] = np.full(n, 300.0, np.float32)
        table[flux].unit = table[f"{flux}Err"].unit = "nJy"
    return table, ids


def cpu_of(work: Callable[[], object]) -> float:
    """CPU time of the work, in seconds."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def main() -> None:
    """Print the table."""
    table, ids = survey(1000, 10)
    summarize_objects(table, ids, bands=BANDS)  # compiled
    print("| what | rows | CPU [s] | of a row [µs] |\n|---|---|---|---|")
    for n_objects, n_each in ((10_000, 10), (10_000, 100), (1_000_000, 10)):
        table, ids = survey(n_objects, n_each)
        _show("summarize", len(table), cpu_of(lambda: summarize_objects(table, ids, bands=BANDS)))  # noqa: B023
    table, ids = survey(10_000, 100)
    objects = summarize_objects(table, ids, bands=BANDS)
    table.remove_column("diaSourceId")
    _show("light curves", len(table), cpu_of(lambda: list(light_curves(table))))
    tables = SurveyTables(dia_objects=objects, forced_sources=table)
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("hats", "sncosmo", "snana", "votable", "csv"):
            export = EXPORTS.make(kind)
            place = Path(folder) / kind
            _show(kind, len(table), cpu_of(lambda: export_tables(tables, place, export=export)))  # noqa: B023


def _show(what: str, n_rows: int, cpu_s: float) -> None:
    """One line of the table."""
    print(f"| {what} | {n_rows} | {cpu_s:.2f} | {1e6 * cpu_s / n_rows:.2f} |", flush=True)


if __name__ == "__main__":
    main()
