"""What every reader of a backend refuses: pipes, links and sizes that somebody else has chosen."""

import errno
import os
import struct
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from accel_track import media
from accel_track.trackers.comet.archive import Archive, is_archive
from accel_track.trackers.reading.copies import copied, only, target
from accel_track.trackers.reading.level_log import CUT, DAMAGED, TOO_LONG, UNREADABLE, payloads
from accel_track.trackers.reading.lost import LostError, MissingError
from accel_track.trackers.reading.media import medium_of_file, read_medium, with_file
from accel_track.trackers.reading.places import begins_with, file_within, is_regular, is_within, within
from accel_track.trackers.reading.values import json_file
from accel_track.trackers.reading.walks import files_below, walked

BLOCK = 32768


@pytest.mark.timeout(20)
def test_nobody_waits_for_a_pipe(tmp_path: Path) -> None:
    for name in ("a.json", "a.png", "a.npy", "a.md", "messages.json", "a.zip"):
        os.mkfifo(tmp_path / name)
        assert not is_regular(tmp_path / name)
        assert not begins_with(tmp_path / name, b"")
        with pytest.raises(LostError, match="is none"):
            file_within(name, tmp_path)
    for name in ("a.json", "a.png", "a.npy", "a.md"):
        assert medium_of_file(tmp_path / name) is None
        with pytest.raises(LostError):
            read_medium(tmp_path / name)
    with pytest.raises(LostError, match="JSON"):
        json_file(tmp_path / "a.json")
    assert list(files_below(tmp_path, ".json")) == []
    assert not is_archive(tmp_path)
    assert not is_archive(tmp_path / "a.zip")
    with pytest.raises(LostError, match="is none"):
        Archive(tmp_path, Counter()).fetch("a.png", tmp_path / "scratch", "a.png")
    lost: Counter[str] = Counter()
    assert list(payloads(tmp_path / "a.json", lost)) == []
    assert lost == {UNREADABLE: 1}


def test_a_way_that_is_none_is_not_one_that_is_missing(tmp_path: Path) -> None:
    """A folder that is missing may be none that was ever made; one that cannot be is somebody's."""
    with pytest.raises(MissingError):
        within("nothing", tmp_path)
    for place in ("a\0", "x" * 5000):
        with pytest.raises(LostError) as raised:
            within(place, tmp_path)
        assert type(raised.value) is LostError
        assert not is_within(tmp_path / place, tmp_path) or place[0] == "x"


def test_names_keep_their_backslashes(tmp_path: Path) -> None:
    """Which are no separators here, but lead nowhere on any system."""
    assert target(tmp_path, "a\\b").name == "a\\b"
    with pytest.raises(LostError, match="leads out"):
        target(tmp_path, "a\\..\\..\\b")


def test_a_full_disk_is_no_fault_of_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    (tmp_path / "file").write_text("x")
    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(OSError, match="full"):
        copied(tmp_path / "file", tmp_path / "to", "a/b")


def test_the_only_file(tmp_path: Path) -> None:
    assert only(tmp_path, [tmp_path / "a"]) == tmp_path / "a"
    for files in ([tmp_path / "a" / "b"], [tmp_path / "a", tmp_path / "b"], []):
        assert only(tmp_path, files) == tmp_path


def test_a_file_stays_where_it_is(tmp_path: Path) -> None:
    """Only what has none gets one."""
    file = tmp_path / "a.wav"
    file.write_bytes(b"RIFF")
    assert with_file(media.Audio(file, caption="c"), tmp_path / "s").path == file
    made = with_file(media.Text("text"), tmp_path / "s").path
    assert made is None or made.is_relative_to(tmp_path / "s")


def test_a_walk_leaves_out_folders_and_links(tmp_path: Path) -> None:
    for name in ("b/deep", "a"):
        (tmp_path / "in" / name).mkdir(parents=True)
    (tmp_path / "in" / "link").symlink_to(tmp_path)
    (tmp_path / "in" / "b" / "file").touch()
    found = []
    for folder, folders, files in walked(tmp_path / "in"):
        found.append((folder.name, files))
        if folder.name == "b":
            folders.clear()
    assert found == [("in", []), ("a", []), ("b", ["file"])]
    file = tmp_path / "in" / "b" / "file"
    assert list(walked(file)) == [(file.parent, [], ["file"])]
    assert list(walked(Path("a\0"))) == list(walked(tmp_path / "nowhere")) == []


def part(kind: int, data: bytes) -> bytes:
    return struct.pack("<IHB", zlib.crc32(bytes([kind]) + data), len(data), kind) + data


@pytest.mark.parametrize(
    ("parts", "found", "lost"),
    [
        ([(1, b"a"), (1, b"b")], [b"a", b"b"], {}),
        ([(2, b"a"), (3, b"b"), (4, b"c")], [b"abc"], {}),
        ([(2, b"a"), (3, b"b")], [], {CUT: 1}),
        ([(2, b"a"), (1, b"b")], [b"b"], {DAMAGED: 1}),
        ([(2, b"a"), (2, b"b"), (4, b"c")], [b"bc"], {DAMAGED: 1}),
        ([(3, b"a"), (3, b"b"), (4, b"c"), (1, b"d")], [b"d"], {DAMAGED: 1}),
        ([(5, b"a")], [], {DAMAGED: 1}),
    ],
)
def test_records_in_parts(parts: list[tuple[int, bytes]], found: list[bytes], lost: Any, tmp_path: Path) -> None:
    """What has no beginning or no end is counted once, however many parts it has."""
    (tmp_path / "log").write_bytes(b"7 bytes" + b"".join(part(*one) for one in parts))
    counted: Counter[str] = Counter()
    assert list(payloads(tmp_path / "log", counted)) == found
    assert counted == lost


def test_the_end_of_a_log(tmp_path: Path) -> None:
    """It may be cut off, in a header too, or be zeros that were to be written; that is counted once."""
    whole = part(1, b"whole")
    for rest in (part(1, b"rest")[:-1], part(1, b"rest")[:8], part(1, b"rest")[:5], bytes(100)):
        (tmp_path / "log").write_bytes(b"7 bytes" + whole + rest)
        lost: Counter[str] = Counter()
        assert (list(payloads(tmp_path / "log", lost)), lost) == ([b"whole"], {CUT: 1})


def test_a_record_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it is kept, and what is behind it is read."""
    monkeypatch.setattr("accel_track.trackers.reading.level_log._MOST", 10)
    parts = [(2, b"12345"), (3, b"12345"), (3, b"12345"), (3, b"12345"), (4, b"12345"), (1, b"after")]
    (tmp_path / "log").write_bytes(b"7 bytes" + b"".join(part(*one) for one in parts))
    lost: Counter[str] = Counter()
    assert (list(payloads(tmp_path / "log", lost)), lost) == ([b"after"], {TOO_LONG: 1})
