"""Statistics of DIA objects: against plain arithmetic, and against each defect of the original."""

from __future__ import annotations

import math

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, Table

from diapipe.catalogs.dia_objects import dia_forced_source_table
from diapipe.catalogs.old_object_columns import old_columns
from diapipe.errors import InputError
from diapipe.steps.summarize.objects import summarize_objects, with_forced_fluxes

_DEG = units.deg
NAN = math.nan
ARCSEC = 1.0 / 3600.0
SINGLE = 3e-7
"""Twice the rounding of float32, in which the data model keeps fluxes."""


def sources(flux, *, err=1.0, time=None, band="r", ra=10.0, dec=-30.0, position_err=0.1 * ARCSEC, **more) -> Table:
    """DIA sources, one each for the fluxes; other columns are one value or one for each."""
    n = len(flux)
    table = Table()
    table["diaSourceId"] = np.arange(1, n + 1)
    table["band"] = np.full(n, band) if isinstance(band, str) else np.array(band)
    table["psfFlux"] = np.array(flux, dtype=np.float32)
    table["psfFlux"].unit = "nJy"
    values = {
        "psfFluxErr": err,
        "midpointMjdTai": np.arange(60000.0, 60000.0 + n) if time is None else time,
        "ra": ra,
        "dec": dec,
        "raErr": position_err,
        "decErr": position_err,
        **more,
    }
    for name, value in values.items():
        table[name] = np.broadcast_to(np.asarray(value, dtype=np.float64), n).copy()
    return table


def one_object(table: Table, **options) -> Table.Row:
    """The object that all the sources belong to."""
    found = summarize_objects(table, np.full(len(table), 7), bands=options.pop("bands", ["r"]))
    assert found["diaObjectId"].tolist() == [7]
    return found[0]


# --- the slow, obviously right twin -------------------------------------------------------------------------


def plainly(rows: list[Table.Row], band: str) -> dict[str, float]:
    """The statistics of one band of one object, written as the definitions read."""
    rows = sorted((r for r in rows if r["band"] == band), key=lambda r: r["midpointMjdTai"])
    rows = [r for r in rows if np.isfinite(r["psfFlux"]) and np.isfinite(r["psfFluxErr"])]
    flux, err, time = ([float(row[name]) for row in rows] for name in ("psfFlux", "psfFluxErr", "midpointMjdTai"))
    n = len(flux)
    if n == 0:
        return {"psfFluxNdata": 0}
    mean = sum(f / e**2 for f, e in zip(flux, err, strict=True)) / sum(1 / e**2 for e in err)
    slopes = [(flux[i + 1] - flux[i]) / (time[i + 1] - time[i]) for i in range(n - 1)]
    return {
        "psfFluxNdata": n,
        "psfFluxMean": mean,
        "psfFluxMeanErr": math.sqrt(1 / sum(1 / e**2 for e in err)),
        "psfFluxSigma": math.sqrt(sum((f - sum(flux) / n) ** 2 for f in flux) / (n - 1)) if n > 1 else NAN,
        "psfFluxMin": min(flux),
        "psfFluxMax": max(flux),
        "psfFluxMaxSlope": max(slopes) if slopes else NAN,
        "psfFluxErrMean": sum(err) / n,
        "psfFluxChi2": sum(((f - mean) / e) ** 2 for f, e in zip(flux, err, strict=True)),
    }


@pytest.fixture
def survey(rng) -> tuple[Table, np.ndarray]:
    """60 objects in three bands with 1 to 30 sources, some without a flux, in no order; some sources of no object."""
    n = 900
    table = sources(
        rng.normal(0.0, 300.0, n),
        err=rng.uniform(20.0, 80.0, n),
        time=rng.uniform(60000.0, 60100.0, n),
        band=rng.choice(["g", "r", "VR"], n),
    )
    table["psfFlux"][rng.choice(n, 80, replace=False)] = NAN
    table["psfFluxErr"][rng.choice(n, 20, replace=False)] = NAN
    ids = rng.integers(0, 61, n) ** 2
    place = rng.uniform(-1e-4, 1e-4, (2, n))
    table["ra"], table["dec"] = (ids + place[0]) % 360.0, ids / 60.0 + place[1]
    return table, ids


