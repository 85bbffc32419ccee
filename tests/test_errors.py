"""The tree of errors: kinds, exit statuses, messages, travel between processes."""

from __future__ import annotations

import inspect
import pickle

import pytest

from diapipe import errors
from diapipe.errors import DiapipeError

ALL = sorted(
    (kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__),
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_belongs_to_the_tree(kind):
    """One ``except DiapipeError`` catches all that diapipe raises on purpose."""
    assert issubclass(kind, DiapipeError)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_the_docstring_of_the_module_shows_the_whole_tree(kind):
    """A reader finds each kind, and its purpose, in one place."""
    assert kind.__name__ in errors.__doc__
    assert kind.__doc__


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_an_error_survives_pickling(kind):
    """A worker's error arrives whole in the parent: type, message and context."""
    sent = kind("found 3 stars in a.fits, needed 5", found=3, needed=5)
    arrived = pickle.loads(pickle.dumps(sent))
    assert type(arrived) is kind
    assert str(arrived) == str(sent)
    assert arrived.context == {"found": 3, "needed": 5}


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_exit_status_tells_wrong_use_from_wrong_data(kind):
    """2 for a wrong option, 1 for everything that no other option would mend."""
    assert kind.exit_status == (2 if issubclass(kind, errors.UsageError) else 1)


def test_no_work_is_not_a_wrong_input():
    """A batch goes on past both, but counts them apart."""
    assert not issubclass(errors.NoWorkError, errors.InputError)
    assert not issubclass(errors.InputError, errors.NoWorkError)
