"""Points in a row: a trail is found among random points, and random points are none."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.numerics.collinear import points_in_rows

LIMITS = {"radius": 500.0, "least": 5, "max_rms": 15.0, "false_alarm": 0.01}


@pytest.mark.parametrize("angle", np.radians([0, 37, 90, 142]))
@pytest.mark.parametrize("n_random", [0, 30, 150])
def test_a_row_is_found_and_its_members_alone(angle, n_random, rng):
    """Seven glints 80 px apart, 1 px off a line, among random points of 4000 x 4000: all of them, and at most two more.

    A strip of 3 px half-width holds 0.2 of 150 random points.
    """
    x, y = rng.uniform(0, 4000, (2, n_random))
    along = np.arange(-3, 4) * 80.0
    u = 2000 + along * np.cos(angle) + rng.normal(0, 1, 7)
    v = 2000 + along * np.sin(angle) + rng.normal(0, 1, 7)
    found = points_in_rows(np.append(x, u), np.append(y, v), **LIMITS)
    assert found[-7:].all()
    assert found[:n_random].sum() <= 2


@pytest.mark.parametrize("n", [20, 60, 300])
def test_chance_makes_no_rows(n):
    """In 40 fields of random points one false row in a hundred fields is allowed for: at most three here."""
    seeds = np.random.default_rng(4).spawn(40)
    fields = [points_in_rows(*rng.uniform(0, 2000, (2, n)), **LIMITS).any() for rng in seeds]
    assert sum(fields) <= 3


def test_what_is_asked_of_a_row(rng):
    """Too few points, too far apart or too scattered are none."""
    x, y = np.arange(6) * 90.0, np.zeros(6)
    assert points_in_rows(x, y, **LIMITS).all()
    assert not points_in_rows(x[:4], y[:4], **LIMITS).any()
    assert not points_in_rows(x * 10, y, **LIMITS).any()
    assert not points_in_rows(x, 60.0 * np.array([1, -1, -1, 1, 1, -1]), **LIMITS).any()
    assert not points_in_rows(x, y, **(LIMITS | {"least": 7})).any()
    assert not points_in_rows(x, y, **(LIMITS | {"false_alarm": 1e-30})).any()
    assert points_in_rows(np.empty(0), np.empty(0), **LIMITS).shape == (0,)


def test_points_at_one_place(rng):
    """Five sources on one another are no row."""
    assert not points_in_rows(np.full(5, 10.0), np.full(5, 10.0), **LIMITS).any()
