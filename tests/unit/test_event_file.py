"""TensorBoard's event files as accel_track writes them, against TensorBoard's own classes."""

import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.tensorflow_stub import pywrap_tensorflow
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch.utils.tensorboard.summary import hparams, text

from accel_track.errors import AccelTrackWarning
from accel_track.trackers.tensorboard import checksums as crc
from accel_track.trackers.tensorboard import events as found
from accel_track.trackers.tensorboard import file as _tensorboard_file
from accel_track.trackers.tensorboard import wire
from accel_track.trackers.tensorboard.events import Delivered, events
from accel_track.trackers.tensorboard.file import EventFile
from accel_track.trackers.tensorboard.summaries import session_end, session_start, text_value

TIME = 1_700_000_000.25


def scalar(step: int, **values: float) -> bytes:
    """Return a framed event."""
    event = wire.numbers_event(values or {"loss": step / 8}, step, TIME + step)
    assert event is not None
    return event


def read(path: Path) -> list[Event]:
    """Return what TensorBoard's reader finds, but for the event that a file begins with."""
    first, *more = LegacyEventFileLoader(str(path)).Load()
    assert first.file_version == "brain.Event:2"
    return more


def steps(path: Path) -> list[int]:
    return [event.step for event in read(path)]


def parsed(values: list[bytes]) -> list[Any]:
    """Return an event's values as protobuf's classes see them."""
    return list(Event.FromString(wire.event(values, 0, TIME)[wire.HEADER : -wire.FOOTER]).summary.value)


def limited(program: str, folder: Path) -> str:
    """Return what a program prints that can limit the size of its files."""
    begin = f"""
import errno, resource
from accel_track.trackers.tensorboard import wire
from accel_track.trackers.tensorboard.file import EventFile

folder = {str(folder)!r}
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft if size is None else size, hard))

def scalar(step):
    return wire.numbers_event({{"loss": step / 8}}, step, {TIME} + step)
"""
    command = [sys.executable, "-c", begin + program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("length", [*range(20), 255, 1023, 1024, 1025, 1027, 1028, 2048, 5000])
def test_both_checksums_are_tensorboards(length: int) -> None:
    data = os.urandom(length)
    expected = pywrap_tensorflow.crc32c(data)
    assert crc.crc32c(data) == expected
    assert crc.with_numpy(data) == expected
    assert crc.masked(expected) == pywrap_tensorflow.masked_crc32c(data)


@pytest.mark.parametrize("state", ["missing", "pure", "pure, and warnings are errors"])
def test_without_the_checksum_in_c_numpy_has_it(state: str, tmp_path: Path) -> None:
    package = tmp_path / "google_crc32c.py"
    package.write_text(
        "raise ImportError"
        if state == "missing"
        else "import warnings; warnings.warn('slow', RuntimeWarning)\n"
        "implementation = 'python'\ndef value(data): raise SystemExit('slow')\n"
    )
    code = (
        "from accel_track.trackers.tensorboard import checksums as crc; assert crc.crc32c is crc.with_numpy\n"
        "assert crc.crc32c(b'123456789') == 0xE3069283"
    )
    options = ["-W", "error::RuntimeWarning"] if "errors" in state else []
    path = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", ""), *sys.path))
    subprocess.run(
        [sys.executable, *options, "-c", code], check=True, timeout=60, env={**os.environ, "PYTHONPATH": path}
    )


@pytest.mark.parametrize("step", [None, 0, 1, 127, 128, 2**31, 2**62, 2**63 - 1])
@pytest.mark.parametrize("values", [{"loss": 0.5}, {"": 1.0, "größe/ß": -0.0, "x" * 300: 1e-45}, {"a": 3, "b": True}])
def test_an_event_is_what_protobuf_makes_of_it(step: int | None, values: dict[str, float]) -> None:
    event = wire.numbers_event(values, step, TIME)
    assert event is not None
    data = event[wire.HEADER : -wire.FOOTER]
    parsed = Event.FromString(data)
    assert parsed.SerializeToString() == data
    assert (parsed.step, parsed.wall_time) == (step or 0, TIME)
    stored = [(one.tag, one.simple_value) for one in parsed.summary.value]
    assert stored == [(name, struct.unpack("<f", struct.pack("<f", value))[0]) for name, value in values.items()]
    assert event == wire.event([wire.number(*item) for item in values.items()], step, TIME)


def test_numbers_beyond_32_bits_and_what_is_no_number() -> None:
    assert wire.numbers_event({"loss": 1e300}, 0, TIME) is None
    assert wire.numbers_event({"loss": 10**400}, 0, TIME) is None
    assert wire.numbers_event({"loss": "low"}, 0, TIME) is None
    summary = Event.FromString(wire.event([wire.number("loss", -1e300)], 0, TIME)[wire.HEADER : -wire.FOOTER]).summary
    assert summary.value[0].simple_value == float("-inf")


def test_half_a_surrogate_pair_in_a_name() -> None:
    event = scalar(1, **{"a\ud800": 0.5})
    assert Event.FromString(event[wire.HEADER : -wire.FOOTER]).summary.value[0].tag == "a\\ud800"


def test_text_and_hyperparameters_are_those_of_summary_writer() -> None:
    (answer,) = parsed([text_value("answer", "größe")])
    assert [answer] == list(text("answer", "größe").value)
    config = {"lr": 0.1, "layers": 3, "bias": True, "name": "größe", "list": "[1, 2]"}
    _, *theirs = [summary.value[0] for summary in hparams(config, {})]  # without the Experiment
    for one, other in zip(parsed([session_start(config), session_end()]), theirs, strict=True):
        assert one.tag == other.tag
        assert one.metadata.plugin_data.plugin_name == other.metadata.plugin_data.plugin_name
        contents = [HParamsPluginData.FromString(value.metadata.plugin_data.content) for value in (one, other)]
        assert contents[0] == contents[1]


def test_hyperparameters_that_are_no_floats_are_texts() -> None:
    (start,) = parsed([session_start({"none": None, "huge": 10**400})])
    stored = HParamsPluginData.FromString(start.metadata.plugin_data.content).session_start_info.hparams
    assert {name: value.string_value for name, value in stored.items()} == {"none": "None", "huge": str(10**400)}


def test_a_files_name_and_first_event(tmp_path: Path) -> None:
    one, two = EventFile(str(tmp_path / "a" / "b")), EventFile(str(tmp_path / "a" / "b"), ".mine")
    pattern = rf"events\.out\.tfevents\.\d{{10}}\.{re.escape(socket.gethostname())}\.{os.getpid()}\.\d+"
    assert re.fullmatch(pattern, one.path.name)
    assert re.fullmatch(rf"{pattern}\.mine", two.path.name)
    assert steps(one.path) == steps(two.path) == []
    for file in (one, two):
        file.close()


def test_a_file_that_is_there_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tensorboard_file, "time", SimpleNamespace(time=lambda: TIME))
    monkeypatch.setattr(_tensorboard_file, "_numbers", iter((1, 1, 1, 2)))
    one, two = EventFile(str(tmp_path)), EventFile(str(tmp_path))
    one.append(scalar(1))
    assert [steps(file.path) for file in (one, two)] == [[1], []]
    for file in (one, two):
        file.close()


