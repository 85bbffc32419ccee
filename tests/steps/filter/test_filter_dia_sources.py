"""Cuts on DIA sources: what is rejected, why, and that nothing is lost."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units
from astropy.table import Table, vstack
from hypothesis import given
from hypothesis import strategies as st

from diapipe.catalogs.dia_sources import dia_source_table
from diapipe.errors import InputError, UsageError
from diapipe.steps.filter import DiaSourceFilter, columns_read, filter_dia_sources

NOTHING = DiaSourceFilter(bad_flags=(), min_science_snr=None, max_trail_arcsec_per_s=None, set_aside=())


def sources(n=4, **columns):
    """Good sources; the columns given are set on them."""
    measured = {"diaSourceId": np.arange(1, n + 1), "ra": np.linspace(1, 2, n), "dec": np.zeros(n)}
    trails = {"trail_flag": np.ones(n, bool), "trailLength": np.full(n, 50.0)}
    given_columns = {name: np.asarray(values) for name, values in columns.items()}
    return dia_source_table(measured | trails | given_columns, n=n, flux_unit="nJy")


def reasons(table, options=None, **more):
    """The reason against each row, "" for those kept; the same where the columns are missing that no cut looks at."""
    kept, rejected = filter_dia_sources(table, options, **more)
    looked_at = columns_read(options or DiaSourceFilter())
    narrow = table[[name for name in table.colnames if name in {"diaSourceId", *looked_at}]]
    again = filter_dia_sources(narrow, options, **more).rejected
    assert again["diaSourceId", "reason"].as_array().tolist() == rejected["diaSourceId", "reason"].as_array().tolist()
    said = dict(zip(rejected["diaSourceId"].tolist(), rejected["reason"].tolist(), strict=True))
    assert sorted([*kept["diaSourceId"].tolist(), *said]) == sorted(table["diaSourceId"].tolist())
    return [said.get(i, "") for i in table["diaSourceId"].tolist()]


SECOND = [False, True, False, False]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"sky_source": SECOND}, "flag sky_source"),
        ({"centroid_flag": SECOND}, "flag centroid_flag"),
        ({"pixelFlags_crCenter": SECOND}, "flag pixelFlags_crCenter"),
        ({"dp_bad": SECOND}, "flag dp_bad"),
        ({"ssObjectId": [0, 77, 0, 0]}, "a known object of the solar system"),
        ({"ra": [1.0, np.nan, 2.0, 3.0]}, "its position is not known"),
        (
            {"scienceFlux": [np.nan, -30.0, -19.0, 5.0], "scienceFluxErr": [10.0, 10.0, 10.0, 0.0]},
            "S/N on the science image -3, below -2",
        ),
        ({"trail_flag": ~np.array(SECOND), "trailLength": np.full(4, 12.51)}, "trail of 12.5 arcsec, too fast"),
        ({"trail_flag": ~np.array(SECOND), "trailLength": np.full(4, 12.49)}, ""),
        (
            {
                "trail_flag": ~np.array(SECOND),
                "trailLength": np.full(4, 2.0),
                "dp_trail_flag_offImage": np.ones(4, bool),
            },
            "its trail leaves the image",
        ),
        (
            {
                "trail_flag": ~np.array(SECOND),
                "trailLength": np.full(4, 2.0),
                "trail_flag_edge": np.ones(4, bool),
                "dp_trail_flag_suspectLongTrail": np.ones(4, bool),
            },
            "a long trail at the edge of the image",
        ),
        ({"trail_flag": ~np.array(SECOND), "trailLength": np.full(4, 2.0), "trail_flag_edge": np.ones(4, bool)}, ""),
    ],
)
def test_each_cut_rejects_what_it_says(columns, reason):
    """The second source alone, with its reason; 10 degrees a day are 12.501 arcsec in 30 s."""
    assert reasons(sources(**columns), exposure_time_s=30.0) == ["", reason, "", ""]


def test_the_first_reason_is_told():
    """A row is rejected once, whatever else speaks against it."""
    table = sources(sky_source=SECOND, dp_bad=[True, True, False, False], ssObjectId=[0, 0, 1, 0])
    assert reasons(table) == ["flag dp_bad", "flag sky_source", "a known object of the solar system", ""]


def test_the_flag_of_a_psf_accuses_no_trail():
    """Half of all trails of 4 FWHM have centroid_flag; what has it and is no trail is rejected."""
    table = sources(centroid_flag=[True, True, False, False], trail_flag=[False, True, True, True])
    assert reasons(table) == ["", "flag centroid_flag", "", ""]
    assert reasons(table, DiaSourceFilter(set_aside=("trailed",)))[0] == "trailed"


def test_the_default_cut_tells_what_it_was_set_for():
    """A residual, a bad pixel, no flux, a piece of a trail; a table that does not say why has the flag alone."""
    causes = {
        "dp_residual": [True, False, False, False],
        "dp_badPixel": [True, True, False, False],
        "psfFlux_flag": [False, True, True, False],
        "dp_trailOf": [0, 0, 0, 1],
    }
    said = [f"flag dp_bad: {cause}" for cause in causes]
    assert reasons(sources(dp_bad=np.ones(4, bool), **causes)) == said
    assert reasons(sources(dp_bad=SECOND, dp_residual=np.ones(4, bool))) == ["", "flag dp_bad: dp_residual", "", ""]


def test_a_cut_of_none_asks_nothing():
    table = sources(sky_source=SECOND, ssObjectId=[1, 1, 1, 1], scienceFlux=[-9.0] * 4, scienceFluxErr=[1.0] * 4)
    assert reasons(table, NOTHING, exposure_time_s=0.1) == ["", "", "", ""]


def test_trails_are_set_aside_when_asked():
    """Any fitted trail; what has no trail, whatever its trailLength, stays."""
    table = sources(trail_flag=[True, False, True, False])
    assert reasons(table, DiaSourceFilter(set_aside=("trailed",))) == ["", "trailed", "", "trailed"]


def test_speed_is_judged_by_the_exposure_of_each_row():
    """20 arcsec in 30 s are too fast, in 60 s not; where no exposure time is known nobody is."""
    table = sources(2, trail_flag=[False, False], trailLength=[20.0, 20.0])
    assert reasons(table, exposure_time_s=np.array([30.0, 60.0])) == ["trail of 20.0 arcsec, too fast", ""]
    assert reasons(table) == ["", ""]
    assert reasons(table, exposure_time_s=float("nan")) == ["", ""]


def test_the_table_tells_its_exposure_times():
    """The column counts before what is given, which stands for rows that do not tell."""
    table = sources(3, trail_flag=[False] * 3, trailLength=[20.0] * 3, exposureTime=[30.0, 60.0, np.nan])
    fast = "trail of 20.0 arcsec, too fast"
    assert reasons(table) == [fast, "", ""]
    assert reasons(table, exposure_time_s=30.0) == [fast, "", fast]


def test_reliability_is_asked_when_there_is_one():
    """Below the limit, not at it; NaN accuses nobody."""
    table = sources()
    options = DiaSourceFilter(min_reliability=0.1)
    with pytest.raises(InputError, match=r"has no column reliability, though at least 0\.1 of it is asked"):
        filter_dia_sources(table, options)
    table["reliability"] = [0.05, 0.1, 0.9, np.nan]
    assert reasons(table, options) == ["reliability 0.05, below 0.1", "", "", ""]


def test_flags_of_older_tables_and_units_are_understood():
    """A table of afw's names; lengths in degrees."""
    table = Table({"diaSourceId": [1, 2, 3], "ra": [1.0, 2.0, 3.0], "dec": [0.0, 0.0, 0.0]})
    table["base_PixelFlags_flag_crCenter"] = [False, True, False]
    table["trailLength"] = np.array([1.0, 2.0, 30.0]) / 3600.0 * units.deg
    found = reasons(table, DiaSourceFilter(bad_flags=("base_PixelFlags_flag_crCenter",)), exposure_time_s=30.0)
    assert found == ["", "flag pixelFlags_crCenter", "trail of 30.0 arcsec, too fast"]


