"""Matching by position on the sky and on the pixels."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table

from diapipe.catalogs.matching import association_counts, match_pixels, match_sky, with_matches
from diapipe.catalogs.source_tables import reference_list, source_list
from diapipe.errors import InputError


def sky(ra, dec):
    return SimpleNamespace(ra=np.asarray(ra, float), dec=np.asarray(dec, float))


@pytest.mark.parametrize(("ra", "dec"), [(0.0, 0.0), (123.0, -45.0), (40.0, 89.9999), (200.0, -90.0)])
def test_all_pairs_are_those_of_astropy(rng, ra, dec):
    """Two clouds over RA 0, in the open and over either pole: the pairs and separations of SkyCoord, to 1e-6 arcsec."""
    centre = SkyCoord(ra, dec, unit="deg")
    clouds = [
        centre.directional_offset_by(rng.uniform(0, 360, 60) * u.deg, rng.uniform(0, 5, 60) / 3600 * u.deg)
        for _ in range(2)
    ]
    found = match_sky(*(sky(cloud.ra.deg, cloud.dec.deg) for cloud in clouds), radius_arcsec=1.0)
    separation = clouds[0][:, None].separation(clouds[1][None]).arcsec
    near = separation <= 1.0
    assert near.sum() > 30
    assert set(zip(found.first, found.second, strict=True)) == set(zip(*np.nonzero(near), strict=True))
    np.testing.assert_allclose(found.distance, separation[found.first, found.second], atol=1e-6)


def test_how_many_partners_an_entry_may_have():
    """Two sources about one: three pairs in all, a nearest for each of the first list, each once one to one."""
    first, second = sky([10.0, 10.0 + 0.6 / 3600], [0.0, 0.0]), sky([10.0 + 0.1 / 3600, 10.0 - 0.5 / 3600], [0.0, 0.0])
    pairs = {
        keep: list(zip(*match_sky(first, second, radius_arcsec=0.8, keep=keep)[:2], strict=True))
        for keep in ("all", "nearest", "one_to_one")
    }
    assert pairs == {"all": [(0, 0), (0, 1), (1, 0)], "nearest": [(0, 0), (1, 0)], "one_to_one": [(0, 0)]}


def test_pixels_match_as_the_sky_does():
    first = SimpleNamespace(x=np.array([1.0, 5.0]), y=np.array([1.0, 5.0]))
    second = SimpleNamespace(x=np.array([5.3, np.nan]), y=np.array([5.4, 1.0]))
    found = match_pixels(first, second, radius_px=0.6)
    assert (found.first.tolist(), found.second.tolist()) == ([1], [0])
    assert found.distance[0] == pytest.approx(0.5)


DIA = Table({"x": [10.0, 40.0, 70.0], "y": [10.0, 40.0, 70.0], "ra": [1.0, 1.002, 1.004], "dec": [0.0, 0.0, 0.0]})
SOURCES = source_list(
    Table(
        {
            "sourceId": [7, 8, 9],
            "x": [12.0, 40.0, 41.0],
            "y": [10.0, 40.0, 40.0],
            "psfFlux": [1.0] * 3,
            "psfFluxErr": [1.0] * 3,
        }
    )
)
REFERENCE = reference_list(Table({"id": [70, 80], "ra": [1.004 + 0.4 / 3600, 1.1], "dec": [0.0, 0.0]}))


def test_dia_sources_learn_what_stands_there():
    """The nearest within 0.5 arcsec (2.5 px), 0 for nothing; integers; the table given has no new column."""
    found = with_matches(DIA, sources=SOURCES, reference=REFERENCE, pixel_scale_arcsec=0.2)
    assert found["srcMatchId"].tolist() == [7, 8, 0]
    assert found["refMatchId"].tolist() == [0, 0, 70]
    assert found["srcMatchId"].dtype == found["refMatchId"].dtype == np.int64
    assert "srcMatchId" not in DIA.colnames


def test_the_radius_counts():
    """0.3 arcsec reach neither the source at 0.4 nor the reference star at 0.4."""
    found = with_matches(DIA, sources=SOURCES, reference=REFERENCE, pixel_scale_arcsec=0.2, radius_arcsec=0.3)
    assert found["srcMatchId"].tolist() == [0, 8, 0]
    assert found["refMatchId"].tolist() == [0, 0, 0]


def test_nothing_to_match_with_is_zero_everywhere():
    found = with_matches(DIA)
    assert found["srcMatchId"].tolist() == found["refMatchId"].tolist() == [0, 0, 0]
    assert len(with_matches(DIA[:0], sources=SOURCES, reference=REFERENCE, pixel_scale_arcsec=0.2)) == 0


def test_pixels_need_a_scale():
    with pytest.raises(InputError, match="the pixel scale is needed"):
        with_matches(DIA, sources=SOURCES)


def test_associations_are_counted():
    """Of three, two stand on sources of the image and one on an entry of the catalogue; without it one is new."""
    found = with_matches(DIA, sources=SOURCES, reference=REFERENCE, pixel_scale_arcsec=0.2)
    names = ("Total", "RefAssociated", "SrcAssociated", "Unassociated")
    assert [association_counts(found)[f"NFalsePositives{name}"] for name in names] == [3, 1, 2, 0]
    found = with_matches(DIA, sources=SOURCES, pixel_scale_arcsec=0.2)
    assert [association_counts(found)[f"NFalsePositives{name}"] for name in names] == [3, 0, 2, 1]


def test_sky_sources_are_no_false_positives():
    """The first of three is a sky source that happens to lie by a known one: two are left, of which one is known."""
    table = DIA.copy()
    table["sky_source"] = [True, False, False]
    found = with_matches(table, sources=SOURCES, reference=REFERENCE, pixel_scale_arcsec=0.2)
    every = with_matches(DIA, sources=SOURCES, reference=REFERENCE, pixel_scale_arcsec=0.2)
    on_reference, on_source = ((every[name] > 0)[1:] for name in ("refMatchId", "srcMatchId"))
    assert association_counts(found) == {
        "NFalsePositivesTotal": 2,
        "NFalsePositivesRefAssociated": on_reference.sum(),
        "NFalsePositivesSrcAssociated": on_source.sum(),
        "NFalsePositivesUnassociated": (~on_reference & ~on_source).sum(),
    }