def test_a_file_takes_events_after_it_was_closed(tmp_path: Path) -> None:
    file = EventFile(str(tmp_path))
    file.append(scalar(1))
    file.close()
    file.append(scalar(2))
    file.close()
    file.close()
    assert steps(file.path) == [1, 2]
    assert len(list(tmp_path.glob("events*"))) == 1


@pytest.mark.parametrize("closed", [False, True])
def test_a_file_that_somebody_deletes(tmp_path: Path, closed: bool) -> None:
    """What is appended afterwards is in another file, with its folder, and TensorBoard's reader finds it there."""
    file = EventFile(str(tmp_path / "run"))
    file.append(scalar(1))
    earlier = file.path
    if closed:
        file.close()
    shutil.rmtree(tmp_path / "run")
    with pytest.warns(AccelTrackWarning, match=rf"deleted {re.escape(str(earlier))}; further values are in"):
        file.append(scalar(2))
    file.append(scalar(3))
    file.close()
    assert file.path != earlier
    assert steps(file.path) == [2, 3]


def test_threads_write_whole_events(tmp_path: Path) -> None:
    file = EventFile(str(tmp_path))

    def write(first: int) -> None:
        for step in range(first, first + 200):
            file.append(scalar(step, loss=0.5, accuracy=0.25) + scalar(step + 10_000))

    threads = [threading.Thread(target=write, args=(1000 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    file.close()
    found = steps(file.path)
    assert sorted(found) == sorted(
        one
        for number in range(4)
        for step in range(200)
        for one in (1000 * number + step, 1000 * number + step + 10_000)
    )
    assert all(found[place + 1] == found[place] + 10_000 for place in range(0, len(found), 2))


def test_a_torn_tail_at_every_byte(tmp_path: Path) -> None:
    file = EventFile(str(tmp_path))
    file.append(scalar(1) + scalar(2))
    whole = file.path.stat().st_size
    file.append(scalar(3, loss=0.5, accuracy=0.25))
    file.close()
    content = file.path.read_bytes()
    for size in range(whole, len(content)):
        file.path.write_bytes(content[:size])
        assert steps(file.path) == [1, 2]
        assert len(list(events(file.path.read_bytes()))) == 3
        delivered = Delivered(tmp_path)
        assert delivered.has(scalar(2), 2, TIME + 2)
        assert not delivered.has(scalar(3, loss=0.5, accuracy=0.25), 3, TIME + 3)


def test_a_full_disk_loses_and_doubles_nothing(tmp_path: Path) -> None:
    program = """
file = EventFile(folder)
file.append(scalar(0))
refused = 0
for step in range(1, 40, 2):
    size = file.path.stat().st_size
    events = scalar(step) + scalar(step + 1)
    for room in (0, 1, len(events) // 2, len(events) - 1):
        limit(size + room)
        try:
            file.append(events)
        except OSError as error:
            assert error.errno == errno.EFBIG
            refused += 1
        assert file.path.stat().st_size == size
    limit(None)
    file.append(events)
print(refused)
"""
    assert limited(program, tmp_path) == "80\n"
    (path,) = tmp_path.glob("events*")
    assert steps(path) == list(range(41))


def test_a_disk_without_room_for_a_new_file_gets_none(tmp_path: Path) -> None:
    program = """
limit(10)
try:
    EventFile(folder)
except OSError as error:
    print(error.strerror)
"""
    assert limited(program, tmp_path) == "File too large\n"
    assert list(tmp_path.glob("events*")) == []


def test_a_part_that_could_not_be_taken_away_is_before_the_next_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = EventFile(str(tmp_path))
    file.append(scalar(1))
    size = file.path.stat().st_size
    write = os.write

    def part(number: int, data: bytes) -> int:
        if file.path.stat().st_size == size:
            return write(number, bytes(data)[:7])
        raise OSError(28, "No space left on device")

    def broken(*_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", part)
        patched.setattr(os, "ftruncate", broken)
        for _ in range(2):
            with pytest.raises(OSError, match="Input/output error"):
                file.append(scalar(2))
    assert file.path.stat().st_size == size + 7
    file.append(scalar(2))
    file.close()
    assert steps(file.path) == [1, 2]


def test_what_a_folder_has_is_known_over_several_files(tmp_path: Path) -> None:
    for first in (0, 3, 6):
        file = EventFile(str(tmp_path))
        file.append(b"".join(scalar(step) for step in range(first, first + 3)))
        file.close()
    (tmp_path / "events.out.tfevents.0000000001.empty.1.0").touch()
    delivered = Delivered(tmp_path)
    assert [delivered.has(scalar(step), step, TIME + step) for step in range(11)] == [True] * 9 + [False] * 2
    assert not delivered.has(scalar(3, loss=9.0), 3, TIME + 3)
    delivered.rewind(4)
    delivered.rewind(7)
    assert [delivered.has(scalar(step), step, TIME + step) for step in range(9)] == [True] * 4 + [False] * 5


def test_a_folder_without_files_has_nothing(tmp_path: Path) -> None:
    assert not Delivered(tmp_path / "none").has(scalar(1), 1, TIME)


def test_only_so_many_of_the_newest_events_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(found, "_MOST", 10)
    for first in (0, 5):
        file = EventFile(str(tmp_path))
        file.append(b"".join(scalar(step) for step in range(first, first + 5)))
        file.close()
    file = EventFile(str(tmp_path))
    file.append(b"".join(scalar(step) for step in range(10, 45)))
    file.close()
    delivered = Delivered(tmp_path)
    known = [step for step in range(45) if delivered.has(scalar(step), step, TIME + step)]
    assert known == list(range(35, 45))


def test_many_events_are_looked_through_in_little_memory(tmp_path: Path) -> None:
    file = EventFile(str(tmp_path))
    for first in range(0, 200_000, 1000):
        file.append(b"".join(scalar(step) for step in range(first, first + 1000)))
    file.close()
    code = """if True:
        import resource, sys
        from pathlib import Path
        import numpy
        from accel_track.trackers.tensorboard.events import Delivered
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        delivered = Delivered(Path(sys.argv[1]))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=90)
    assert int(done.stdout) < 30_000  # KiB, most of it pages of the file, which is 11 MB