def test_a_known_flag_may_be_missing_and_an_unknown_one_may_not():
    """A table of somebody else need not have dp_bad; a misspelt flag would silently keep everything."""
    table = Table({"diaSourceId": [1], "ra": [1.0], "dec": [0.0]})
    assert reasons(table) == [""]
    with pytest.raises(UsageError, match="visit 5 has no flag 'dp_bat', and the data model has none"):
        filter_dia_sources(table, DiaSourceFilter(bad_flags=("dp_bat",)), name="visit 5")


@pytest.mark.parametrize("missing", ["ra", "dec"])
def test_positions_are_needed(missing):
    table = sources()
    table.remove_column(missing)
    with pytest.raises(InputError, match=f"has no column {missing}"):
        filter_dia_sources(table)


def test_trails_that_nobody_fitted_cannot_be_set_aside():
    table = Table({"diaSourceId": [1], "ra": [1.0], "dec": [0.0], "trailLength": [3.0]})
    with pytest.raises(InputError, match="has no column trail_flag, though trails are to be set aside"):
        filter_dia_sources(table, DiaSourceFilter(set_aside=("trailed",)))


def test_a_kind_that_nobody_knows_is_refused():
    with pytest.raises(UsageError, match="no kind of source is called 'sky'; choose of solar_system, trailed"):
        DiaSourceFilter(set_aside=("sky",))


def test_an_empty_table_has_two_empty_parts():
    """With all columns, and ``reason`` in the rejected one."""
    kept, rejected = filter_dia_sources(sources(0), exposure_time_s=30.0)
    assert len(kept) == len(rejected) == 0
    assert rejected.colnames == [*kept.colnames, "reason"]


@given(data=st.data())
def test_nothing_is_lost_or_changed(data):
    """Kept and rejected together are the table, row by row; the table given stays as it was."""
    n = data.draw(st.integers(0, 12))
    flags = {name: data.draw(st.lists(st.booleans(), min_size=n, max_size=n)) for name in ("dp_bad", "centroid_flag")}
    fluxes = data.draw(st.lists(st.floats(-10, 10) | st.just(np.nan), min_size=n, max_size=n))
    places = {"diaSourceId": np.arange(n), "ra": np.ones(n), "dec": np.ones(n)}
    typed = {name: np.array(values, bool) for name, values in flags.items()}
    table = Table(places | typed | {"scienceFlux": np.array(fluxes, float), "scienceFluxErr": np.ones(n)})
    before = table.copy()
    kept, rejected = filter_dia_sources(table)
    assert (rejected["reason"] != "").all()
    rejected.remove_column("reason")
    together = vstack([kept, rejected])
    together.sort("diaSourceId")
    for name in table.colnames:
        np.testing.assert_array_equal(together[name], before[name])
        np.testing.assert_array_equal(table[name], before[name])
