"""The loop over images against a slow one: all distances, means made anew from all sources, one table to assign."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from skies import ARCSEC, Sky, same_grouping, truth

from diapipe.numerics.sphere import unit_vectors
from diapipe.steps.associate import BipartiteAssociator, SimpleAssociator, associate


def offsets_arcsec(source, member):
    """East and north of one source from a place."""
    middle = unit_vectors(*member)
    ra, dec = np.radians(member)
    east = np.array([-np.sin(ra), np.cos(ra), 0.0])
    north = np.array([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)])
    step = unit_vectors(*source) - middle
    return np.degrees([step @ east, step @ north]) * 3600.0


def slow(visits, algorithm, pairing):
    """The object of each source; all errors are one number."""
    objects, places, owner = {}, {}, {}
    error = max(visits[0].ra_err[0] / ARCSEC, algorithm.error_floor_arcsec)
    for visit in visits:
        rows = np.argsort(visit.ids)
        names = list(objects)
        away = np.full((len(rows), len(names), 2), np.inf)
        for i, row in enumerate(rows):
            for j, name in enumerate(names):
                away[i, j] = offsets_arcsec((visit.ra[row], visit.dec[row]), places[name])
        variance = np.array([error**2 * (1.0 + 1.0 / len(objects[name])) for name in names])
        partner = pairing(away, variance, algorithm) if names else {}
        for i, row in enumerate(rows):
            name = names[partner[i]] if i in partner else int(visit.ids[row])
            owner[int(visit.ids[row])] = name
            objects.setdefault(name, []).append((visit.ra[row], visit.dec[row]))
            first = objects[name][0]
            mean = np.mean([offsets_arcsec(place, first) for place in objects[name]], axis=0) * ARCSEC
            places[name] = (first[0] + mean[0] / np.cos(np.radians(first[1])), first[1] + mean[1])
    return owner


def closest_first(away, variance, algorithm):
    """Of all pairs within the tolerance the closest, again and again."""
    distance, partner = np.hypot(*np.moveaxis(away, 2, 0)), {}
    for i, j in sorted(
        np.argwhere(distance <= algorithm.tolerance_arcsec).tolist(), key=lambda ij: distance[tuple(ij)]
    ):
        if i not in partner and j not in partner.values():
            partner[i] = j
    return partner


def likeliest(away, variance, algorithm):
    """SciPy's optimum of the table of all sources and objects."""
    distance = np.hypot(*np.moveaxis(away, 2, 0))
    normal = np.exp(-0.5 * distance**2 / variance) / (2.0 * np.pi * variance)
    outlier = algorithm.outlier_share / (np.pi * algorithm.tolerance_arcsec**2)
    worth = np.log((1.0 - algorithm.outlier_share) * normal + outlier) - np.log(algorithm.new_per_arcmin2 / 3600.0)
    worth[distance > algorithm.tolerance_arcsec] = -1e6
    row, column = linear_sum_assignment(-np.hstack([worth, np.zeros((len(worth), len(worth)))]))
    return {i: j for i, j in zip(row.tolist(), column.tolist(), strict=True) if j < worth.shape[1]}


@pytest.mark.parametrize("centre", [(0.0, 20.0), (200.0, -75.0)])
@pytest.mark.parametrize(
    ("algorithm", "pairing"), [(SimpleAssociator(), closest_first), (BipartiteAssociator(), likeliest)]
)
def test_the_fast_loop_decides_as_the_slow_one(rng, algorithm, pairing, centre):
    """40 objects in 4 by 4 arcsec, so that many are confused: every source of 8 images has the same object in both."""
    visits = Sky.around(rng, centre, 40, radius_arcsec=2.0, apart_arcsec=0.2).visits(rng, 8)
    found = associate(visits, algorithm=algorithm)
    expected = slow(visits, algorithm, pairing)
    assert dict(zip(found.source_ids.tolist(), found.object_ids.tolist(), strict=True)) == expected
    assert not same_grouping(truth(found.source_ids), found.object_ids)
