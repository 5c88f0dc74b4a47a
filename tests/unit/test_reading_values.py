"""The readable parts of a source."""

import math
from pathlib import Path
from typing import Any

import pytest

from accel_track import media
from accel_track.trackers.comet.messages import _NUMBERS
from accel_track.trackers.reading.copies import target
from accel_track.trackers.reading.lost import LostError, MissingError
from accel_track.trackers.reading.media import whole
from accel_track.trackers.reading.places import within
from accel_track.trackers.reading.values import json_file, literal_of, with_numbers


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.1", 0.1), ("3", 3), ("True", True), ("None", None), ("1e-05", 1e-05), ("nan", math.nan), ("-inf", -math.inf)],
)
def test_literals(text: str, value: Any) -> None:
    """What `str` makes of a value becomes that value again."""
    found = literal_of(text)
    assert type(found) is type(value)
    assert str(found) == str(value)


@pytest.mark.parametrize("text", ["007", "1e-5", "1_000", " 1", "true", "", "x", "9" * 5000, 3, None])
def test_other_texts_stay(text: Any) -> None:
    """Also those that look like numbers, but are not as Python writes them."""
    assert literal_of(text) is text


def test_numbers_that_are_stored_as_texts() -> None:
    """NaN and infinities, as JavaScript and as Python write them; no other text."""
    assert [with_numbers(text, _NUMBERS) for text in ("Infinity", "-Infinity", "inf", "-inf", "1", 2)] == [
        math.inf,
        -math.inf,
        math.inf,
        -math.inf,
        "1",
        2,
    ]
    assert math.isnan(with_numbers("NaN", _NUMBERS))


def test_paths_within_folders(tmp_path: Path) -> None:
    """A file is found by a relative or absolute path, and no link leads out of the folders."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "file").write_text("x")
    (inside / "link").symlink_to(outside / "file")
    (inside / "own").symlink_to(inside / "file")
    (inside / "circle").symlink_to(inside / "circle")
    for place in ("file", str(inside / "file"), "./x/../file", "own"):
        assert within(place, inside) == inside / "file"
    assert within(str(outside / "file"), inside, outside) == outside / "file"
    for place in ("link", "../outside/file", str(outside / "file"), "circle", "a\0b", "x" * 5000):
        with pytest.raises(LostError):
            within(place, inside)
    with pytest.raises(MissingError):
        within("nothing", inside)


def test_names_of_new_files(tmp_path: Path) -> None:
    """A name that a source chooses stays in the folder."""
    assert target(tmp_path, "a/b.txt") == tmp_path / "a" / "b.txt"
    for name in ("", "/a", "../a", "a/../../b", "..\\a", "a\0"):
        with pytest.raises(LostError):
            target(tmp_path, name)


def test_what_is_damaged(tmp_path: Path) -> None:
    """Damaged media and files are errors under which they are counted."""
    (tmp_path / "a.png").write_bytes(b"\x89PNG damaged")
    (tmp_path / "a.json").write_text("[" * 100_000)
    with pytest.raises(LostError, match="kind image"):
        whole(media.Image(tmp_path / "a.png"))
    for name in ("a.json", "a.png", "nothing"):
        with pytest.raises(LostError, match="JSON"):
            json_file(tmp_path / name)
