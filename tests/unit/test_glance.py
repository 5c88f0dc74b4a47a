"""A glance at the end of a journal finds what a reader of all of it does, mostly without reading it."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accel_track.journal import frames, glance
from accel_track.journal.reader import read_last
from accel_track.journal.writer import JournalWriter


def written(folder: Path, fill: Callable[[JournalWriter], object]) -> Path:
    """Return the only segment of a journal."""
    writer = JournalWriter(folder)
    fill(writer)
    writer.close()
    (segment,) = folder.glob("*.seg")
    return segment


def numbers(writer: JournalWriter) -> None:
    for step in range(300):
        writer.metrics({"a": float(step)} if step % 3 else {"a": 1.0, "b": step}, step, {})


def many_sets(writer: JournalWriter) -> None:
    for step in range(200):
        writer.metrics({f"name {step % 70}": 1.0}, step, {})


def text(writer: JournalWriter) -> None:
    numbers(writer)
    writer.metrics({"text": "x" * 10}, 300, {})


def long_text(writer: JournalWriter) -> None:
    numbers(writer)
    writer.metrics({"text": "x" * 600_000}, 300, {})


def frames_in_bytes(writer: JournalWriter) -> None:
    numbers(writer)
    inner = frames.frame(b"\x93\xa6config\xcd\xff\xff\x00")
    writer.metrics({"bytes": inner, "more": inner}, 300, {})


ENDS = [numbers, many_sets, text, long_text, frames_in_bytes]


@pytest.mark.parametrize("fill", ENDS)
def test_a_whole_end_is_found_from_behind(tmp_path: Path, fill: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, fill)
    end = read_last(tmp_path)
    if fill is not long_text:  # which begins before what is looked at
        monkeypatch.setattr(glance, "read_last", None)
    assert glance.glance(tmp_path) == (end.seq + 1, end.time)


@pytest.mark.first(2)
@pytest.mark.parametrize("fill", ENDS)
def test_damage_and_torn_ends_change_nothing(tmp_path: Path, fill: Any) -> None:
    segment = written(tmp_path, fill)
    whole, chance = segment.read_bytes(), random.Random(0)
    for _ in range(40):
        data = bytearray(whole[: chance.randrange(len(whole) - 300, len(whole) + 1)])
        if chance.random() < 0.5:
            data[-chance.randrange(1, 200)] ^= 1 << chance.randrange(8)
        segment.write_bytes(data)
        end = read_last(tmp_path)
        assert glance.glance(tmp_path) == (end.seq + 1, end.time)


def test_odd_segments(tmp_path: Path) -> None:
    assert glance.glance(tmp_path) == (0, None)
    written(tmp_path, numbers)
    last = tmp_path / "00000001.seg"
    for data in (
        b"",
        frames.header(0, 300, 1e9),
        frames.header(0, 300, 1e9)[:20],
        frames.header(0, 200, 1e9, frames.REPEATS) + (tmp_path / "00000000.seg").read_bytes()[frames.HEADER.size :],
        frames.header(0, 300, 1e9) + frames.frame(b"no record"),
    ):
        last.write_bytes(data)
        end = read_last(tmp_path)
        assert glance.glance(tmp_path) == (end.seq + 1, end.time)
