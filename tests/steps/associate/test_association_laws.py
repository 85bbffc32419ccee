"""What every way to associate keeps: known skies found again, anywhere; nothing lost, doubled or left from before."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from astropy import units
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st
from skies import ARCSEC, Sky, batch, same_grouping, truth

from diapipe.errors import InputError, UsageError
from diapipe.numerics.sphere import angle_of, unit_vectors
from diapipe.steps.associate import ASSOCIATORS, SequentialAssociator, SourceBatch, associate, associated_before

NAMES = list(ASSOCIATORS)
FIELDS = {"middle": (137.0, -30.0), "RA 0": (0.0, 5.0), "north pole": (20.0, 90.0), "south pole": (300.0, -90.0)}


def by(name, **more):
    """The algorithm with a tolerance that five sigma of a source and its object's first reach: 5 x 0.14 = 0.7."""
    return ASSOCIATORS.make(name, tolerance_arcsec=0.9, **more)


@pytest.fixture(params=NAMES)
def algorithm(request):
    return by(request.param)


def shuffled(rng, sources):
    return sources[rng.permutation(len(sources))]


def assert_same(one, other):
    """The same groups, identifiers and counts; positions to 1e-12 degrees, which is 4e-9 arcsec."""
    order, others = np.argsort(one.source_ids), np.argsort(other.source_ids)
    np.testing.assert_array_equal(one.source_ids[order], other.source_ids[others])
    np.testing.assert_array_equal(one.object_ids[order], other.object_ids[others])
    at, there = np.argsort(one.objects.ids), np.argsort(other.objects.ids)
    for name in ("ids", "n_sources"):
        np.testing.assert_array_equal(getattr(one.objects, name)[at], getattr(other.objects, name)[there])
    for name in ("ra", "dec", "ra_err", "dec_err"):
        step = getattr(one.objects, name)[at] - getattr(other.objects, name)[there]
        assert np.abs((step + 180.0) % 360.0 - 180.0).max(initial=0.0) < 1e-12


@pytest.mark.parametrize("centre", FIELDS.values(), ids=FIELDS)
def test_a_known_sky_is_found_again(rng, algorithm, centre):
    """150 objects 4 arcsec apart on 12 images: each object once, with its sources, at RA 0 and the poles as elsewhere.

    Defect (2) of dia_pipe: RA averaged across 0/360 puts the object on the other side of the sky.
    """
    sky = Sky.around(rng, centre, 150)
    found = associate(sky.visits(rng, 12), algorithm=algorithm)
    assert same_grouping(truth(found.source_ids), found.object_ids)
    objects = found.objects
    np.testing.assert_array_equal(objects.ids, np.unique(found.object_ids)[np.argsort(np.argsort(objects.ids))])
    there = unit_vectors(sky.ra, sky.dec)[truth(objects.ids)]
    off = angle_of(np.linalg.norm(unit_vectors(objects.ra, objects.dec) - there, axis=1)) / ARCSEC
    error = np.hypot(objects.ra_err, objects.dec_err) / ARCSEC
    np.testing.assert_allclose(error, 0.1 * np.sqrt(2.0 / objects.n_sources), rtol=1e-9)
    assert (off < 5.0 * error).all()


def test_an_object_has_the_identifier_of_its_founder_and_counts_its_sources(rng, algorithm):
    """Whichever of its sources came first; no counter."""
    found = associate(Sky.around(rng, (10.0, 10.0), 60).visits(rng, 6), algorithm=algorithm)
    ids, counts = np.unique(found.object_ids, return_counts=True)
    first = {int(o): int(found.source_ids[found.object_ids == o].min()) for o in ids}
    assert all(founder == own for own, founder in first.items())
    assert dict(zip(found.objects.ids.tolist(), found.objects.n_sources.tolist(), strict=True)) == dict(
        zip(ids.tolist(), counts.tolist(), strict=True)
    )


def test_the_mean_has_all_sources_in_it(algorithm):
    """Defect (1) of dia_pipe: its second source replaced the first, so 0 and 0.2 arcsec gave 0.2 in place of 0.1."""
    at = 0.2 * ARCSEC
    found = associate([batch([1], [40.0], [0.0]), batch([2], [40.0 + at], [at])], algorithm=algorithm)
    np.testing.assert_allclose([found.objects.ra, found.objects.dec], [[40.0 + at / 2], [at / 2]], atol=1e-12)
    third = [batch([3], [40.0 + at], [at])]
    found = associate(third, known=found, algorithm=algorithm)
    np.testing.assert_allclose([found.objects.ra, found.objects.dec], [[40.0 + at / 1.5], [at / 1.5]], atol=1e-12)


