"""The journal's writer and reader, and its format as the document says it."""

import contextlib
import functools
import gc
import hashlib
import itertools
import os
import random
import re
import signal
import stat
import struct
import subprocess
import sys
import textwrap
import threading
import zlib
from pathlib import Path

import msgspec
import numpy as np
import pytest

from accel_track.delivery.media import KeptMedia
from accel_track.errors import AccelTrackWarning, JournalError
from accel_track.journal import frames
from accel_track.journal import writer as writer_module
from accel_track.journal.entries import Position
from accel_track.journal.reader import BATCH, Damage, JournalReader, last_seq, read_last, segments
from accel_track.journal.writer import JournalWriter
from accel_track.media import Image, Text, Video
from accel_track.records import Alert, Config, Metrics, WithoutForm
from accel_track.values.capture import captured

FOLDER = Path("rank-00000")


class Picture:
    """An object without a portable form."""


def write(count, folder=FOLDER, **kwargs):
    journal = JournalWriter(folder, **kwargs)
    for _ in range(count):
        seq = journal.next_seq
        journal.metrics({"loss": seq / 2, "text": "t"}, seq, {})  # not in short: tests/unit/test_keysets.py
    journal.close()
    return journal


def seqs(reader):
    return [record.seq for record in reader]


def segment(number=0):
    return FOLDER / f"{number:08d}.seg"


def frame_starts(data):
    """Return where each frame of an undamaged segment begins, and where the last one ends."""
    starts = [frames.HEADER.size]
    while starts[-1] < len(data):
        starts.append(starts[-1] + frames.FRAME.size + struct.unpack_from("<I", data, starts[-1] + 4)[0])
    return starts


@contextlib.contextmanager
def calls(monkeypatch, *names):
    """Note which functions of `os` are called."""
    made = []

    def noting(name, function):
        def noted(*arguments):
            made.append(name)
            return function(*arguments)

        return noted

    with monkeypatch.context() as patch:
        for name in names:
            patch.setattr(os, name, noting(name, getattr(os, name)))
        yield made


