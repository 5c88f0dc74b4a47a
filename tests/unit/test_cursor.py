"""How far a tracker has got, stored so that a reader never sees half of it."""

import os
import stat
from pathlib import Path

import pytest

from accel_track.errors import JournalError
from accel_track.journal.cursor import Cursor, load, save
from accel_track.journal.entries import Position

PATH = Path("t.json")


def test_a_cursor_comes_back_as_it_was():
    cursor = Cursor(2, 345, 67, 60, 1, 2, {"loss": 3}, 4, 5, 70, 6.5)
    save(PATH, cursor)
    assert load(PATH) == cursor
    assert cursor.position == Position(2, 345)
    assert stat.S_IMODE(PATH.stat().st_mode) == 0o600
    assert os.listdir() == ["t.json"]


def test_no_file_is_the_beginning():
    assert load(PATH) == Cursor()
    assert load(PATH).position == Position(0, 0)


def test_cursors_do_not_share_their_counts():
    Cursor().dropped["loss"] = 1
    assert Cursor().dropped == {}


def test_fields_of_later_versions_are_ignored():
    PATH.write_text('{"seq": 3, "later": [1, {}]}')
    assert load(PATH) == Cursor(seq=3)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"3",
        b"\xff\xfe",
        bytes(100),
        b'{"seq": "3"}',
        b'{"seq": 1.5}',
        b'{"seq": null}',
        b'{"seq": -1}',
        b'{"segment": -1}',
        b'{"offset": -1}',
        b'{"offset": 99999999999999999999}',
        b'{"dropped": {"a": "b"}}',
        b'{"dropped": []}',
        b'{"later": ' + b"[" * 100_000,
    ],
)
def test_something_else_is_an_error_that_says_what_to_do(content):
    PATH.write_bytes(content)
    with pytest.raises(JournalError, match=r"t\.json is not a cursor .*delete it"):
        load(PATH)


def test_a_folder_in_its_place_is_an_error():
    PATH.mkdir()
    with pytest.raises(JournalError, match="cannot be read"):
        load(PATH)
