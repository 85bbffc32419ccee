"""What cannot be differenced is no failure of a quantum, and says why."""

from __future__ import annotations

import pytest
from lsst.pipe.base import NoWorkFound, TaskMetadata

from diapipe.errors import InputError, NoOverlapError, NoWorkError, TooFewStarsError
from diapipe.tasks.no_work import NO_WORK, no_work_found


@pytest.mark.parametrize("kind", [NoWorkError, NoOverlapError, TooFewStarsError])
def test_no_work_leaves_as_the_middleware_knows_it(kind):
    """The same sentence, the same values; the cause is the error itself."""
    error = kind("3 stars are usable; 5 are needed", found=3, needed=5)
    with pytest.raises(NoWorkFound, match=r"^3 stars are usable; 5 are needed$") as caught, no_work_found():
        raise error
    assert caught.value.context == {"found": 3, "needed": 5}
    assert caught.value.__cause__ is error


def test_the_reason_is_kept_in_the_metadata():
    """Type, sentence and context, also after the way to a file and back; what JSON cannot hold is told in words."""
    metadata = TaskMetadata()
    with pytest.raises(NoWorkFound), no_work_found(metadata):
        raise NoOverlapError("nothing overlaps", covered=0.03, box=range(3))
    again = TaskMetadata.model_validate_json(metadata.model_dump_json())
    assert again[NO_WORK].to_dict() == {
        "type": "NoOverlapError",
        "message": "nothing overlaps",
        "covered": 0.03,
        "box": "range(0, 3)",
    }


def test_a_function_can_be_decorated():
    """Its value comes through."""

    @no_work_found()
    def half(n):
        if n % 2:
            raise NoWorkError(f"{n} is odd")
        return n // 2

    assert half(4) == 2
    with pytest.raises(NoWorkFound, match="5 is odd"):
        half(5)


def test_failures_stay_failures():
    """Wrong input is not what this is about."""
    metadata = TaskMetadata()
    with pytest.raises(InputError, match="broken"), no_work_found(metadata):
        raise InputError("broken")
    assert NO_WORK not in metadata