class TestFormatDocument:
    """A reader written from docs/journal-format.md alone."""

    @staticmethod
    def key_sets(data):
        """Return the key sets of a segment, wherever they are defined in it."""
        found = {}
        for match in re.finditer(b"\xf5\xacTK", data):
            length, checksum = struct.unpack_from("<II", data, match.end())
            payload = data[match.end() + 8 : match.end() + 8 + length]
            if zlib.crc32(payload) == checksum:
                _, number, time, codes, names = msgspec.msgpack.decode(payload)
                found[number] = time, codes, names
        return found

    @staticmethod
    def short(data, at, key_sets):
        """Return the record in short at a place and its length, or None."""
        if data[at : at + 1] == b"\xf6" and len(data) >= at + 15:
            number, seq, step, ticks = struct.unpack_from("<HIII", data, at + 1)
            time, codes, names = key_sets.get(number, (0, "", []))
            form = struct.Struct("<" + codes)
            end = at + 15 + form.size
            if len(data) >= end + 4 and zlib.crc32(data[at:end]) == struct.unpack_from("<I", data, end)[0]:
                values = dict(zip(names, form.unpack_from(data, at + 15), strict=True))
                step = None if step == 0xFFFFFFFF else step
                return ["metrics", seq, time + ticks / 65536, values, step, {}], end + 4 - at
        return None

    def records(self, folder):
        found, skipped = [], 0
        for path in sorted(folder.glob("[0-9]" * 8 + ".seg")):
            data = path.read_bytes()
            at = 0
            if len(data) >= 32 and data[:8] == b"\x89ACTJ\r\n\x1a":
                version, _, rank, first, created = struct.unpack_from("<HHIQd", data, 8)
                assert (version, rank) == (1, 3)
                assert created > 1.7e9
                assert not found or first == found[-1][1] + 1
                at = 32
            key_sets = self.key_sets(data)
            while at < len(data):
                if (short := self.short(data, at, key_sets)) is not None:
                    found.append(short[0])
                    at += short[1]
                    continue
                marker, length, checksum = struct.unpack_from("<4sII", data[at : at + 12].ljust(12, b"\0"))
                payload = data[at + 12 : at + 12 + length]
                if marker == b"\xf5\xacTR" and length == len(payload) <= 2**24 and zlib.crc32(payload) == checksum:
                    found.append(msgspec.msgpack.decode(payload))
                    at += 12 + length
                elif marker == b"\xf5\xacTK" and length == len(payload) <= 2**24 and zlib.crc32(payload) == checksum:
                    at += 12 + length
                else:
                    skipped += 1
                    at += 1
        return found, skipped

    def test_a_reader_written_from_it_reads_everything(self):
        journal = JournalWriter(FOLDER, rank=3, segment_size=200)
        journal.config({"lr": 0.1, "net": {"layers": [1, 2]}})
        journal.metrics({"loss": float("inf"), "n": 2**80, "picture": Picture()}, 5, {})
        journal.metrics({"loss": 0.5}, None, {"wandb": {"commit": False}})
        for step in range(10):
            journal.metrics({"text": "ü"}, step, {})
        for step in (10, None, 12):
            journal.metrics({"ü": 0.1, "n": -1, "new": step == 12}, step, {})
        journal.metrics({"w": np.array([[1, 2], [3, 4]], ">u2")}, 13, {}, unread={"m": "RuntimeError: gone"})
        alert = Alert("title", "more", "error", "nan", "nan @3")
        journal.metrics(alert.values, None, {}, alert=alert)
        journal.close()
        records, skipped = self.records(FOLDER)
        assert skipped == 0
        assert len(segments(FOLDER)) > 3
        assert [record[1] for record in records] == list(range(18))
        assert list(records[17][3]) == ["alert"]
        assert records[17][4:] == [None, {}, {}, "", ["title", "more", "error", "nan", "nan @3"]]
        assert all(record[2] > 1.7e9 for record in records)
        name = f"{Picture.__module__}.Picture".encode()
        assert records[0][:2] + records[0][3:] == ["config", 0, {"lr": 0.1, "net": {"layers": [1, 2]}}, False, ""]
        assert records[1][:2] + records[1][3:] == [
            "metrics",
            1,
            {
                "loss": float("inf"),
                "n": msgspec.msgpack.Ext(2, (2**80).to_bytes(11, "big", signed=True)),
                "picture": msgspec.msgpack.Ext(1, name),
            },
            5,
            {},
            {},
            "",
            None,
        ]
        assert records[2][3:] == [{"loss": 0.5}, None, {"wandb": {"commit": False}}, {}, "", None]
        assert records[12][3:] == [{"text": "ü"}, 9, {}, {}, "", None]
        assert records[14][3:] == [{"ü": 0.1, "n": -1, "new": False}, None, {}]
        assert records[15][3:] == [{"ü": 0.1, "n": -1, "new": True}, 12, {}]
        extension = records[16][3]["w"]
        assert extension.code == 3
        assert msgspec.msgpack.decode(extension.data) == [">u2", [2, 2], bytes([0, 1, 0, 2, 0, 3, 0, 4])]
        assert records[16][4:] == [13, {}, {"m": "RuntimeError: gone"}, "", None]

    def test_it_finds_media_and_artifacts(self):
        journal, kept = JournalWriter(FOLDER, rank=3), KeptMedia(FOLDER)
        pixels = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3)
        call = captured({"image": Image(pixels, "caption"), "video": Video(pixels[None], 8), "note": Text("short")})
        kept.keep(call)
        journal.metrics(call.values, 1, {})
        journal.artifact("name", "media/00000000/a", "dataset", 2, {"rows": 1}, {"": (4, 5)})
        journal.close()
        (metrics, artifact), _ = self.records(FOLDER)
        assert {extension.code for extension in metrics[3].values()} == {4}
        image, video, note = (msgspec.msgpack.decode(extension.data) for extension in metrics[3].values())
        assert (image[0], image[2], note) == ("image", {"caption": "caption"}, ["text", "", {"text": "short"}])
        (bundle,) = Path(FOLDER, "media").glob("*.raw")
        rest = bundle.read_bytes()
        for (_, name, _), plain in ((image, b"8x6x3\n"), (video, b"1x8x6x3@8\n")):
            line, _, rest = rest.partition(b"\n")
            own, length = line.decode().split(" ")
            data, rest = rest[: int(length)], rest[int(length) :]
            assert own == name
            assert data == plain + pixels.tobytes()
            assert hashlib.sha256(data).hexdigest() == name.partition(".")[0]
        assert rest == b"end\n"
        alone = kept.files.keep(Image(pixels + 1).content())
        data = Path(FOLDER, "media", f"{alone}.raw").read_bytes()
        assert data == b"8x6x3\n" + (pixels + 1).tobytes()
        assert hashlib.sha256(data).hexdigest() == alone.partition(".")[0]
        while kept.files.encode_next():
            pass
        for line in Path(FOLDER, "media/SHA256SUMS").read_text().splitlines():
            digest, name = line.split("  ")
            assert hashlib.sha256(Path(FOLDER, "media", name).read_bytes()).hexdigest() == digest
        assert not list(Path(FOLDER, "media").glob("*.raw"))
        assert artifact[3:] == [{"rows": 1}, "name", "media/00000000/a", "dataset", 2, {"": [4, 5]}, ""]

    def test_it_goes_on_after_damage_as_the_package_does(self):
        write(20, rank=3)
        data = bytearray(segment().read_bytes())
        starts = frame_starts(data)
        data[starts[4] + 20] ^= 1
        segment().write_bytes(data[: starts[-1] - 3])
        records, skipped = self.records(FOLDER)
        reader = JournalReader(FOLDER)
        assert [record[1] for record in records] == seqs(reader) == [n for n in range(19) if n != 4]
        assert skipped == reader.damages[0].length + reader.torn


