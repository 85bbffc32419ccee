"""How good a survey is: over all of it, band by band, visit by visit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import Table, vstack

from diapipe.steps.validate.judging import Judged
from diapipe.steps.validate.validation import Validation, listed, validate

NO_VISIT = -1
"""Visit of the rows that are of many."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SurveyValidation:
    """What injected truth tells of the differences of a survey.

    Attributes
    ----------
    whole
        Of all of them whose template holds nothing of their own visit; of all where there are no others.
    bands, visits
        Of those of a band, likewise, and of a visit.
    n_own
        How many there are whose template holds light of their own visit: told by visit alone, where there are others.
    band_of
        Of each visit.
    """

    whole: Validation
    bands: Mapping[str, Validation]
    visits: Mapping[int, Validation]
    band_of: Mapping[int, str]
    n_own: int = 0

    @property
    def plain(self) -> dict[str, Any]:
        """For JSON: `Validation.plain` of all, and the numbers of each band and visit in ``bands`` and ``visits``."""
        return self.whole.plain | {
            "missed": listed(self.missed),
            "quality": self.whole.quality,
            "n_of_own_template": self.n_own,
            "bands": {band: found.numbers for band, found in self.bands.items()},
            "visits": {str(v): {"band": self.band_of[v]} | found.numbers for v, found in self.visits.items()},
        }

    @property
    def completeness(self) -> Table:
        """The tables of all, of each band and of each visit, one below the other, with ``band`` and ``visit``.

        The band is "" in the rows of all, the visit `NO_VISIT` in those of all and of a band.
        """
        return self._together("completeness")

    @property
    def accuracy(self) -> Table:
        """Likewise."""
        return self._together("accuracy")

    @property
    def missed(self) -> Table:
        """Those of all visits, the brightest first."""
        rows: Table = vstack([found.missed for found in self.visits.values()], metadata_conflicts="silent")
        return rows[np.argsort(-np.abs(np.asarray(rows["snr_true"], dtype=np.float64)), kind="stable")]

    @property
    def stars(self) -> Table:
        """What is left of stars by magnitude, likewise."""
        return self._together("stars")

    @property
    def noise(self) -> Table:
        """A row for each difference."""
        return vstack([found.noise for found in self.visits.values()], metadata_conflicts="silent")

    def _together(self, which: str) -> Table:
        groups = [("", NO_VISIT, self.whole)]
        groups += [(band, NO_VISIT, found) for band, found in self.bands.items()]
        groups += [(self.band_of[visit], visit, found) for visit, found in self.visits.items()]
        parts = []
        for band, visit, found in groups:
            rows: Table = getattr(found, which)
            rows = Table(rows, copy=True)
            rows.add_columns(
                [np.full(len(rows), band), np.full(len(rows), visit)], names=["band", "visit"], indexes=[0, 0]
            )
            parts.append(rows)
        return vstack(parts, metadata_conflicts="silent")


def validate_groups(judged: Sequence[Judged], *, truth_is_all: bool = False) -> SurveyValidation:
    """Put together what the differences of a survey tell.

    Parameters
    ----------
    judged, truth_is_all
        As for `validate`.

    Raises
    ------
    InputError
        If nothing was judged.
    """
    by_band: dict[str, list[Judged]] = {}
    by_visit: dict[int, list[Judged]] = {}
    for one in sorted(judged, key=lambda one: (one.visit, one.name)):
        by_band.setdefault(one.band, []).append(one)
        by_visit.setdefault(one.visit, []).append(one)
    return SurveyValidation(
        whole=validate(_of_other_visits(judged), truth_is_all=truth_is_all),
        bands={b: validate(_of_other_visits(by_band[b]), truth_is_all=truth_is_all) for b in sorted(by_band)},
        visits={visit: validate(some, truth_is_all=truth_is_all) for visit, some in by_visit.items()},
        band_of={visit: some[0].band for visit, some in by_visit.items()},
        n_own=sum(one.in_template for one in judged),
    )


def _of_other_visits(judged: Sequence[Judged]) -> Sequence[Judged]:
    """Those whose template holds nothing of their own visit; all where there are no others."""
    return [one for one in judged if not one.in_template] or judged