def test_statistics_are_those_of_the_definitions(survey):
    """Every statistic of every object and band equals plain sums, to the rounding of float32."""
    table, ids = survey
    found = summarize_objects(table, ids, bands=["g", "r", "VR"])
    assert found["diaObjectId"].tolist() == sorted(set(ids.tolist()) - {0})
    for row in found:
        rows = [table[i] for i in np.flatnonzero(ids == row["diaObjectId"])]
        assert row["nDiaSources"] == len(rows)
        assert row["firstDiaSourceMjdTai"] == min(r["midpointMjdTai"] for r in rows)
        assert row["lastDiaSourceMjdTai"] == row["validityStartMjdTai"] == max(r["midpointMjdTai"] for r in rows)
        for band in ("g", "r", "VR"):
            for name, value in plainly(rows, band).items():
                column = f"dp_{band}_{name}" if name == "psfFluxChi2" else f"{band}_{name}"
                assert row[column] == pytest.approx(value, rel=SINGLE, abs=1e-4, nan_ok=True), column


def test_order_of_the_sources_does_not_matter(survey, rng):
    """The same sources in another order give the same table to the last bit."""
    table, ids = survey
    shuffled = rng.permutation(len(table))
    found = summarize_objects(table, ids, bands=["g", "r", "VR"])
    again = summarize_objects(table[shuffled], ids[shuffled], bands=["g", "r", "VR"])
    for name in found.colnames:
        assert np.asarray(found[name]).tobytes() == np.asarray(again[name]).tobytes(), name


def test_inputs_stay_as_they_are(survey):
    """Neither the sources nor the identifiers are changed."""
    table, ids = survey
    before, ids_before = table.copy(), ids.copy()
    summarize_objects(table, ids, bands=["g", "r", "VR"])
    assert all(np.array_equal(table[name], before[name], equal_nan=name != "band") for name in table.colnames)
    assert np.array_equal(ids, ids_before)


# --- positions ----------------------------------------------------------------------------------------------


def test_the_first_source_counts():
    """The mean of two positions is between them.

    The original divides by the count before it was raised, so that the second source replaces the first (A.2.1, 1).
    """
    found = one_object(sources([1.0, 1.0], dec=[-30.0, -30.0 + ARCSEC]))
    assert found["dec"] == pytest.approx(-30.0 + 0.5 * ARCSEC, abs=1e-10)


def test_right_ascension_has_no_seam():
    """Sources on both sides of RA 0 have their mean there, from 0 to 360.

    The original averages RA as a number, and gets 180 (A.2.1, 2; A.2.2).
    """
    found = one_object(sources([1.0, 1.0], ra=[359.9999, 0.0003], dec=0.0))
    assert found["ra"] == pytest.approx(0.0001, abs=1e-10)
    found = one_object(sources([1.0, 1.0], ra=[359.9997, 0.0001], dec=0.0))
    assert found["ra"] == pytest.approx(359.9999, abs=1e-10)


def test_right_ascension_is_below_360(rng):
    """Means that rounding puts hardly below RA 0 are at 0: the remainder of -1e-17 by 360 is 360."""
    offsets = rng.uniform(0.0, 1e-3, 200)
    means = [one_object(sources([1.0, 1.0], ra=[360.0 - offset, offset], dec=0.0))["ra"] for offset in offsets]
    assert np.less(means, 360.0).all()
    assert np.isclose((np.array(means) + 180.0) % 360.0, 180.0, rtol=0.0, atol=1e-12).all()


@pytest.mark.parametrize("dec", [90.0, -90.0])
def test_there_is_no_pole(dec):
    """Four sources around a pole have their mean at the pole, with the error of one over 2.

    RA averaged as a number has no meaning there (A.2.1, 2).
    """
    found = one_object(sources([1.0] * 4, ra=[0.0, 90.0, 180.0, 270.0], dec=dec - np.sign(dec) * ARCSEC))
    assert found["dec"] == pytest.approx(dec, abs=1e-9)
    assert found["raErr"] == pytest.approx(0.05 * ARCSEC, rel=SINGLE)
    assert found["decErr"] == pytest.approx(0.05 * ARCSEC, rel=SINGLE)


def test_positions_weigh_by_their_errors():
    """A position with a third of the error weighs nine times as much; the error of the mean is that of its weights."""
    found = one_object(
        sources([1.0, 1.0], ra=[10.0, 10.0 + ARCSEC], dec=60.0, position_err=np.array([0.1, 0.3]) * ARCSEC)
    )
    assert found["ra"] == pytest.approx(10.0 + 0.1 * ARCSEC, abs=1e-10)
    assert found["raErr"] == pytest.approx(0.1 * ARCSEC / math.sqrt(1 + 1 / 9), rel=SINGLE)
    assert found["ra_dec_Cov"] == pytest.approx(0.0, abs=1e-16)


