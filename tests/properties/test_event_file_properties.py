"""Whatever is logged, TensorBoard's own reader finds it: names, steps, times and values, in order."""

import math
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import crc32c

from accel_track.journal.entries import ShortEntries
from accel_track.journal.reader import JournalReader
from accel_track.journal.writer import JournalWriter
from accel_track.records import Metrics
from accel_track.trackers.tensorboard import checksums as crc
from accel_track.trackers.tensorboard.events import events as framed
from accel_track.trackers.tensorboard.tracker import TensorBoardTracker

NAMES = st.text(max_size=20) | st.sampled_from(["", "loss", "train/accuracy", "größe", "x" * 300])
NUMBERS = st.floats() | st.booleans() | st.integers(-(2**1000), 2**1000)
TEXTS = st.text(max_size=20)
NESTED = st.dictionaries(NAMES, NUMBERS, min_size=1, max_size=3)
VALUES = st.dictionaries(NAMES, NUMBERS, max_size=12) | st.dictionaries(NAMES, NUMBERS | TEXTS | NESTED, max_size=5)
CALLS = st.tuples(VALUES, st.none() | st.integers(0, 2**62), st.floats(1.0, 1e11))


def single(value):
    """Return the bits of a number with 32 bits, but the same ones for all kinds of NaN."""
    try:
        return "nan" if math.isnan(value) else struct.pack("<f", float(value))
    except OverflowError:
        return struct.pack("<f", math.copysign(math.inf, value))


def flat(values, prefix=""):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}/")
        elif isinstance(value, str):
            yield f"{prefix}{name}/text_summary", value
        else:
            yield f"{prefix}{name}", single(value)


@given(st.lists(st.lists(CALLS, max_size=5), max_size=5))
def test_what_is_logged_is_found(batches):
    with tempfile.TemporaryDirectory() as folder:
        tracker = TensorBoardTracker("run", folder)
        tracker.start()
        for batch in batches:
            tracker.log_batch([Metrics(0, time, values, step) for values, step, time in batch])
        tracker.finish()
        assert not tracker.dropped
        (path,) = Path(folder, "run").glob("events*")
        _, *events = LegacyEventFileLoader(str(path)).Load()
    found = [
        (
            event.step,
            event.wall_time,
            [
                (one.tag, one.tensor.string_val[0].decode() if one.HasField("tensor") else single(one.simple_value))
                for one in event.summary.value
            ],
        )
        for event in events
    ]
    assert found == [
        (step or 0, time, list(flat(values))) for batch in batches for values, step, time in batch if values
    ]


@given(st.binary(max_size=5000))
def test_both_checksums_are_tensorboards(data):
    assert crc.crc32c(data) == crc.with_numpy(data) == crc32c(data)


NUMBER = {float: st.floats() | st.floats(width=32), int: st.integers(-(2**63), 2**63 - 1), bool: st.booleans()}
TREES = st.recursive(
    st.sampled_from([float, float, int, bool]),
    lambda children: st.dictionaries(NAMES, children, min_size=1, max_size=4),
)
SHAPES = st.dictionaries(NAMES, TREES, max_size=6)


def filled(shape, draw):
    return {name: filled(kind, draw) if isinstance(kind, dict) else draw(NUMBER[kind]) for name, kind in shape.items()}


@pytest.mark.long
@given(st.data(), st.lists(SHAPES, min_size=1, max_size=3), st.lists(st.integers(0, 2), min_size=2, max_size=60))
def test_records_in_short_have_the_same_events_as_others(data, shapes, turns):
    steps = st.none() | st.integers(0, 300) | st.integers(0, 2**32 - 2)
    values = [filled(shapes[turn % len(shapes)], data.draw) for turn in turns]
    with tempfile.TemporaryDirectory() as folder:
        journal = JournalWriter(Path(folder, "rank"))
        for one in values:
            journal.metrics(one, data.draw(steps), {})
        journal.close()
        entries = JournalReader(Path(folder, "rank")).read(100)
        assert isinstance(entries, ShortEntries)
        found = []
        for name, records in (("short", entries.records), ("whole", list(entries.records))):
            tracker = TensorBoardTracker(name, folder)
            tracker.start()
            tracker.log_batch(records)
            tracker.finish()
            (path,) = Path(folder, name).glob("events*")
            found.append([path.read_bytes()[begin:end] for begin, end in framed(path.read_bytes())][1:])
    assert found[0] == found[1]
    assert len(found[0]) == sum(map(bool, values))
