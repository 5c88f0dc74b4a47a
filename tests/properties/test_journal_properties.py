"""Any values come back from a journal; no damage makes a reader fail or invent a record."""

import math
import struct
import tempfile
import zlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from accel_track.errors import JournalError
from accel_track.journal import frames, keysets
from accel_track.journal.keysets import KeySet, key_set
from accel_track.journal.reader import JournalReader
from accel_track.journal.writer import JournalWriter
from accel_track.records import Config, Metrics, decode, encode
from accel_track.values.capture import captured

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=20)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
)
RECORDS = st.dictionaries(st.text(max_size=10), VALUES, max_size=5)
ANYTHING = st.recursive(
    st.builds(object) | st.text(st.characters()) | st.complex_numbers() | st.integers() | st.just(ValueError),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.integers() | st.text(st.characters()), inner),
    max_leaves=10,
)


def bits(value):
    """Return a value with its floats as their bits, so that NaN equals itself and -0.0 not 0.0."""
    if isinstance(value, float):
        return ("float", struct.pack("<d", value))
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    return [bits(item) for item in value] if isinstance(value, list) else (type(value), value)


@given(RECORDS, st.none() | st.integers(0, 2**63 - 1), st.floats(0, 1e12), st.integers(0, 2**63 - 1))
def test_a_record_comes_back_bit_for_bit(values, step, time, seq):
    payload, portable = encode(Metrics(seq, time, values, step))
    record = decode(payload)
    assert portable
    assert (record.seq, record.time, record.step) == (seq, time, step)
    assert bits(record.values) == bits(values)
    assert bits(decode(encode(Config(seq, time, values))[0]).values) == bits(values)


@given(st.dictionaries(st.text(st.characters(), max_size=10), ANYTHING, max_size=4))
def test_whatever_is_logged_makes_a_record(values):
    payload, _ = encode(Metrics(0, 0.0, captured(values).values))
    assert len(decode(payload).values) <= len(values)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_a_journal_error(payload):
    for data in (payload, b"\x94\xa7metrics\x00\xcb" + bytes(8) + payload):
        try:
            record = decode(data)
        except JournalError:
            continue
        assert type(record) in {Metrics, Config}


MUTATIONS = st.one_of(
    st.tuples(st.just("flip"), st.integers(0), st.binary(min_size=1, max_size=8)),
    st.tuples(st.just("cut"), st.integers(0), st.just(b"")),
    st.tuples(st.just("remove"), st.integers(0), st.binary(min_size=1, max_size=40)),
    st.tuples(st.just("insert"), st.integers(0), st.binary(min_size=1, max_size=40) | st.just(frames.MARKER)),
    st.tuples(st.just("zero"), st.integers(0), st.binary(min_size=1, max_size=100)),
)


def mutated(data, mutation):
    kind, at, what = mutation
    at %= len(data) + 1
    if kind == "cut":
        return data[:at]
    if kind == "insert":
        return data[:at] + what + data[at:]
    replaced = data[at : at + len(what)]
    changed = bytes(one ^ other for one, other in zip(replaced, what, strict=False))
    return data[:at] + {"flip": changed, "remove": b"", "zero": bytes(len(replaced))}[kind] + data[at + len(what) :]


@given(st.lists(st.text(max_size=40), min_size=1, max_size=12), st.lists(MUTATIONS, min_size=1, max_size=4))
def test_a_damaged_segment_never_makes_a_reader_fail_or_invent_a_record(texts, mutations):
    with tempfile.TemporaryDirectory() as folder:
        writer = JournalWriter(Path(folder))
        for text in texts:
            writer.metrics({"text": text}, None, {})
        writer.close()
        file = Path(folder, "00000000.seg")
        whole = data = file.read_bytes()
        written = list(JournalReader(Path(folder)))
        for mutation in mutations:
            data = mutated(data, mutation)
        file.write_bytes(data)
        reader = JournalReader(Path(folder))
        try:
            found = list(reader)
        except JournalError:
            assert whole[:10] != data[:10]
            return
        assert all(record in written for record in found)
        intact = {record.seq for record in written if frames.frame(encode(record)[0]) in data}
        # A header has no checksum: one that lost a byte behind its beginning takes one of the first frame's.
        assert intact - {record.seq for record in found} <= ({0} if data[:32] != whole[:32] else set())
        assert len(data) - 32 <= sum(map(frame_size, found)) + sum(one.length for one in reader.damages) + reader.torn


def frame_size(record):
    return len(frames.frame(encode(record)[0]))


def test_bits_tell_floats_apart():
    assert bits([math.nan]) == bits([math.nan])
    assert bits(0.0) != bits(-0.0)


@given(st.lists(st.floats() | st.integers(-(2**63), 2**63 - 1) | st.booleans(), max_size=8), st.binary(max_size=300))
def test_what_was_packed_comes_back_bit_for_bit_and_garbage_behind_it_does_not(numbers, garbage):
    names = tuple(map(str, range(len(numbers))))
    keys = key_set(5, 1.8e9, (names, tuple(map(type, numbers))))
    assert isinstance(keys, KeySet)
    body = keys.pack(keysets.MARKER, 5, 1, 2, 3, *numbers)
    data = body + zlib.crc32(body).to_bytes(4, "little") + garbage
    assert keys.undamaged(data, 0, keys.begun(data, 0, 1000)) == 1
    (record,) = keys.records(data[: keys.size])
    assert [struct.pack("<d", one) if isinstance(one, float) else one for one in record.values.values()] == [
        struct.pack("<d", one) if isinstance(one, float) else one for one in numbers
    ]
    assert (record.seq, record.step, record.time) == (1, 2, 1.8e9 + 3 / 65536)


@given(st.lists(st.integers(0, 999), max_size=5), st.integers(1, 6))
def test_the_first_damaged_of_many_frames_is_found(flips, count):
    keys = key_set(5, 1.8e9, (("a", "b"), (float, bool)))
    assert isinstance(keys, KeySet)
    bodies = [keys.pack(keysets.MARKER, 5, seq, seq, seq, seq / 3, True) for seq in range(count)]
    whole = data = b"".join(body + zlib.crc32(body).to_bytes(4, "little") for body in bodies)
    for flip in flips:
        place = flip % len(data)
        data = data[:place] + bytes([data[place] ^ 1 << flip % 8]) + data[place + 1 :]
    sizes = range(0, len(data), keys.size)
    intact = [data[at : at + keys.size] == whole[at : at + keys.size] for at in sizes]
    expected = intact.index(False) if False in intact else count
    assert keys.undamaged(data, 0, count) == keys.undamaged(data, 0, count, together=False) == expected