def test_ra_error_is_one_on_the_sky():
    """RaErr holds cos(dec): at dec 60 scattered sources of 0.1" have a mean with raErr = 0.1"/sqrt(n) in either axis.

    Pulls of 2,000 objects of five sources have unit width to 4/sqrt(2 * 2000) = 0.063.
    """
    rng = np.random.default_rng(3)
    n, each, err = 2000, 5, 0.1 * ARCSEC
    east, north = rng.normal(0.0, err, (2, n * each))
    table = sources(
        np.ones(n * each), ra=10.0 + east / math.cos(math.radians(60.0)), dec=60.0 + north, position_err=err
    )
    found = summarize_objects(table, np.repeat(np.arange(1, n + 1), each), bands=["r"])
    for offset, error in (
        ((found["ra"] - 10.0) * math.cos(math.radians(60.0)), found["raErr"]),
        (found["dec"] - 60.0, found["decErr"]),
    ):
        assert np.std(np.asarray(offset) / np.asarray(error)) == pytest.approx(1.0, abs=0.063)


def test_covariances_are_used():
    """The mean of two crossed error ellipses is where they cross, and its covariance is that of their information."""
    variance, cov = (0.1 * ARCSEC) ** 2, 0.9 * (0.1 * ARCSEC) ** 2
    table = sources(
        [1.0, 1.0], ra=[10.0, 10.0 + ARCSEC], dec=[0.0, 0.0], position_err=0.1 * ARCSEC, ra_dec_Cov=[cov, -cov]
    )
    found = one_object(table)
    first, second = (np.linalg.inv([[variance, c], [c, variance]]) for c in (cov, -cov))
    total = np.linalg.inv(first + second)
    mean = total @ second @ np.array([ARCSEC, 0.0])
    assert (found["ra"] - 10.0) / ARCSEC == pytest.approx(mean[0] / ARCSEC, abs=1e-6)
    assert found["dec"] / ARCSEC == pytest.approx(mean[1] / ARCSEC, abs=1e-6)
    assert found["raErr"] == pytest.approx(math.sqrt(total[0, 0]), rel=SINGLE)


@pytest.mark.parametrize("dec", [0.0, -85.0])
def test_errors_of_the_mean_are_those_of_its_information(dec):
    """raErr, decErr and covariance of unlike, tilted ellipses are the inverse of the sum of the inverses, any dec."""
    scale = (0.1 * ARCSEC) ** 2
    covariances = [scale * np.array(c) for c in ([[1.0, 0.5], [0.5, 4.0]], [[2.0, 0.3], [0.3, 9.0]])]
    table = sources(
        [1.0, 1.0],
        dec=dec,
        raErr=[math.sqrt(c[0, 0]) for c in covariances],
        decErr=[math.sqrt(c[1, 1]) for c in covariances],
        ra_dec_Cov=[c[0, 1] for c in covariances],
    )
    total = np.linalg.inv(sum(np.linalg.inv(c) for c in covariances))
    found = one_object(table)
    assert found["raErr"] ** 2 == pytest.approx(total[0, 0], rel=2 * SINGLE)
    assert found["decErr"] ** 2 == pytest.approx(total[1, 1], rel=2 * SINGLE)
    assert found["ra_dec_Cov"] == pytest.approx(total[0, 1], rel=SINGLE)
    single = one_object(table[:1])
    assert (single["raErr"], single["decErr"]) == pytest.approx(np.sqrt(np.diag(covariances[0])), rel=SINGLE)


def test_mean_is_that_of_the_tangent_plane(rng):
    """Anywhere on the sky the mean is the weighted mean of the offsets on it, which astropy measures."""
    for ra, dec in [(0.0, 0.0), (123.4, 89.99), (359.99999, -45.0), (200.0, -89.9)]:
        centre = SkyCoord(ra, dec, unit="deg")
        east, north = rng.normal(0.0, 0.3, (2, 12)) * ARCSEC
        err = rng.uniform(0.05, 0.5, 12) * ARCSEC
        at = centre.directional_offset_by(np.degrees(np.arctan2(east, north)) * _DEG, np.hypot(east, north) * _DEG)
        found = one_object(sources(np.ones(12), ra=at.ra.deg, dec=at.dec.deg, position_err=err))
        weight = err**-2 / np.sum(err**-2)
        offset = centre.spherical_offsets_to(SkyCoord(found["ra"], found["dec"], unit="deg"))
        got = [value.deg / ARCSEC for value in offset]
        assert got == pytest.approx([weight @ east / ARCSEC, weight @ north / ARCSEC], abs=1e-5)


