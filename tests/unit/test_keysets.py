"""Records in short: their names are in the segment once, or a few times more."""

import functools
import itertools
import math
import os
import random
import struct
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from accel_track.errors import AccelTrackWarning
from accel_track.journal import frames, keysets
from accel_track.journal.entries import Position
from accel_track.journal.keysets import defined_in, read
from accel_track.journal.reader import Damage, JournalReader, last_seq, segments
from accel_track.journal.writer import JournalWriter
from accel_track.values.capture import captured

FOLDER = Path("rank-00000")
VALUES = {"train/loss": 0.1, "epoch": 3, "best": True}
NUMBERS = [f"{kind}{bits}" for kind in ("float", "int", "uint") for bits in (16, 32, 64)] + ["int8", "uint8", "bool_"]
SIZE = 15 + 8 + 8 + 1 + 4


def segment(number: int = 0) -> Path:
    return FOLDER / f"{number:08d}.seg"


def write(count: int, **kwargs: int) -> JournalWriter:
    journal = JournalWriter(FOLDER, **kwargs)
    for _ in range(count):
        step = journal.next_seq
        values = {**VALUES, "train/loss": step / 8}
        if not journal.again(values, step):
            journal.metrics(values, step, {})
    journal.close()
    return journal


def seqs(reader: JournalReader) -> list[int]:
    return [record.seq for record in reader]


def parts(data: bytes) -> list[tuple[int, int, bool]]:
    """Return where each frame of an undamaged segment begins and ends, and whether it is a record's."""
    at, found = frames.HEADER.size, []
    while at < len(data):
        if data.startswith(keysets.MARKER, at):
            found.append((at, at + SIZE, True))
        else:
            (length,) = struct.unpack_from("<I", data, at + 4)
            found.append((at, at + 12 + length, False))
        at = found[-1][1]
    return found