def test_the_mean_is_weighted(algorithm):
    """Defect (2) of dia_pipe: all sources counted alike. An error four times smaller weighs sixteenfold."""
    at = 0.34 * ARCSEC
    sources = [batch([1], [40.0], [0.0], 0.1 * ARCSEC), batch([2], [40.0], [at], 0.4 * ARCSEC)]
    found = associate(sources, algorithm=algorithm)
    np.testing.assert_allclose(found.objects.dec, [at / 17.0], rtol=1e-6)
    np.testing.assert_allclose(found.objects.dec_err, [0.1 * ARCSEC / np.sqrt(1 + 1 / 16)], rtol=1e-12)


def test_floor_and_fallback_of_errors(algorithm):
    """An error below the floor counts as the floor; none, zero, negative or infinite ones as the fallback."""
    bad = [np.nan, 0.0, -1.0, np.inf, 1e-9]
    sources = SourceBatch(np.arange(1, 6), np.arange(5.0), np.zeros(5), np.array(bad), np.array(bad))
    found = associate([sources], algorithm=algorithm)
    np.testing.assert_allclose(found.objects.ra_err / ARCSEC, [0.2, 0.2, 0.2, 0.2, 0.05], rtol=1e-12)
    np.testing.assert_allclose(found.objects.dec_err, found.objects.ra_err, rtol=1e-12)


def test_two_sources_of_one_image_are_two_objects(algorithm):
    """dia_pipe let both join one object: 0.3 arcsec apart, on one image, and again on the next."""
    ra, at = [40.0, 40.0], [0.0, 0.3 * ARCSEC]
    found = associate([batch([1, 2], ra, at), batch([3, 4], ra, at), batch([5, 6], ra, at)], algorithm=algorithm)
    assert dict(zip(found.source_ids.tolist(), found.object_ids.tolist(), strict=True)) == {
        1: 1, 2: 2, 3: 1, 4: 2, 5: 1, 6: 2
    }  # fmt: skip


def test_rows_may_come_in_any_order(rng, algorithm):
    """Defect (7) of dia_pipe: the order of a catalogue decided. Rows of an image are shuffled."""
    visits = Sky.around(rng, (0.0, 0.0), 100, apart_arcsec=0.5, radius_arcsec=12.0).visits(rng, 8)
    once = associate(visits, algorithm=algorithm)
    assert_same(once, associate([shuffled(rng, sources) for sources in visits], algorithm=algorithm))
    assert_same(once, associate(visits, algorithm=algorithm))


def test_objects_far_apart_are_the_same_in_any_order_of_the_images(rng, algorithm):
    """Where objects do not come near each other the groups do not depend on the order; the founder does."""
    visits = Sky.around(rng, (0.0, 0.0), 100).visits(rng, 8)
    once, back = (associate(order, algorithm=algorithm) for order in (visits, visits[::-1]))
    assert same_grouping(once.object_ids, back.objects_of(once.source_ids))


def test_new_images_join_what_is_there(rng, algorithm):
    """Five images, then three more, from the association, its tables or its objects alone: as all eight at once.

    Of objects alone the memory does not grow with the visits done.
    """
    visits = Sky.around(rng, (0.0, 0.0), 100).visits(rng, 8)
    whole = associate(visits, algorithm=algorithm)
    before = associate(visits[:5], algorithm=algorithm)
    read = SourceBatch(*(np.concatenate([getattr(v, name) for v in visits[:5]]) for name in SourceBatch.__slots__))
    told = associated_before(read, before.objects_of(read.ids), algorithm=algorithm)
    nothing = np.empty(0, np.int64)
    alone = associate(
        visits[5:], known=dataclasses.replace(before, source_ids=nothing, object_ids=nothing), algorithm=algorithm
    )
    np.testing.assert_array_equal(alone.object_ids, whole.objects_of(alone.source_ids))
    for known in (before, told):
        assert_same(whole, associate(visits[5:], known=known, algorithm=algorithm))


def test_what_is_far_away_does_not_matter(rng, algorithm):
    """Two halves of a crowded field, each with the sources 10 arcsec beyond its border: together the whole field.

    So a patch that is associated with a margin, and keeps the objects whose mean lies in it, cuts none in two and has
    none twice.
    """
    visits = Sky.around(rng, (0.0, 0.0), 300, apart_arcsec=0.7, radius_arcsec=25.0).visits(rng, 6)
    whole = associate(visits, algorithm=algorithm)
    ids, places = [], []
    for side in (1.0, -1.0):
        near = [v[np.flatnonzero(side * ((v.ra + 180.0) % 360.0 - 180.0) > -10.0 * ARCSEC)] for v in visits]
        part = associate(near, algorithm=algorithm).objects
        own = side * ((part.ra + 180.0) % 360.0 - 180.0) > 0.0
        ids += part.ids[own].tolist()
        places += part.dec[own].tolist()
    assert len(ids) == len(whole.objects)
    np.testing.assert_array_equal(np.sort(ids), np.sort(whole.objects.ids))
    np.testing.assert_allclose(np.array(places)[np.argsort(ids)], whole.objects.dec[np.argsort(whole.objects.ids)])


