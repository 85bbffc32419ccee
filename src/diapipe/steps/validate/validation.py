"""How complete, how pure and how accurate differences are: of one, or of all of a survey."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import Table, vstack

from diapipe.errors import InputError
from diapipe.numerics.proportions import share
from diapipe.steps.validate.accuracy import accuracy_numbers, accuracy_table
from diapipe.steps.validate.bins import GOOD_SNR, magnitudes, number
from diapipe.steps.validate.by_score import score_numbers
from diapipe.steps.validate.causes import CAUSES
from diapipe.steps.validate.completeness import completeness_numbers, completeness_table, plain
from diapipe.steps.validate.judging import Judged
from diapipe.steps.validate.missed import missed_bright
from diapipe.steps.validate.quality import NOISE, noise_numbers, star_numbers, star_table, together

_LISTED = ("visit", "detector", "band", "kind", "x", "y", "ra", "dec", "snr_true", "why_missed")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Validation:
    """What injected or simulated truth tells of results.

    Attributes
    ----------
    numbers
        Plain values for JSON: ``completeness`` above `GOOD_SNR` of all and by kind, ``half_complete`` and
        ``half_complete_mag`` (S/N and, where calibrated, magnitude of 50% of points), ``purity``, ``n_unexplained`` and
        ``unexplained_per_deg2`` by cause, ``missed_bright`` by cause, ``noise`` and ``stars`` (None where nobody
        looked), ``expected_noise`` (sources by noise alone),
        biases, scatters and pulls of ``bright``, ``hostless`` and ``hosted`` points and of ``variable`` stars, and
        ``flux_scale``, by what part fluxes are too large; where sources have a reliability, ``with_score``
        (`by_score.score_numbers`). Shares are
        ``value``, ``low``, ``high``, ``n_of``, ``n``; None is what the data do not tell.
    completeness
        A row for each kind (and ``all``) and bin: ``by`` (snr or mag), ``kind``, ``from``, ``to``, ``n``, ``n_found``,
        ``completeness``, ``low``, ``high``.
    accuracy
        A row for each bin of found points: ``by`` (snr, mag or host), ``from``, ``to``, ``n``, ``bias`` (of the flux,
        relative), ``bias_err``, ``scatter``, ``scatter_by_noise`` (by claimed errors), ``pull_mean``,
        ``pull_mean_err``, ``pull_sigma``, ``pull_sigma_err``, ``dx_arcsec``, ``dy_arcsec``, ``position_sigma_arcsec``.
    quality
        Noise on empty sky and stars of all differences together, in the form of the summary of one.
    noise
        A row for each difference: ``name``, ``visit``, ``detector``, ``band``, and what `NOISE` names.
    stars
        What is left of stars, by magnitude.
    missed
        True changes above S/N 10 that count as not found, the brightest first, with ``why_missed``; those on unusable
        pixels are among them, though completeness does not ask for them.
    truth, sources
        All rows of all differences, each with the ``name`` of its own.
    """

    numbers: dict[str, Any]
    completeness: Table
    accuracy: Table
    quality: dict[str, Any]
    noise: Table
    stars: Table
    missed: Table
    truth: Table
    sources: Table

    @property
    def plain(self) -> dict[str, Any]:
        """`numbers`, and the rows of the tables as dicts: for JSON."""
        return (
            self.numbers
            | {"missed": listed(self.missed)}
            | {
                f"{name}_bins": [{key: _entry(row[key]) for key in table.colnames} for row in table]
                for name, table in (
                    ("completeness", self.completeness),
                    ("accuracy", self.accuracy),
                    ("star", self.stars),
                )
            }
        )


def validate(judged: Sequence[Judged], *, truth_is_all: bool = False) -> Validation:
    """Put together what differences tell.

    Parameters
    ----------
    judged
        At least one difference.
    truth_is_all
        Whether nothing else changed, as in a simulation: only then is what the truth does not explain false, and the
        purity and the artefacts for each real source known. Else the rates are those of all that was not injected, real
        changes among them.

    Raises
    ------
    InputError
        If nothing was judged.
    """
    if not judged:
        raise InputError("there is no difference to validate; at least one is needed")
    truth, sources = (_together(judged, which) for which in ("truth", "sources"))
    usable = truth[np.asarray(truth["is_usable"], dtype=np.bool_)]
    found = np.asarray(usable["is_good"], dtype=np.bool_)
    snr = np.abs(np.asarray(usable["snr_true"], dtype=np.float64))
    mag = magnitudes(usable) if str(truth["flux"].unit) == "nJy" else None
    numbers: dict[str, Any] = {"n_differences": len(judged), "n_true": len(usable)}
    numbers |= completeness_numbers(usable, snr, mag, found)
    numbers |= _source_numbers(judged, sources, truth_is_all=truth_is_all)
    numbers |= score_numbers(usable, snr, sources, truth_is_all=truth_is_all)
    numbers |= accuracy_numbers(usable, snr, mag)
    quality = together([one.quality for one in judged if one.quality is not None])
    numbers["noise"] = noise_numbers(quality["noise"]) if "noise" in quality else None
    numbers["stars"] = star_numbers(quality["stars"]) if "stars" in quality else None
    missed = missed_bright(truth)
    causes = [str(row["why_missed"]).partition(":")[0] for row in missed]
    numbers["missed_bright"] = dict(Counter(causes).most_common())
    return Validation(
        numbers=numbers,
        completeness=completeness_table(usable, snr, mag, found),
        accuracy=accuracy_table(usable, snr, mag),
        quality=quality,
        noise=_noise_table(judged),
        stars=star_table(quality.get("stars", {})),
        missed=missed,
        truth=truth,
        sources=sources,
    )


def _noise_table(judged: Sequence[Judged]) -> Table:
    """What is known of the noise of each difference."""
    rows = [
        (one.name, one.visit, one.detector, one.band, *(np.nan if v is None else v for v in numbers.values()))
        for one in judged
        if one.quality is not None
        for numbers in [noise_numbers(one.quality["noise"])]
    ]
    names = ("name", "visit", "detector", "band", *NOISE)
    return Table(rows=rows or None, names=names, dtype=("U128", "i8", "i8", "U32", *["f8"] * len(NOISE)))


def _together(judged: Sequence[Judged], which: str) -> Table:
    """The rows of all, with the name of their difference."""
    parts = []
    for one in judged:
        rows: Table = Table(getattr(one, which), copy=True)
        rows["name"] = np.full(len(rows), one.name)
        rows["band"] = np.full(len(rows), one.band)
        rows["visit"], rows["detector"] = np.full(len(rows), one.visit), np.full(len(rows), one.detector)
        rows["pixel_scale"] = np.full(len(rows), one.pixel_scale_arcsec)
        parts.append(rows)
    return vstack(parts, metadata_conflicts="silent")


def _source_numbers(judged: Sequence[Judged], sources: Table, *, truth_is_all: bool) -> dict[str, Any]:
    """Purity, and what the truth does not explain, by cause."""
    good = ~np.asarray(sources["dp_bad"], dtype=np.bool_)
    true = np.asarray(sources["is_true"], dtype=np.bool_)
    above = good & (np.abs(np.asarray(sources["snr"])) > GOOD_SNR)
    area = float(np.sum([one.area_deg2 for one in judged]))
    cause = np.asarray(sources["cause"])
    counts = {name: int(np.count_nonzero(good & ~true & (cause == name))) for name in CAUSES}
    numbers: dict[str, Any] = {
        "n_sources": int(np.count_nonzero(good)),
        "n_flagged": int(np.count_nonzero(~good)),
        "n_unexplained": counts,
        "area_deg2": number(area),
        "unexplained_per_deg2": {name: number(n / area) for name, n in counts.items()} if area > 0 else None,
        "expected_noise": float(np.sum([one.n_expected_noise for one in judged])),
        "flagged_unexplained": int(np.count_nonzero(~good & ~true)),
        "artefacts_per_real": None,
    }
    if truth_is_all:
        if true.any():
            numbers["artefacts_per_real"] = number(np.count_nonzero(~true) / true.sum())
        numbers["purity"] = {
            "all": plain(share(int(np.count_nonzero(good & true)), int(np.count_nonzero(good)))),
            f"snr > {GOOD_SNR:g}": plain(share(int(np.count_nonzero(above & true)), int(np.count_nonzero(above)))),
        }
    return numbers


def listed(missed: Table) -> list[dict[str, Any]]:
    """Rows of `Validation.missed` for JSON: where, what, how bright, why."""
    names = [name for name in _LISTED if name in missed.colnames]
    return [{name: _entry(row[name]) for name in names} for row in missed]


def _entry(value: Any) -> str | float | int | None:
    """An entry of a table for JSON."""
    if isinstance(value, str):
        return str(value)
    return int(value) if isinstance(value, np.integer) else number(float(value))