def test_positions_without_errors_weigh_alike():
    """Where no source has an error the mean is plain and its error that of the scatter; one alone has no error.

    A source without errors among others that have them does not weigh; one without a position does not count.
    """
    found = one_object(sources([1.0] * 3, dec=np.array([0.0, 1.0, 5.0]) * ARCSEC, position_err=NAN))
    assert found["dec"] == pytest.approx(2.0 * ARCSEC, abs=1e-10)
    assert found["decErr"] == pytest.approx(math.sqrt(14.0 / 2.0 / 3.0) * ARCSEC, rel=1e-5)
    assert np.isnan(one_object(sources([1.0], position_err=0.0))["raErr"])
    some = sources([1.0] * 3, dec=np.array([0.0, 1.0, 5.0]) * ARCSEC, position_err=np.array([1.0, 1.0, NAN]) * ARCSEC)
    assert one_object(some)["dec"] == pytest.approx(0.5 * ARCSEC, abs=1e-10)
    some["dec"][0] = NAN
    assert one_object(some)["dec"] == pytest.approx(1.0 * ARCSEC, abs=1e-10)
    some["ra"] = NAN
    assert np.isnan(one_object(some)["ra"])
    assert one_object(some)["nDiaSources"] == 3


# --- fluxes -------------------------------------------------------------------------------------------------


def test_scatter_is_that_of_the_fluxes():
    """Sigma of 10,000 fluxes of scatter 50 is 50, to 4/sqrt(2 * 10000) = 0.028 of it, on any level.

    The recursion of the original keeps a standard deviation where it needs a sum of squares (A.2.1, 4). On a level of
    10^6 a sum of squares less the square of the sum would be lost in rounding.
    """
    rng = np.random.default_rng(4)
    found = one_object(sources(1e6 + rng.normal(0.0, 50.0, 10_000), err=50.0))
    assert found["r_psfFluxSigma"] == pytest.approx(50.0, rel=0.028)
    assert found["dp_r_psfFluxChi2"] / 9999 == pytest.approx(1.0, abs=0.06)
    assert found["r_psfFluxMeanErr"] == pytest.approx(0.5, rel=SINGLE)


def test_one_flux_has_no_scatter():
    """One flux is the mean and both extrema; it has neither scatter nor slope."""
    found = one_object(sources([-5.0], err=2.0))
    assert [found[f"r_psfFlux{name}"] for name in ("Mean", "MeanErr", "Min", "Max", "Ndata")] == [-5, 2, -5, -5, 1]
    assert np.isnan(found["r_psfFluxSigma"])
    assert np.isnan(found["r_psfFluxMaxSlope"])


def test_negative_fluxes_count():
    """What has faded has a negative mean.

    The original turns fluxes into magnitudes, where a negative one is NaN (A.2.1, 5).
    """
    found = one_object(sources([-100.0, -50.0, 60.0]))
    assert found["r_psfFluxMean"] == pytest.approx(-30.0)
    assert found["r_psfFluxNdata"] == 3


def test_a_missing_flux_spoils_nothing():
    """A NaN is skipped and not counted, whether first, amid, last or masked.

    In the original it makes the mean NaN for good, and is counted (A.2.1, 5; A.2.2).
    """
    for flux in ([NAN, 1.0, 3.0], [1.0, NAN, 3.0], [1.0, 3.0, NAN]):
        found = one_object(sources(flux))
        assert (found["r_psfFluxMean"], found["r_psfFluxNdata"], found["nDiaSources"]) == (2.0, 2, 3)
        assert found["r_psfFluxSigma"] == pytest.approx(math.sqrt(2.0), rel=SINGLE)
    masked = sources([1.0, 99.0, 3.0])
    masked["psfFlux"] = MaskedColumn(masked["psfFlux"], mask=[False, True, False], unit="nJy")
    assert one_object(masked)["r_psfFluxMean"] == 2.0
    nothing = one_object(sources([NAN, NAN]))
    assert (nothing["r_psfFluxNdata"], nothing["nDiaSources"]) == (0, 2)
    assert np.isnan(nothing["r_psfFluxMean"])


def test_slope_is_of_neighbours_in_time():
    """The steepest rise is between neighbours in time within a band, whatever the order; equal times have none."""
    table = sources([0.0, 8.0, 4.0, 100.0], time=[60000.0, 60004.0, 60001.0, 60000.5], band=["r", "r", "r", "g"])
    found = one_object(table, bands=["g", "r"])
    assert found["r_psfFluxMaxSlope"] == pytest.approx(4.0)
    assert np.isnan(found["g_psfFluxMaxSlope"])
    assert np.isnan(one_object(sources([0.0, 8.0], time=60000.0))["r_psfFluxMaxSlope"])
    assert one_object(sources([8.0, 0.0]))["r_psfFluxMaxSlope"] == pytest.approx(-8.0)