def test_a_visit_of_an_earlier_date_moves_no_identifier(rng, algorithm):
    """Identifiers of known objects stay, whatever the date of what joins them."""
    early, late = Sky.around(rng, (0.0, 0.0), 50, seen=1.0).visits(rng, 2)
    after = associate([early], known=associate([late], algorithm=algorithm), algorithm=algorithm)
    np.testing.assert_array_equal(np.sort(after.objects.ids), np.sort(late.ids))


@pytest.mark.parametrize("again", ["in one run", "in the next run"])
def test_a_visit_given_twice_counts_once(rng, algorithm, again):
    """Nothing is doubled: its sources are set aside with the reason, the association is as before."""
    visits = Sky.around(rng, (0.0, 0.0), 40).visits(rng, 3)
    once = associate(visits, algorithm=algorithm)
    if again == "in one run":
        twice = associate([*visits, shuffled(rng, visits[1])], algorithm=algorithm)
    else:
        twice = associate([visits[1]], known=once, algorithm=algorithm)
    assert_same(once, twice)
    np.testing.assert_array_equal(np.sort(twice.set_aside.ids), np.sort(visits[1].ids))
    assert set(twice.set_aside.reasons) == {"a source with its diaSourceId is associated already"}


def test_an_identifier_given_twice_in_an_image_counts_once(algorithm):
    """The first row of it is taken, the other set aside."""
    found = associate([batch([7, 7, 8], [1.0, 2.0, 3.0], [0.0, 0.0, 0.0])], algorithm=algorithm)
    assert found.objects.ids.tolist() == [7, 8]
    assert found.objects.ra.tolist() == pytest.approx([1.0, 3.0])
    assert found.set_aside.ids.tolist() == [7]


def test_no_position_is_set_aside_with_the_reason(algorithm):
    """NaN, infinite, or beyond the pole; the others are associated as if it were not there."""
    ra, dec = [np.nan, 2.0, np.inf, 4.0, 5.0], [0.0, np.nan, 0.0, 91.0, 5.0]
    found = associate([batch([1, 2, 3, 4, 5], ra, dec)], algorithm=algorithm)
    assert found.source_ids.tolist() == found.objects.ids.tolist() == [5]
    assert found.set_aside.ids.tolist() == [1, 2, 3, 4]
    assert set(found.set_aside.reasons) == {"its position is not known"}
    assert found.objects_of(np.array([1, 5, 9])).tolist() == [0, 5, 0]


def test_nothing_gives_nothing_whatever_came_before(rng, algorithm):
    """Defect of dia_pipe's driver: a patch without images returned the objects of the patch before it."""
    associate(Sky.around(rng, (0.0, 0.0), 20).visits(rng, 3), algorithm=algorithm)
    empty = batch([], [], [])
    for batches in ([], [empty], [empty, empty]):
        found = associate(batches, algorithm=algorithm)
        assert len(found.source_ids) == len(found.object_ids) == len(found.objects) == len(found.set_aside) == 0
        assert found.objects_of(np.array([1])).tolist() == [0]


def test_an_empty_image_between_others_changes_nothing(rng, algorithm):
    visits = Sky.around(rng, (0.0, 0.0), 20).visits(rng, 3)
    gaps = [visits[0], batch([], [], []), *visits[1:]]
    assert_same(associate(visits, algorithm=algorithm), associate(gaps, algorithm=algorithm))


def test_one_source_is_one_object(algorithm):
    found = associate([batch([9], [359.99], [-0.5])], algorithm=algorithm)
    assert found.object_ids.tolist() == found.source_ids.tolist() == found.objects.ids.tolist() == [9]
    np.testing.assert_allclose([found.objects.ra[0], found.objects.dec[0]], [359.99, -0.5], atol=1e-12)