class TestWriting:
    """What is written in short, and what is not."""

    def test_names_are_written_once_and_then_only_numbers(self) -> None:
        write(2)
        before = segment().stat().st_size
        journal = JournalWriter(FOLDER)
        for step in range(10_000):
            assert journal.again(VALUES, step) or journal.metrics(VALUES, step, {}) >= 0
        journal.close()
        size = segment(1).stat().st_size
        assert before < 400
        assert size < 10_000 * (SIZE + 0.3)
        assert len(list(JournalReader(FOLDER))) == 10_002

    def test_ten_scalars_take_less_than_100_bytes(self) -> None:
        journal = JournalWriter(FOLDER)
        values = {f"train/metric_{index}": index / 7 for index in range(10)}
        for step in range(1000):
            journal.metrics(values, step, {})
        journal.close()
        assert segment().stat().st_size / 1000 < 102
        assert 15 + 80 + 4 == 99

    def test_types_and_the_order_of_names_come_back(self) -> None:
        journal = JournalWriter(FOLDER)
        given = [
            {"a": 1, "b": 2.0},
            {"a": 1.0, "b": 2},
            {"b": 2.0, "a": 1},
            {"a": True, "b": math.nan},
            {"a": -(2**63), "b": -math.inf},
            {"a": 2**63 - 1, "b": -0.0},
            {"": 5},
            {},
        ]
        for values in given * 3:
            journal.metrics(values, None, {})
        journal.close()
        found = [record.values for record in JournalReader(FOLDER)]
        assert repr(found) == repr(given * 3)  # types, signs and order too
        assert segment().read_bytes().count(frames.MARKER) == 0

    def test_numbers_of_numpy_and_torch_are_in_short_too(self) -> None:
        import torch

        journal = JournalWriter(FOLDER)
        values = {"a": np.float32(0.5), "b": torch.tensor(3), "c": np.bool_(True), "d": np.array([2.5])}
        journal.metrics(captured(values).values, 0, {})
        journal.close()
        (record,) = JournalReader(FOLDER)
        assert repr(record.values) == "{'a': 0.5, 'b': 3, 'c': True, 'd': 2.5}"  # type: ignore[union-attr]
        assert segment().read_bytes().count(frames.MARKER) == 0

    @pytest.mark.parametrize(
        ("values", "step"),
        [
            ({"a": 2**63}, 0),
            ({"a": 1.0}, 2**32 - 1),
            ({"a": 1.0}, 2**62),
            ({"a": "text"}, 0),
            ({"a": None}, 0),
            ({"a": {}}, 0),
            ({"a": {"b": "text"}}, 0),
            ({"a": {7: 1.0}}, 0),
            ({"a": [1.0]}, 0),
        ],
    )
    def test_what_does_not_fit_is_written_in_full(self, values: dict[str, object], step: int) -> None:
        journal = JournalWriter(FOLDER)
        journal.metrics({"a": 1}, 0, {})
        journal.metrics({"a": 1.0}, 0, {})
        if not journal.again(values, step):
            journal.metrics(values, step, {})
        journal.close()
        last = list(JournalReader(FOLDER))[-1]
        assert (last.seq, last.values, last.step) == (2, values, step)  # type: ignore[union-attr]
        assert segment().read_bytes().count(frames.MARKER) == 1

    def test_half_a_surrogate_pair_in_a_name_is_written_in_full(self) -> None:
        journal = JournalWriter(FOLDER)
        journal.metrics({"\ud800": 1.0}, 0, {})
        journal.close()
        assert [record.values for record in JournalReader(FOLDER)] == [{"\\ud800": 1.0}]

    @pytest.mark.parametrize("values", [[("a", 1.0)], None, 5, {1: 1.0}, {"a": "b"}])
    @pytest.mark.parametrize("step", [0, -1, "0", 1.0, True])
    def test_again_leaves_everything_unknown_alone(self, values: object, step: object) -> None:
        journal = JournalWriter(FOLDER)
        journal.metrics({"a": 1.0}, 0, {})
        assert not journal.again(values, step)
        journal.close()
        assert seqs(JournalReader(FOLDER)) == [0]

    @pytest.mark.parametrize(
        ("values", "quickly"),
        [
            ({"train": {"loss": 0.5, "acc": 1}, "lr": 0.1, "val": {"ok": True}}, True),
            ({"a": {"x": 1.0}, "a/x": 2.0}, True),
            ({"a": {"b": np.float32(0.5), "c": np.int64(3)}, "d": np.bool_(True)}, True),
            ({"a": {"b": {"c": {"d": 1.0}}, "e": 2}}, False),
        ],
    )
    def test_numbers_in_dictionaries_are_written_in_short(self, values: dict[str, object], quickly: bool) -> None:
        journal, plain, short = JournalWriter(FOLDER), captured(values).values, 0
        for step in range(10):
            if journal.again(values, step):
                short += 1
            else:
                journal.metrics(captured(values).values, step, {})
        journal.close()
        assert bool(short) is quickly
        assert [record.values for record in JournalReader(FOLDER)] == [plain] * 10
        assert {str(record.values) for record in JournalReader(FOLDER)} == {str(plain)}, "their order and types, too"
        assert segment().read_bytes().count(frames.MARKER) == 0

    def test_calls_of_one_shape_and_others_in_turns(self) -> None:
        journal, given = JournalWriter(FOLDER), []
        for step in range(40):
            inner = {"loss": step / 8} if step % 3 else {"loss": step}
            given.append(
                [{"train": inner}, {"train": {**inner, "b": 2**70 if step == 20 else 1}}, {"loss": 1.0}][step % 3]
            )
            if not journal.again(given[-1], step):
                journal.metrics(given[-1], step, {})
        journal.close()
        assert [record.values for record in JournalReader(FOLDER)] == given

    @pytest.mark.parametrize(
        "names",
        [["a", ["a", "b"]], [["a", "b"], "a", ["a", "c"]], [[], "b"], ["a", ["x"] * 101], [["a", 1], "b"], [["a"], 5]],
    )
    def test_names_that_no_dictionary_has_define_nothing(self, names: list[object]) -> None:
        assert read(msgspec.msgpack.encode(["keys", 0, 1.8e9, "d" * len(names), names])) is None

    @pytest.mark.parametrize("kind", [*NUMBERS, "longdouble", "str_"])
    def test_scalars_of_numpy_are_stored_as_the_long_way_stores_them(self, kind: str) -> None:
        """From the second call on in short, where they are numbers; also where one is too large or the clock is set."""
        journal, cls = JournalWriter(FOLDER), getattr(np, kind)
        given = [{"a": cls(step % 2), "b": step / 8, "c": cls(1)} for step in range(6)]
        given[3]["c"] = np.uint64(2**64 - 1) if kind == "uint64" else given[3]["c"]
        short = 0
        for step, values in enumerate(given):
            if journal.again(values, step):
                short += 1
            else:
                journal.metrics(captured(values).values, step, {})
        journal.close()
        assert bool(short) is (kind in NUMBERS)
        found = [record.values for record in JournalReader(FOLDER)]
        assert found == [captured(values).values for values in given]
        assert [list(map(type, one.values())) for one in found] == [
            list(map(type, captured(values).values.values())) for values in given
        ]

    @pytest.mark.parametrize(
        "kind", ["float64", "float32", "float16", "bfloat16", "int64", "int8", "uint8", "bool", "complex64"]
    )
    @pytest.mark.parametrize("nested", [False, True])
    def test_tensors_are_stored_as_the_long_way_stores_them(self, kind: str, nested: bool) -> None:
        import torch

        journal, dtype = JournalWriter(FOLDER), getattr(torch, kind)
        given: list[dict[str, Any]] = []
        for step in range(6):
            tensor = torch.tensor(step % 2, dtype=dtype, requires_grad=dtype.is_floating_point)
            values = {"a": tensor, "b": step / 8, "c": torch.ones(1, dtype=dtype)}
            given.append({"train": values, "d": tensor} if nested else values)
        short = 0
        for step, values in enumerate(given):
            if journal.again(values, step):
                short += 1
            else:
                journal.metrics(captured(values).values, step, {})
        journal.close()
        assert short == (0 if kind == "complex64" else 5)  # all but the first
        found = [record.values for record in JournalReader(FOLDER)]
        assert kind == "complex64" or repr(found) == repr([captured(values).values for values in given])

    def test_other_tensors_take_the_long_way(self) -> None:
        import torch

        class Mine(torch.Tensor):
            pass

        journal = JournalWriter(FOLDER)
        journal.metrics({"a": 1.0}, 0, {})
        journal.metrics({"a": {"b": 1.0}}, 0, {})
        others = [torch.zeros(2), torch.zeros(0), torch.zeros((), device="meta"), torch.zeros(()).as_subclass(Mine)]
        others += [torch.nn.Parameter(torch.zeros(())), torch.zeros(1).to_sparse()]
        for other in others:
            assert not journal.again({"a": other}, 1)
            assert not journal.again({"a": {"b": other}}, 1)
        deep: dict[str, Any] = {"a": torch.zeros(())}
        deep["b"] = {"c": deep}
        assert not journal.again(deep, 1)
        journal.close()

    def test_scalars_of_numpy_and_a_clock_that_is_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        journal = JournalWriter(FOLDER)
        for number, moment in enumerate([1.8e9, 1.8e9 + 1, 1.8e9 - 5, 1.8e9 - 4, 1.8e9 - 3]):
            with monkeypatch.context() as patch:
                patch.setattr(time, "time", lambda moment=moment: moment)
                if not journal.again({"a": np.float32(number)}, number):
                    journal.metrics({"a": float(number)}, number, {})
        journal.close()
        assert [record.values for record in JournalReader(FOLDER)] == [{"a": float(number)} for number in range(5)]
        assert segment().read_bytes().count(frames.MARKER) == 0

    def test_a_class_of_the_users_own_is_none_of_numpys(self) -> None:
        class Mine(np.float64):
            def __float__(self) -> float:
                return 7.0

        journal = JournalWriter(FOLDER)
        journal.metrics({"a": 1.0}, 0, {})
        assert not journal.again({"a": Mine(2.0)}, 1)
        assert not journal.again({"a": np.zeros(1)}, 1)
        journal.close()

    def test_kinds_of_calls_without_end_take_no_memory_without_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("accel_track.journal.segment._MOST_SETS", 5)
        journal = JournalWriter(FOLDER)
        journal.metrics({f"{name}": 1.0 for name in range(4)}, 0, {})
        for number in range(16):
            journal.again({f"{name}": (np.float32, np.float64)[number >> name & 1](1.0) for name in range(4)}, number)
        assert len(journal._segment.sets) <= 6  # type: ignore[union-attr]
        journal.close()

    def test_the_time_is_that_of_the_call(self) -> None:
        journal = JournalWriter(FOLDER)
        before = time.time()
        for step in range(20):
            journal.metrics({"a": 1.0}, step, {})
        after = time.time()
        journal.close()
        times = [record.time for record in JournalReader(FOLDER)]
        assert times == sorted(times)
        assert before <= times[0] + 1e-4
        assert times[-1] <= after

    def test_a_clock_that_is_set_begins_another_key_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        journal = JournalWriter(FOLDER)
        moments = [1.8e9, 1.8e9 + 65530, 1.8e9 + 65540, 1.8e9 - 5, 1.8e9, 2e9]
        for number, moment in enumerate(moments):
            with monkeypatch.context() as patch:
                patch.setattr(time, "time", lambda moment=moment: moment)
                if number % 2 == 0 or not journal.again({"a": 1.0}, number):
                    journal.metrics({"a": 1.0}, number, {})
        journal.close()
        assert [record.time for record in JournalReader(FOLDER)] == moments
        assert segment().read_bytes().count(frames.MARKER) == 0

    def test_the_short_way_goes_on_after_a_day(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A key set lasts 18 hours; the calls behind it are written by the next one, and not all the long way."""
        journal = JournalWriter(FOLDER)
        journal.metrics({"a": 1.0}, 0, {})
        start = time.time()
        monkeypatch.setattr(time, "time", lambda: start + 100_000.0)
        assert journal.again({"a": 1.0}, 1)
        long_ways: list[Any] = []
        monkeypatch.setattr(journal, "_append", long_ways.append)
        assert journal.again({"a": 1.0}, 2)
        assert not long_ways

    def test_behind_many_key_sets_only_names_that_come_again_are_defined(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("accel_track.journal.segment._MANY_SETS", 3)
        journal, given = JournalWriter(FOLDER), []
        for number in [*range(10), *range(8, 12), *range(8, 12)]:
            given.append({f"a{number}": number / 8, f"b{number}": number})
            assert journal.again(given[-1], number)
        journal.close()
        assert [record.values for record in JournalReader(FOLDER)] == given
        data = segment().read_bytes()
        assert data.count(frames.MARKER) == 8  # the first records of 4 to 11
        assert len(defined_in(data)) == 8  # 0 to 3 and 8 to 11

    @pytest.mark.parametrize("values", [{"größe": 1.0}, {"\ud800": 1.0}, {5: 1.0}, {"a": "b"}, {"a": None}])
    def test_names_and_values_that_have_to_be_checked_are_left_alone(self, values: dict[Any, Any]) -> None:
        journal = JournalWriter(FOLDER)
        assert not journal.again(values, 0)
        journal.close()
        assert seqs(JournalReader(FOLDER)) == []

    def test_unknown_names_and_a_disk_that_is_full(self, monkeypatch: pytest.MonkeyPatch) -> None:
        journal = JournalWriter(FOLDER)
        with monkeypatch.context() as patch, pytest.warns(AccelTrackWarning, match="cannot write"):
            patch.setattr(os, "write", lambda *_: 0)
            assert journal.again({"a": 1.0}, 0)
        assert [one.record.values for one in journal.kept] == [{"a": 1.0}]
        journal.recover(at_once=True)
        journal.close()
        assert seqs(JournalReader(FOLDER)) == [0]

    def test_names_without_end_take_no_memory_without_end(self) -> None:
        journal = JournalWriter(FOLDER)
        for number in range(150):
            journal.metrics({f"{number}/{index}": 1.0 for index in range(1000)}, number, {})
        sets = journal._segment.sets  # type: ignore[union-attr]
        assert sum(len(names) for names, _ in sets) == keysets.MOST_NAMES
        journal.close()
        assert [len(record.values) for record in JournalReader(FOLDER)] == [1000] * 150

    def test_each_segment_defines_its_own(self) -> None:
        write(100, segment_size=500)
        assert len(segments(FOLDER)) > 5
        for number, path in segments(FOLDER):
            assert path.stat().st_size <= 500
            numbers = seqs(JournalReader(FOLDER, Position(number)))
            assert numbers == list(range(numbers[0], 100))
        assert last_seq(FOLDER) == 99

    @pytest.mark.first(1)
    @pytest.mark.parametrize(("durability", "size"), [("process", 150), ("process", 100_000), ("power", 150)])
    def test_a_signal_handler_may_run_at_the_end_of_every_call(self, after_call, durability: str, size: int) -> None:
        def log(journal: JournalWriter, value: float) -> None:
            if not journal.again({"n": value}, 7):
                journal.metrics({"n": value}, 7, {})

        for point in itertools.count():
            folder = FOLDER / str(point)
            journal = JournalWriter(folder, durability=durability, segment_size=size)
            log(journal, -1.0)
            with after_call(point, functools.partial(log, journal, 0.5)) as handled:
                for number in range(4):
                    log(journal, float(number))
            if not handled:
                break
            journal.close()
            reader = JournalReader(folder)
            found = [record.values["n"] for record in reader]
            assert sorted(found) == [-1.0, 0.0, 0.5, 1.0, 2.0, 3.0]
            assert sorted(seqs(JournalReader(folder))) == list(range(6))
            assert (reader.damages, reader.torn) == ([], 0)
        assert point > (50 if sys.version_info < (3, 13) else 40)  # whose tracing tells of fewer places

    def test_a_full_disk_leaves_no_part_and_defines_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        journal = JournalWriter(FOLDER)
        journal.metrics({"n": 0.0}, 0, {})
        real = os.write
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda file, data: real(file, data[:-4]))
            with pytest.warns(AccelTrackWarning, match="No space left"):
                assert journal.again({"n": 1.0}, 1)
            journal.metrics({"m": 2.0}, 2, {})
        assert [one.record.step for one in journal.kept] == [1, 2]  # type: ignore[union-attr]
        journal.recover(at_once=True)
        for name, step in (("m", 3), ("n", 4)):
            if not journal.again({name: 0.0}, step):
                journal.metrics({name: 0.0}, step, {})
        journal.close()
        reader = JournalReader(FOLDER)
        assert [record.step for record in reader] == [0, 1, 2, 3, 4]  # type: ignore[union-attr]
        assert (reader.damages, reader.torn) == ([], 0)


class TestReading:
    """Past damage, from any place, while it is written."""

    def test_reading_goes_on_from_any_record(self) -> None:
        write(40, segment_size=400)
        entries = JournalReader(FOLDER).read(100)
        assert [entry.record.seq for entry in entries] == list(range(40))
        for entry in entries:
            assert seqs(JournalReader(FOLDER, entry.end)) == list(range(entry.record.seq + 1, 40))

    @pytest.mark.parametrize("limit", [1, 3, 1000])
    def test_reading_stops_at_the_limit_and_goes_on(self, limit: int) -> None:
        write(20, segment_size=300)
        reader, found = JournalReader(FOLDER), []
        while entries := reader.read(limit):
            assert len(entries) <= limit
            found += [entry.record.seq for entry in entries]
        assert found == list(range(20))

    def test_a_record_is_readable_when_the_append_returns(self) -> None:
        journal, reader = JournalWriter(FOLDER), JournalReader(FOLDER)
        for number in range(50):
            values = {"n": number} if number % 3 else {"m": 1.0}
            assert journal.again(values, number) or journal.metrics(values, number, {}) == number
            assert [entry.record.values for entry in reader.read(10)] == [values]
        journal.close()

    def test_a_tail_torn_at_any_byte_is_waited_for(self) -> None:
        write(6)
        data = segment().read_bytes()
        records = [(begin, end) for begin, end, is_record in parts(data) if is_record]
        for cut in range(records[2][1], len(data)):
            segment().write_bytes(data[:cut])
            reader = JournalReader(FOLDER)
            assert seqs(reader) == [number for number, (_, end) in enumerate(records) if end <= cut]
            assert reader.damages == []
            segment().write_bytes(data)
            assert len(seqs(reader)) == sum(end > cut for _, end in records)
            assert (reader.torn, reader.damages) == (0, [])

    def test_flipped_bytes_cost_the_records_they_are_in_and_no_other(self) -> None:
        write(60, segment_size=1500)
        files = [path for _, path in segments(FOLDER)]
        whole = {path: path.read_bytes() for path in files}
        chance = random.Random(1)
        for _ in range(100):
            lost: list[int] = []
            seq = 0
            for path in files:
                data = bytearray(whole[path])
                flips = chance.sample(range(frames.HEADER.size, len(data)), chance.randrange(4))
                hit = [any(begin <= at < end for at in flips) for begin, end, _ in parts(whole[path])]
                is_record = [one[2] for one in parts(whole[path])]
                readable = any(not damaged for damaged, record in zip(hit, is_record, strict=True) if not record)
                for damaged, record in zip(hit, is_record, strict=True):
                    if record:
                        lost += [seq] if damaged or not readable else []
                        seq += 1
                for at in flips:
                    data[at] ^= chance.randrange(1, 256)
                path.write_bytes(data)
            reader = JournalReader(FOLDER)
            assert seqs(reader) == [number for number in range(60) if number not in lost]
            assert bool(reader.damages or reader.torn) == any(path.read_bytes() != whole[path] for path in files)

    def test_a_damaged_definition_costs_nothing_where_there_is_another(self) -> None:
        write(100)
        data = bytearray(segment().read_bytes())
        definitions = [begin for begin, _, is_record in parts(bytes(data)) if not is_record]
        assert len(definitions) == 7  # before the records 0, 2, 5, 10, 19, 36 and 69
        for begin in definitions[:-1]:
            data[begin + 20] ^= 1
        segment().write_bytes(data)
        reader = JournalReader(FOLDER)
        assert seqs(reader) == list(range(100))
        assert len(reader.damages) == 6

    def test_damage_is_reported_once_and_in_one_piece(self) -> None:
        write(5)
        data = bytearray(segment().read_bytes())
        (begin, _), (_, end) = [(begin, end) for begin, end, is_record in parts(bytes(data)) if is_record][1:3]
        between = end - begin
        data[begin:end] = bytes(between)
        segment().write_bytes(data)
        reader = JournalReader(FOLDER)
        assert seqs(reader) == [0, 3, 4]
        assert seqs(reader) == []
        assert reader.damages == [Damage("00000000.seg", begin, between)]

    def test_a_key_set_that_is_none_is_damage(self) -> None:
        write(1)
        bad = [
            ["keys", 9, 0.0, "dd", ["a"]],
            ["keys", 9, 0.0, "x", ["a"]],
            ["keys", 9, 0.0, "P", ["a"]],
            ["keys", -1, 0.0, "d", [1]],
            ["rewind", 9, 0.0, {}, 4],
        ]
        for payload in bad:
            assert read(msgspec.msgpack.encode(payload)) is None
        with segment().open("ab") as file:
            for payload in bad:
                file.write(frames.frame(msgspec.msgpack.encode(payload), frames.KEYS))
        reader = JournalReader(FOLDER)
        assert seqs(reader) == [0]
        assert len(reader.damages) == 1

    def test_frames_longer_than_what_is_read_at_once_are_read(self) -> None:
        journal = JournalWriter(FOLDER)
        values = {str(number): number / 2 for number in range(90_000)}
        for step in range(3):
            journal.metrics({**values, "b": step / 2} if step != 1 else {"a": 1.0}, step, {})
        journal.close()
        assert [len(record.values) for record in JournalReader(FOLDER)] == [90_001, 1, 90_001]

    def test_the_definitions_of_a_segment_are_found_wherever_they_are(self) -> None:
        write(3)
        assert {number: one.names for number, one in defined_in(segment().read_bytes()).items()} == {0: tuple(VALUES)}
