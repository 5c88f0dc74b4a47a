"""Files that are replaced as a whole, and read within bounds."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from accel_track.files import read_file, replace_file

PATH = Path("t.json")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def test_readers_see_the_old_content_or_the_new_one():
    contents = [bytes([65 + number]) * 100_000 for number in range(2)]
    replace_file(PATH, contents[0])
    writers = [
        threading.Thread(target=lambda: [replace_file(PATH, contents[number % 2]) for number in range(100)])
        for _ in range(2)
    ]
    for one in writers:
        one.start()
    while any(one.is_alive() for one in writers):
        assert PATH.read_bytes() in contents
    assert sorted(os.listdir()) == [PATH.name]


def test_what_is_there_stays_if_the_new_content_cannot_be_written():
    PATH.mkdir()
    with pytest.raises(OSError, match="directory"):
        replace_file(PATH, b"new")
    assert sorted(os.listdir()) == [PATH.name]


def test_no_link_is_followed():
    """Neither one in the file's place nor one that waits where the new content is written first."""
    Path("victim").write_bytes(b"whole")
    for link in (PATH, Path("t.json.new")):
        link.symlink_to("victim")
    replace_file(PATH, b"new")
    assert (Path("victim").read_bytes(), PATH.read_bytes(), PATH.is_symlink()) == (b"whole", b"new", False)


def test_a_name_may_be_as_long_as_the_file_system_takes():
    path = Path("n" * 255)
    replace_file(path, b"content")
    assert read_file(path, 7) == b"content"


def test_only_regular_files_of_a_bounded_size_are_read():
    os.mkfifo("fifo")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket")
    Path("loop").symlink_to("loop")
    Path("large").write_bytes(b"1234")
    for path, why in (
        ("fifo", "regular"),
        (".", "regular"),
        ("socket", None),
        ("loop", None),
        ("large", "more than 3"),
    ):
        with pytest.raises(OSError, match=why):
            read_file(path, 3)