def test_science_fluxes_have_their_mean():
    """ScienceFlux has a weighted mean of its own; NaN where there is none."""
    found = one_object(sources([1.0, 1.0], scienceFlux=[100.0, 200.0], scienceFluxErr=[1.0, 2.0]))
    assert found["r_scienceFluxMean"] == pytest.approx(120.0)
    assert found["r_scienceFluxMeanErr"] == pytest.approx(math.sqrt(0.8))
    assert np.isnan(one_object(sources([1.0]))["r_scienceFluxMean"])


def test_count_of_data_has_one_name():
    """The old table's count is ``Ndata`` in every band, and its order is fixed.

    The original makes ``NData`` and fills ``Ndata`` (A.2.2), and orders columns as a set falls out (A.2.1, 6).
    """
    objects = summarize_objects(sources([57.54399373, 1.0], band=["r", "VR"]), np.array([3, 3]), bands=["r", "VR"])
    old = old_columns(objects)
    statistics = ("Mean", "MeanErr", "Sigma", "Ndata", "Chi2")
    fluxes = [f"base_PsfFlux_instFlux_{name}_{band}" for band in ("r", "VR") for name in statistics]
    assert old.colnames == ["id", "coord_ra", "coord_dec", "parent", "nobs", *fluxes]
    assert old["base_PsfFlux_instFlux_Ndata_VR"].tolist() == [1]
    assert old["base_PsfFlux_instFlux_Mean_r"][0] == pytest.approx(1.0, rel=1e-6)  # 31.4 - 2.5 lg 57.54 = 27
    assert old["coord_ra"][0] == pytest.approx(math.radians(10.0))
    assert old["nobs"].tolist() == [2]


def test_forced_fluxes_fill_their_columns(rng):
    """FpFlux means are those of the forced fluxes, flagged ones left out, whatever the order of either table."""
    objects = summarize_objects(sources([1.0, 1.0, 1.0]), np.array([5, 3, 9]), bands=["r"])[[2, 0, 1]]
    forced = dia_forced_source_table(
        {
            "diaObjectId": np.array([3, 3, 5, 5, 5, 77]),
            "band": np.array(["r", "r", "r", "r", "g", "r"]),
            "psfFlux": np.array([1.0, 3.0, 10.0, 999.0, 7.0, 7.0]),
            "psfFluxErr": np.ones(6),
            "psfFlux_flag": np.array([False, False, False, True, False, False]),
        },
        n=6,
    )
    found = with_forced_fluxes(objects, forced[rng.permutation(6)])
    assert found["diaObjectId"].tolist() == [9, 3, 5]
    assert np.array_equal(found["r_fpFluxMean"], [NAN, 2.0, 10.0], equal_nan=True)
    assert found["r_fpFluxMeanErr"][1] == pytest.approx(math.sqrt(0.5))
    assert np.isnan(objects["r_fpFluxMean"]).all()


# --- what is no object --------------------------------------------------------------------------------------


def test_nothing_gives_an_empty_table():
    """No sources, or none of an object, give a table without rows that has all its columns."""
    for table, ids in ((sources([]), np.zeros(0, np.int64)), (sources([1.0, 2.0]), np.zeros(2, np.int64))):
        found = summarize_objects(table, ids, bands=["g", "r"])
        assert len(found) == 0
        assert "g_psfFluxMaxSlope" in found.colnames


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.remove_column("psfFluxErr"), "DIA sources has no column psfFluxErr; it has diaSourceId"),
        (lambda table: table["diaSourceId"].fill(4), "has 1 diaSourceId more than once, the first of them 4"),
        (lambda table: table["band"].fill("z"), "sources in band z; the columns asked for are of r"),
    ],
)
def test_what_cannot_be_summarized_is_refused(change, message):
    """A missing column, a source that is there twice, a band without columns: one sentence each."""
    table = sources([1.0, 2.0])
    change(table)
    with pytest.raises(InputError, match=message):
        summarize_objects(table, np.array([1, 1]), bands=["r"])


def test_identifiers_are_one_for_each_source():
    """Too few identifiers are refused."""
    with pytest.raises(InputError, match="1 object identifiers for 2 sources"):
        summarize_objects(sources([1.0, 2.0]), np.array([1]), bands=["r"])


def test_a_source_without_a_band_is_not_lost():
    """A source whose band nobody knows counts for the position and the times alone."""
    found = one_object(sources([1.0, 2.0], band=["r", ""], dec=[0.0, ARCSEC]))
    assert (found["nDiaSources"], found["r_psfFluxNdata"]) == (2, 1)
    assert found["dec"] == pytest.approx(0.5 * ARCSEC)