class TestWriter:
    """What is on disk after an append, and what is kept if nothing is."""

    def test_an_append_is_one_write_and_no_other_call_that_reaches_the_disk(self, monkeypatch):
        journal = JournalWriter(FOLDER)
        with calls(monkeypatch, "write", "fdatasync", "fsync", "open", "listdir", "fstat") as made:
            journal.metrics({"loss": 1.0}, 0, {})
            journal.config({"lr": 0.1})
        assert made == ["write", "write"]
        journal.close()
        assert seqs(JournalReader(FOLDER)) == [0, 1]

    def test_power_durability_stores_each_append_before_it_returns(self, monkeypatch):
        journal = JournalWriter(FOLDER, durability="power")
        with calls(monkeypatch, "write", "fdatasync") as made:
            journal.metrics({"loss": 1.0}, 0, {})
            journal.metrics({"loss": 2.0}, 1, {})
        assert made == ["write", "fdatasync", "write", "fdatasync"]
        journal.close()

    def test_sync_stores_once_what_was_appended(self, monkeypatch):
        journal = JournalWriter(FOLDER)
        journal.metrics({"loss": 1.0}, 0, {})
        with calls(monkeypatch, "fdatasync") as made:
            journal.sync()
            journal.sync()
        assert made == ["fdatasync"]
        journal.close()

    def test_a_record_is_readable_when_the_append_returns(self):
        journal = JournalWriter(FOLDER)
        reader = JournalReader(FOLDER)
        for number in range(50):
            assert journal.metrics({"n": number}, number, {}) == number
            assert [entry.record.values for entry in reader.read(10)] == [{"n": number}]
        journal.close()

    def test_segments_stay_below_their_size_and_continue_each_other(self):
        write(100, segment_size=300)
        files = segments(FOLDER)
        assert [number for number, _ in files] == list(range(len(files)))
        assert len(files) > 10
        assert max(path.stat().st_size for _, path in files) <= 300
        assert seqs(JournalReader(FOLDER)) == list(range(100))
        assert last_seq(FOLDER) == 99

    def test_a_reader_of_what_is_written_after_the_last_record(self):
        write(100, segment_size=300)
        end = read_last(FOLDER)
        assert (end.seq, seqs(end.later)) == (99, [])
        write(10)
        assert seqs(end.later) == list(range(100, 110))

    def test_what_is_written_to_a_segment_while_the_next_one_is_made_is_read(self, monkeypatch):
        """Between the reader's look into a segment and its look for later ones."""
        journal, reader, listed = JournalWriter(FOLDER, segment_size=300), JournalReader(FOLDER), segments(FOLDER)
        journal.metrics({"n": 0}, 0, {})
        assert seqs(reader) == [0]

        def listing(folder):
            while len(found := segments(folder)) == len(listed):
                journal.metrics({"n": 1}, 1, {})
            return found

        monkeypatch.setattr("accel_track.journal.reader.segments", listing)
        found = seqs(reader)
        journal.close()
        assert found == list(range(1, journal.next_seq))
        assert len(found) > 1

    def test_a_batch_is_too_few_records_for_a_garbage_collection(self):
        """One would go through all that the process has, while training stands still."""
        write(5000)
        reader, found = JournalReader(FOLDER), 0
        gc.collect()
        before = gc.get_stats()[0]["collections"]
        while entries := reader.read(BATCH):
            found += len(entries)
        assert gc.get_stats()[0]["collections"] - before < 3  # with 1000 at a time there are 28
        assert found == 5000

    def test_a_frame_larger_than_a_segment_has_one_of_its_own(self):
        journal = JournalWriter(FOLDER, segment_size=100)
        for text in ("a", "b" * 500, "c"):
            journal.metrics({"text": text}, None, {})
        journal.close()
        assert [record.values["text"][0] for record in JournalReader(FOLDER)] == ["a", "b", "c"]

    def test_later_writers_continue_the_numbers_in_segments_of_their_own(self):
        for begin in (0, 5, 10):
            journal = write(5)
            assert journal.next_seq == begin + 5
        assert [number for number, _ in segments(FOLDER)] == [0, 1, 2]
        assert seqs(JournalReader(FOLDER)) == list(range(15))

    def test_a_later_writer_continues_after_one_that_was_killed(self):
        write(5)
        segment(1).write_bytes(b"")  # killed before the header
        segment(2).write_bytes(segment().read_bytes()[:10])  # in it
        data = segment().read_bytes()
        segment().write_bytes(data[:-7])
        assert write(2).next_seq == 6
        reader = JournalReader(FOLDER)
        assert seqs(reader) == [0, 1, 2, 3, 4, 5]
        assert [damage.segment for damage in reader.damages] == ["00000000.seg", "00000002.seg"]

    def test_an_empty_segment_keeps_the_numbers(self):
        write(5)
        write(0)
        segment().unlink()
        assert JournalWriter(FOLDER).next_seq == 5

    def test_a_later_writer_continues_after_a_damaged_header(self):
        write(5)
        segment().write_bytes(b"\0" * 8 + segment().read_bytes()[8:])
        assert write(1).next_seq == 6

    def test_a_later_version_of_the_format_is_not_continued(self):
        write(1)
        segment().write_bytes(frames.HEADER.pack(frames.MAGIC, 2, 0, 0, 0, 0.0))
        with pytest.raises(JournalError, match="version 2"):
            JournalWriter(FOLDER)

    def test_only_the_owner_can_read(self):
        mask = os.umask(0)
        try:
            write(1)
        finally:
            os.umask(mask)
        assert stat.S_IMODE(FOLDER.stat().st_mode) == 0o700
        assert stat.S_IMODE(segment().stat().st_mode) == 0o600

    def test_threads_append_side_by_side(self):
        journal = JournalWriter(FOLDER, segment_size=5000)
        numbers = []

        def log(worker):
            numbers.extend([journal.metrics({"worker": worker, "n": n}, n, {}) for n in range(300)])

        threads = [threading.Thread(target=log, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        journal.close()
        records = list(JournalReader(FOLDER))
        assert [record.seq for record in records] == sorted(numbers) == list(range(1200))
        for worker in range(4):
            assert [record.step for record in records if record.values["worker"] == worker] == list(range(300))

    @pytest.mark.parametrize("size", [100_000, 1000])
    def test_a_signal_handler_appends_in_the_middle_of_an_append(self, size):
        open_before = len(os.listdir("/dev/fd"))
        journal = JournalWriter(FOLDER, segment_size=size)
        handled = []
        before = signal.signal(
            signal.SIGALRM, lambda *_: handled.append(journal.metrics({"from": "handler"}, None, {}))
        )
        numbers = []
        try:
            chance = random.Random(3)
            while len(handled) < 100:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, 2e-4))
                numbers.extend([journal.metrics({"from": "training"}, None, {}) for _ in range(5)])
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        journal.close()
        reader = JournalReader(FOLDER)
        found = seqs(reader)
        assert sorted(found) == sorted(numbers + handled) == list(range(journal.next_seq))
        assert reader.damages == []
        assert len(os.listdir("/dev/fd")) <= open_before

    @pytest.mark.parametrize("durability", ["process", "power"])
    def test_a_signal_handler_may_run_at_the_end_of_every_call_of_an_append(self, after_call, durability):
        for point in itertools.count():
            folder = FOLDER / str(point)
            journal = JournalWriter(folder, durability=durability, segment_size=150)
            numbers = [journal.metrics({"text": "a" * 60}, None, {})]
            with after_call(point, functools.partial(journal.metrics, {"text": "h" * 60}, None, {})) as handled:
                numbers.append(journal.metrics({"text": "b" * 60}, None, {}))
            if not handled:
                break
            numbers.extend(journal.metrics({"text": "c" * 60}, None, {}) for _ in range(4))
            journal.close()
            reader = JournalReader(folder)
            assert sorted(seqs(reader)) == sorted(numbers + handled) == list(range(7))
            assert reader.damages == []
        assert point > (15 if sys.version_info < (3, 13) else 5)  # whose tracing tells of fewer places

    def test_a_handler_that_begins_a_segment_during_the_beginning_of_one_wins(self, monkeypatch):
        journal = JournalWriter(FOLDER, segment_size=150)
        journal.metrics({"text": "a" * 60}, None, {})
        begin, opened = os.open, []

        def interrupted(*arguments):
            file = begin(*arguments)
            if not opened:
                opened.append(file)
                journal.metrics({"from": "handler"}, None, {})
            return file

        with monkeypatch.context() as patch:
            patch.setattr(os, "open", interrupted)
            journal.metrics({"text": "b" * 60}, None, {})
        journal.metrics({"text": "c" * 60}, None, {})
        journal.close()
        reader = JournalReader(FOLDER)
        assert len(segments(FOLDER)) == 5  # one of them without a record
        assert seqs(reader) == [0, 2, 1, 3]

    def test_large_arrays_take_a_bounded_place_in_memory(self, monkeypatch):
        """Those that are given up are on disk without their arrays, and not lost."""
        monkeypatch.setattr("accel_track.journal.memory.MOST_BYTES", 2**25)
        journal = JournalWriter(FOLDER)
        for step in range(10):
            journal.metrics({"w": np.zeros(2**23, np.int8), "step": step}, step, {})
        assert [one.record.step for one in journal.kept] == [6, 7, 8, 9]
        journal.metrics({"w": np.zeros(2**26, np.int8)}, 10, {})
        assert [one.record.step for one in journal.kept] == [10]
        assert journal.lost_from(0) == 0
        journal.close()
        assert [record.step for record in JournalReader(FOLDER)] == list(range(11))

    def test_objects_without_portable_form_are_kept_until_they_are_delivered(self):
        journal = JournalWriter(FOLDER)
        picture = Picture()
        journal.metrics({"loss": 1.0}, 0, {})
        journal.metrics({"loss": 2.0, "picture": picture}, 1, {})
        assert [(one.record.values, one.on_disk) for one in journal.kept_since(0)] == [
            ({"loss": 2.0, "picture": picture}, True)
        ]
        assert journal.kept_since(2) == []
        journal.forget(1)
        assert len(journal.kept) == 1
        journal.forget(2)
        assert len(journal.kept) == 0
        journal.close()
        assert next(iter(JournalReader(FOLDER, Position(0, 32)))).values == {"loss": 1.0}
        assert list(JournalReader(FOLDER))[1].values["loss"] == 2.0
        assert type(list(JournalReader(FOLDER))[1].values["picture"]) is WithoutForm

    def test_a_record_beyond_the_longest_frame_is_kept_in_memory_only(self):
        journal = JournalWriter(FOLDER)
        journal.metrics({"text": "x" * frames.LONGEST}, 0, {})
        journal.metrics({"text": "y"}, 1, {})
        assert [(one.record.seq, one.on_disk) for one in journal.kept] == [(0, False)]
        journal.close()
        assert seqs(JournalReader(FOLDER)) == [1]

    def test_a_folder_that_cannot_be_written_to_warns_once_and_recovers(self):
        FOLDER.write_text("in the way")
        with pytest.warns(AccelTrackWarning, match="training goes on") as warned:
            journal = JournalWriter(FOLDER)
        journal.metrics({"n": 0}, 0, {})
        FOLDER.unlink()
        FOLDER.mkdir()
        journal.metrics({"n": 1}, 1, {})
        journal.close()
        assert len(warned) == 1
        assert len(journal.kept) == 0
        assert seqs(JournalReader(FOLDER)) == [0, 1]

    @pytest.mark.filterwarnings("error")
    def test_a_record_is_kept_also_where_a_filter_turns_the_warning_into_an_error(self):
        journal = JournalWriter(FOLDER)
        journal.close()
        segment().unlink()
        FOLDER.rmdir()
        with pytest.raises(AccelTrackWarning):
            journal.metrics({"n": 0}, 0, {})
        assert [one.record.seq for one in journal.kept] == [0]
        assert journal.next_seq == 1

    def test_memory_is_bounded_and_what_it_loses_is_counted(self, monkeypatch):
        monkeypatch.setattr(writer_module, "TAIL", 5)
        FOLDER.write_text("in the way")
        with pytest.warns(AccelTrackWarning, match="the last 5 at most"):
            journal = JournalWriter(FOLDER)
        for number in range(12):
            journal.metrics({"n": number}, number, {})
        assert [one.record.seq for one in journal.kept] == [7, 8, 9, 10, 11]
        assert journal.lost == 7
        assert journal.next_seq == 12
        journal.close()

    def test_what_memory_lets_go_is_not_lost_if_it_is_on_disk(self, monkeypatch):
        monkeypatch.setattr(writer_module, "TAIL", 5)
        journal = JournalWriter(FOLDER)
        for number in range(12):
            journal.metrics({"picture": Picture()}, number, {})
        journal.close()
        assert (len(journal.kept), journal.lost) == (5, 0)

    def test_a_full_disk_leaves_no_part_of_a_record_and_is_used_again_when_there_is_room(self):
        script = """
            import os, resource, sys, warnings
            from pathlib import Path
            from accel_track.journal.writer import JournalWriter
            warnings.simplefilter("ignore")
            journal = JournalWriter(Path("rank-00000"))
            limit = 1000
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            for number in range(30):
                journal.metrics({"n": number, "text": "x" * 50}, number, {})
            size = os.path.getsize("rank-00000/00000000.seg")
            kept = [one.record.seq for one in journal.kept]
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            for number in range(30, 40):
                journal.metrics({"n": number}, number, {})
            journal.close()
            print(size, kept[0], len(kept), len(journal.kept))
        """
        size, first, kept, left = map(int, run(script).split())
        reader = JournalReader(FOLDER)
        assert seqs(reader) == list(range(40))
        assert (first + kept, left, reader.damages, reader.torn) == (30, 0, [], 0)
        assert 900 < size <= 1000

    def test_a_short_write_is_not_undone_if_a_handler_has_appended_behind_it(self, monkeypatch):
        journal = JournalWriter(FOLDER)
        journal.metrics({"n": 0}, 0, {})
        real = os.write

        def short(file, data):
            monkeypatch.setattr(os, "write", real)
            written = real(file, data[:-4])
            journal.metrics({"n": 2}, 2, {})  # what a signal handler does
            return written

        monkeypatch.setattr(os, "write", short)
        with pytest.warns(AccelTrackWarning, match="No space left"):
            journal.metrics({"n": 1}, 1, {})
        journal.metrics({"n": 3}, 3, {})
        journal.close()
        reader = JournalReader(FOLDER)
        assert [record.step for record in reader] == [0, 2, 1, 3]
        assert len(reader.damages) == 1
        assert len(journal.kept) == 0


