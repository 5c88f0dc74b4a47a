"""Segments that are made to stall a reader: the work grows with their size only."""

import random
import struct
import time
import zlib
from pathlib import Path

import msgspec
import pytest

from accel_track.journal import checksums, frames
from accel_track.journal.checksums import Checksums
from accel_track.journal.keysets import defined_in
from accel_track.journal.reader import History, JournalReader
from accel_track.journal.writer import JournalWriter
from accel_track.records import Metrics

FOLDER = Path("rank-00000")
SIZE = 300_000
ENOUGH = 3.0
"""Seconds of this process's time."""

LONG = struct.pack("<II", SIZE // 2, 0)
GOOD = frames.frame(msgspec.msgpack.encode(["metrics", 1, 0.0, {"a": 1}, 1, {}]))
WIDE = frames.frame(
    msgspec.msgpack.encode(["keys", 0, 0.0, "d" * 10_000, [f"n{number}" for number in range(10_000)]]), frames.KEYS
)

HOSTILE = {
    "false frames": (frames.MARKER + LONG, 1),
    "false definitions": (frames.KEYS + LONG, 1),
    "false frames, each in the one before": (frames.MARKER + LONG[:4], 1),
    "false short frames of 10,000 names": (b"\xf6\0\0", 1),
    "short frames of no key set": (b"\xf6", 1),
    "false frames between good ones": (GOOD + frames.MARKER + LONG, 1 + SIZE // len(GOOD + frames.MARKER + LONG)),
    "false short frames between good ones": (GOOD + b"\xf6\0\0", 1 + SIZE // len(GOOD + b"\xf6\0\0")),
}


@pytest.mark.first(3)
@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_whole_is_read_in_time(kind: str) -> None:
    piece, count = HOSTILE[kind]
    FOLDER.mkdir()
    end = frames.frame(msgspec.msgpack.encode(["config", 2, 0.0, {"last": True}]))
    data = frames.header(0, 0, 0.0) + WIDE + piece * (SIZE // len(piece)) + end
    (FOLDER / "00000000.seg").write_bytes(data)
    begun = time.process_time()
    records = list(JournalReader(FOLDER))
    assert time.process_time() - begun < ENOUGH
    assert len(records) == count
    assert records[-1].values == {"last": True}


def test_definitions_are_found_in_time() -> None:
    begun = time.process_time()
    assert list(defined_in((frames.KEYS + LONG) * (SIZE // 12) + WIDE)) == [0]
    assert time.process_time() - begun < ENOUGH


def test_many_rewinds_over_many_records() -> None:
    journal = JournalWriter(FOLDER)
    for step in range(5000):
        journal.metrics({"loss": 1.0}, step, {})
        journal.rewind(step if step % 2 else step + 1)
    journal.close()
    history, records = History(FOLDER), list(JournalReader(FOLDER))
    begun = time.process_time()
    counting = [record.step for record in records if isinstance(record, Metrics) and history.counts(record)]
    assert time.process_time() - begun < 1.0
    assert counting == list(range(0, 5000, 2))


def test_a_part_of_a_buffer_has_its_checksum_whatever_was_asked_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksums, "_OFTEN", 5)
    chance = random.Random(1)
    data = chance.randbytes(20_000)
    checks = Checksums(data)
    for size in [*(chance.randrange(len(data)) for _ in range(200)), *[7777] * 20]:
        begin = chance.randrange(len(data) - size + 1)
        crc = zlib.crc32(data[begin : begin + size])
        assert checks.match(begin, begin + size, crc)
        assert not checks.match(begin, begin + size, crc ^ 1)
