"""Files are whole or not there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from diapipe.errors import WriteError
from diapipe.io import replacing, write_text


def test_whole_file_takes_the_place(tmp_path: Path) -> None:
    """Until the block ends the old file stands; then the new one, and nothing else is in the folder."""
    target = tmp_path / "a.txt"
    target.write_text("old")
    with replacing(target) as aside:
        aside.write_text("new")
        assert target.read_text() == "old"
        assert aside.parent == tmp_path
        assert aside.name.startswith(".")
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), ValueError("x"), OSError(errno.ENOSPC, "No space left on device")]
)
def test_nothing_half_written(tmp_path: Path, error: BaseException) -> None:
    """Ctrl-C, a defect or a full disk: the old file stays, the aside is gone."""
    target = tmp_path / "a.txt"
    target.write_text("old")

    def interrupted() -> None:
        with replacing(target) as aside:
            aside.write_text("ne")
            raise error

    with pytest.raises(WriteError if isinstance(error, OSError) else type(error)) as caught:
        interrupted()
    if isinstance(error, OSError):
        assert str(caught.value) == f"cannot write {target}: No space left on device"
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=r"cannot write .*a\.txt: the folder .*none does not exist"):
        write_text(tmp_path / "none" / "a.txt", "x")


def test_target_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(WriteError, match=r"cannot write .*a: "):
        write_text(tmp_path / "a", "x")
    assert os.listdir(tmp_path) == ["a"]


def test_text_is_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "σ ≤ 5")
    assert (tmp_path / "a.txt").read_bytes() == "σ ≤ 5".encode()