def run(script, *arguments):
    program = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.run(program, check=True, capture_output=True, text=True, timeout=60).stdout


class TestReader:
    """Every undamaged record is read, the rest is reported."""

    def test_reading_goes_on_from_any_record(self):
        write(40, segment_size=400)
        entries = JournalReader(FOLDER).read(100)
        assert [entry.record.seq for entry in entries] == list(range(40))
        for entry in entries:
            assert seqs(JournalReader(FOLDER, entry.end)) == list(range(entry.record.seq + 1, 40))

    @pytest.mark.parametrize("limit", [1, 3, 1000])
    def test_reading_stops_at_the_limit_and_goes_on(self, limit):
        write(20, segment_size=300)
        reader = JournalReader(FOLDER)
        found = []
        while entries := reader.read(limit):
            assert len(entries) <= limit
            assert entries[-1].end == reader.position
            found += [entry.record.seq for entry in entries]
        assert found == list(range(20))

    def test_a_folder_that_is_missing_or_empty_has_no_records(self):
        reader = JournalReader(FOLDER)
        assert reader.read(1) == []
        FOLDER.mkdir()
        (FOLDER / "notes.seg").touch()
        (FOLDER / "cursors").mkdir()
        assert reader.read(1) == []
        assert last_seq(FOLDER) == -1
        write(2)
        assert seqs(reader) == [0, 1]

    def test_a_tail_torn_at_any_byte_is_waited_for(self):
        write(3)
        data = segment().read_bytes()
        begin = frame_starts(data)[2]
        for end in range(begin, len(data)):
            segment().write_bytes(data[:end])
            reader = JournalReader(FOLDER)
            assert seqs(reader) == [0, 1]
            assert (reader.position, reader.torn, reader.damages) == (Position(0, begin), end - begin, [])
            segment().write_bytes(data)
            assert seqs(reader) == [2]
            assert (reader.torn, reader.damages) == (0, [])

    def test_a_torn_tail_is_damage_once_there_is_a_later_segment(self):
        write(3)
        data = segment().read_bytes()
        begin = frame_starts(data)[2]
        for end in range(begin + 1, len(data)):
            segment().write_bytes(data[:end])
            reader = JournalReader(FOLDER)
            assert seqs(reader) == [0, 1]
            write(1)
            assert seqs(reader) == [2]
            assert (reader.damages, reader.torn) == ([Damage("00000000.seg", begin, end - begin)], 0)
            segment(1).unlink()

    def test_a_header_torn_at_any_byte_is_waited_for(self):
        write(1)
        data = segment().read_bytes()
        for end in range(frames.HEADER.size):
            segment().write_bytes(data[:end])
            reader = JournalReader(FOLDER)
            assert reader.read(10) == []
            assert (reader.position, reader.damages) == (Position(0, 0), [])
            segment().write_bytes(data)
            assert seqs(reader) == [0]

    def test_a_segment_without_a_whole_header_is_passed(self):
        for size in (0, 10, 31):
            write(1, folder=FOLDER)
            data = segment(0).read_bytes()
            segment(0).write_bytes(data[:size])
            segment(1).write_bytes(data)
            reader = JournalReader(FOLDER)
            assert seqs(reader) == [0]
            assert sum(damage.length for damage in reader.damages) == size
            segment(0).unlink()
            segment(1).unlink()

    def test_flipped_bytes_cost_the_records_they_are_in_and_no_other(self):
        write(60, segment_size=1500)
        files = [path for _, path in segments(FOLDER)]
        whole = {path: path.read_bytes() for path in files}
        chance = random.Random(1)
        for _ in range(60):
            guilty, seq = set(), 0
            for path in files:
                data = bytearray(whole[path])
                starts = frame_starts(data)
                for at in chance.sample(range(frames.HEADER.size, len(data)), chance.randrange(4)):
                    data[at] ^= chance.randrange(1, 256)
                    guilty.add(seq + max(index for index, start in enumerate(starts) if start <= at))
                seq += len(starts) - 1
                path.write_bytes(data)
            reader = JournalReader(FOLDER)
            assert seqs(reader) == [number for number in range(60) if number not in guilty]
            sizes = sum(damage.length for damage in reader.damages) + reader.torn
            assert sizes >= len(guilty) * frames.FRAME.size
            assert bool(sizes) == bool(guilty)

    def test_damage_is_reported_once_and_in_one_piece(self):
        write(5)
        data = bytearray(segment().read_bytes())
        starts = frame_starts(data)
        data[starts[1] : starts[3]] = bytes(starts[3] - starts[1])
        segment().write_bytes(data)
        reader = JournalReader(FOLDER)
        assert seqs(reader) == [0, 3, 4]
        assert seqs(reader) == []
        assert reader.damages == [Damage("00000000.seg", starts[1], starts[3] - starts[1])]

    def test_a_damaged_header_costs_no_record(self):
        write(5)
        data = segment().read_bytes()
        for damaged in (bytes(32) + data[32:], b"\x88" + data[1:], frames.MARKER + data[4:]):
            segment().write_bytes(damaged)
            reader = JournalReader(FOLDER)
            assert seqs(reader) == [0, 1, 2, 3, 4]
            assert reader.damages == [Damage("00000000.seg", 0, 32)]

    def test_frames_are_found_where_the_header_is_gone(self):
        write(3)
        segment().write_bytes(segment().read_bytes()[32:])
        assert seqs(JournalReader(FOLDER)) == [0, 1, 2]

    def test_a_truncated_or_missing_segment_in_the_middle_costs_what_was_in_it(self):
        write(30, segment_size=300)
        numbers = [len(frame_starts(path.read_bytes())) - 1 for _, path in segments(FOLDER)]
        first = sum(numbers[:2])
        segment(2).write_bytes(segment(2).read_bytes()[:-1])
        assert seqs(JournalReader(FOLDER)) == [n for n in range(30) if n != first + numbers[2] - 1]
        segment(2).unlink()
        expected = [n for n in range(30) if not first <= n < first + numbers[2]]
        assert seqs(JournalReader(FOLDER)) == expected
        assert seqs(JournalReader(FOLDER, Position(2, 100))) == [n for n in expected if n > first]
        assert seqs(JournalReader(FOLDER, Position(1, 10**9))) == [n for n in expected if n > first]

    @pytest.mark.parametrize("tail", [bytes(5000), b"\xff" * 5000, frames.MARKER * 1000, b"\x00"])
    def test_a_tail_of_garbage_is_no_record_and_what_follows_is_read(self, tail):
        write(3)
        with segment().open("ab") as file:
            file.write(tail)
        reader = JournalReader(FOLDER)
        assert seqs(reader) == [0, 1, 2]
        assert (reader.torn, reader.damages) == (len(tail), [])
        write(2)
        assert seqs(reader) == [3, 4]
        assert sum(damage.length for damage in reader.damages) == len(tail)

    def test_a_file_of_garbage_is_passed(self):
        write(1)
        segment(1).write_bytes(random.Random(2).randbytes(10_000))
        write(1)
        reader = JournalReader(FOLDER)
        assert seqs(reader) == [0, 1]
        assert reader.damages == [Damage("00000001.seg", 0, 10_000)]

    def test_frames_longer_than_what_is_read_at_once_are_read(self):
        journal = JournalWriter(FOLDER)
        texts = ["a" * 3_000_000, "b", "c" * (frames.LONGEST - 100), "d", "e" * 1_048_500, "f"]
        for text in texts:
            journal.metrics({"text": text}, None, {})
        journal.close()
        assert [record.values["text"] for record in JournalReader(FOLDER)] == texts

    def test_garbage_longer_than_the_longest_frame_is_passed(self):
        write(2)
        size = 2 * frames.LONGEST + 5000
        frame = frames.frame(msgspec.msgpack.encode(["config", 2, 0.0, {"text": "z" * 70_000}]))
        with segment().open("ab") as file:
            file.write(bytes(size) + frame)
        reader = JournalReader(FOLDER)
        assert seqs(reader) == [0, 1, 2]
        assert sum(damage.length for damage in reader.damages) == size
        assert len(reader.damages) == 1

    def test_a_length_beyond_the_longest_is_damage(self):
        write(3)
        data = bytearray(segment().read_bytes())
        start = frame_starts(data)[1]
        for length in (frames.LONGEST + 1, 2**32 - 1):
            struct.pack_into("<I", data, start + 4, length)
            segment().write_bytes(data)
            assert seqs(JournalReader(FOLDER)) == [0, 2]

    def test_a_payload_that_is_no_record_is_damage(self):
        write(1)
        with segment().open("ab") as file:
            file.write(frames.frame(b"no record"))
            file.write(frames.frame(msgspec.msgpack.encode(["metrics", 1, 0.0, {}])))
        reader = JournalReader(FOLDER)
        assert seqs(reader) == [0, 1]
        assert [damage.length for damage in reader.damages] == [12 + 9]

    def test_markers_and_whole_frames_inside_of_a_payload_are_not_taken_for_frames(self):
        journal = JournalWriter(FOLDER)
        inner = frames.frame(msgspec.msgpack.encode(["metrics", 99, 0.0, {}]))
        for value in (frames.MARKER, inner, frames.MARKER * 50):
            journal.metrics({"bytes": value}, None, {})
        journal.close()
        reader = JournalReader(FOLDER)
        assert [record.values["bytes"] for record in reader] == [frames.MARKER, inner, frames.MARKER * 50]
        assert reader.damages == []

    def test_a_later_version_is_refused_after_what_precedes_it(self):
        write(3)
        write(1)
        data = bytearray(segment(1).read_bytes())
        struct.pack_into("<H", data, 8, 2)
        segment(1).write_bytes(data)
        reader = JournalReader(FOLDER)
        assert [entry.record.seq for entry in reader.read(1000)] == [0, 1, 2]
        for _ in range(2):
            with pytest.raises(JournalError, match=r"00000001\.seg has version 2"):
                reader.read(1000)

    def test_what_was_read_before_a_file_that_cannot_be_is_returned(self):
        write(3)
        segment(1).mkdir()
        reader = JournalReader(FOLDER)
        assert [entry.record.seq for entry in reader.read(1000)] == [0, 1, 2]
        with pytest.raises(OSError, match="directory"):
            reader.read(1000)
        segment(1).rmdir()
        write(1)
        assert seqs(reader) == [3]

    def test_records_are_read_in_order_while_another_process_writes_them(self):
        script = """
            import sys
            from pathlib import Path
            from accel_track.journal.writer import JournalWriter
            journal = JournalWriter(Path("rank-00000"), segment_size=20_000)
            for number in range(5000):
                journal.metrics({"n": number, "text": "x" * (number % 97)}, number, {})
            journal.close()
        """
        process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
        reader, found = JournalReader(FOLDER), []
        try:
            while process.poll() is None:
                found += [entry.record.values["n"] for entry in reader.read(100)]
        finally:
            process.wait(60)
        found += [record.values["n"] for record in reader]
        assert process.returncode == 0
        assert found == list(range(5000))
        assert reader.damages == []
        assert len(segments(FOLDER)) > 10

    def test_kill_9_loses_no_record_whose_append_returned(self):
        script = """
            import os, sys
            from pathlib import Path
            from accel_track.journal.writer import JournalWriter
            journal = JournalWriter(Path("rank-00000"), segment_size=20_000)
            for number in range(10**9):
                journal.metrics({"n": number}, number, {})
                os.write(1, b"%d\\n" % number)
        """
        process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE)
        lines = [process.stdout.readline() for _ in range(2000)]
        process.kill()
        lines += process.stdout.read().splitlines()
        process.wait(60)
        process.stdout.close()
        records = list(JournalReader(FOLDER))
        assert [record.seq for record in records] == list(range(len(records)))
        assert len(lines) <= len(records) <= len(lines) + 1
        assert all(type(record) is Metrics for record in records)
        assert write(1).next_seq == len(records) + 1

    def test_configurations_are_read_between_metrics(self):
        journal = JournalWriter(FOLDER)
        journal.metrics({"a": 1}, None, {})
        journal.config({"lr": 0.1})
        journal.close()
        assert [type(record) for record in JournalReader(FOLDER)] == [Metrics, Config]