@given(data=st.data())
def test_every_source_is_in_one_place(data):
    """Whatever is given: each row is associated or set aside, each object has its founder and its count."""
    algorithm = by(data.draw(st.sampled_from(NAMES)))
    places = st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.4, 2.0, np.nan])
    rows = st.lists(st.tuples(st.integers(1, 30), places, places), max_size=8)
    batches = [
        batch([i for i, *_ in some], [x * ARCSEC for _, x, _ in some], [y * ARCSEC for *_, y in some])
        for some in data.draw(st.lists(rows, max_size=5))
    ]
    found = associate(batches, algorithm=algorithm)
    given_ids = sorted(i for some in batches for i in some.ids.tolist())
    assert sorted(found.source_ids.tolist() + found.set_aside.ids.tolist()) == given_ids
    assert len(set(found.source_ids.tolist())) == len(found.source_ids)
    ids, counts = np.unique(found.object_ids, return_counts=True)
    assert sorted(found.objects.ids.tolist()) == ids.tolist()
    assert found.objects.n_sources[np.argsort(found.objects.ids)].tolist() == counts.tolist()
    assert (found.objects_of(found.objects.ids) == found.objects.ids).all()
    for some in batches:
        objects = found.objects_of(np.unique(some.ids[np.isfinite(some.ra) & np.isfinite(some.dec)]))
        assert len(set(objects.tolist()) - {0}) <= len(objects)


def test_inputs_are_unchanged(rng, algorithm):
    """Batches and the known association keep their numbers."""
    visits = Sky.around(rng, (0.0, 0.0), 20).visits(rng, 3)
    known = associate(visits[:1], algorithm=algorithm)
    before = [getattr(v, n).copy() for v in visits for n in SourceBatch.__slots__] + [known.objects.ra.copy()]
    associate(visits[1:], known=known, algorithm=algorithm)
    after = [getattr(v, n) for v in visits for n in SourceBatch.__slots__] + [known.objects.ra]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


def a_table(**columns):
    return Table({"diaSourceId": [3, 1, 2], "ra": [1.0, 2.0, 3.0], "dec": [0.0, 0.5, 1.0], **columns})


def test_a_table_becomes_a_batch():
    """Units are heeded, errors that no column brings are not known."""
    table = a_table(raErr=np.array([1.0, 2.0, 3.0]) * units.arcsec)
    sources = SourceBatch.from_table(table)
    np.testing.assert_allclose(sources.ra_err, np.array([1.0, 2.0, 3.0]) / 3600.0)
    assert np.isnan(sources.dec_err).all()
    assert sources.ids.tolist() == [3, 1, 2]


@pytest.mark.parametrize("missing", ["diaSourceId", "ra", "dec"])
def test_a_missing_column_is_named(missing):
    table = a_table()
    table.remove_column(missing)
    with pytest.raises(InputError, match=rf"^sources of visit 5 has no column {missing}"):
        SourceBatch.from_table(table, name="sources of visit 5")


def test_a_table_of_many_images_comes_apart_in_order_of_time():
    """By the middle of the exposure, then visit, then detector."""
    table = a_table(visit=[8, 7, 8], detector=[2, 0, 1], midpointMjdTai=[60.0, 61.0, 60.0])
    assert [sources.ids.tolist() for sources in SourceBatch.of_each_image(table)] == [[2], [3], [1]]
    assert list(SourceBatch.of_each_image(table[:0])) == []


def test_columns_of_different_length_are_refused():
    with pytest.raises(InputError, match=r"of one length, not 2 ids, 2 ra, 1 dec, 2 ra_err, 2 dec_err"):
        SourceBatch(np.arange(2), np.zeros(2), np.zeros(1), np.zeros(2), np.zeros(2))


def test_as_many_objects_as_sources_are_needed():
    with pytest.raises(InputError, match="3 sources need as many objects, not 2"):
        associated_before(SourceBatch.from_table(a_table()), np.array([1, 2]), algorithm=by("simple"))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Said(SequentialAssociator):
    """A plug-in that gives what it is told to."""

    index: str = ""

    def assign(self, sources, objects):
        return np.fromstring(self.index, sep=" ", dtype=float if "." in self.index else int)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("0", r"Said must give an index for each of 2 sources, not int64 of shape \(1,\)"),
        ("0.5 0.5", "not float64 of shape"),
        ("0 -1", "gave the index 0 or -1 where there are 0 objects"),
        ("-2 -1", "gave the index -1 or -2 where there are 0 objects"),
    ],
)
def test_an_index_that_cannot_be_is_refused(index, message):
    """What a plug-in returns is checked before it is used."""
    with pytest.raises(UsageError, match=message):
        associate([batch([1, 2], [0.0, 1.0], [0.0, 0.0])], algorithm=Said(index=index))


def test_a_plug_in_decides_and_the_loop_does_the_rest():
    """An associator of somebody else: all sources found objects of their own."""
    sources = [batch([1, 2], [0.0, 1.0], [0.0, 0.0]), batch([3, 4], [0.0, 1.0], [0.0, 0.0])]
    assert associate(sources, algorithm=Said(index="-1 -1")).object_ids.tolist() == [1, 2, 3, 4]
