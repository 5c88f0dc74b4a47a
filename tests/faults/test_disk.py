"""A disk that is full or read-only, files that are damaged: training continues, and what is whole is read."""

import itertools
import json
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from accel_track.delivery.settings import Settings
from accel_track.delivery.sources import LiveSource
from accel_track.errors import AccelTrackWarning
from accel_track.journal import frames
from accel_track.journal.cursor import Cursor
from accel_track.journal.reader import JournalReader
from accel_track.journal.writer import JournalWriter
from accel_track.records import Metrics
from accel_track.registry import select
from accel_track.run import Run
from accel_track.testing import RecordingTracker
from tests.support.processes import accel_track
from tests.support.runs import only_run


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a file system of 1 MiB; needs the right to mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def steps(tracker: RecordingTracker) -> list[int]:
    """Return the steps that a tracker was given."""
    return [call[2] for call in tracker.calls if call[0] == "log"]


def test_a_full_disk(small_disk: Path) -> None:
    tracker = RecordingTracker()
    run = Run(select(tracker), project="p", directory=small_disk, settings=Settings.of())
    with pytest.warns(AccelTrackWarning, match=r"journal: cannot write to .*No space left on device.*training goes on"):
        for step in range(8000):
            run.log({"loss": step / 8, "text": "x" * 200}, step)
        run.flush()
    run.finish()
    assert steps(tracker) == list(range(8000))
    assert tracker.calls[-1] == ("finish",)
    on_disk = [record.step for record in JournalReader(only_run(small_disk).rank()) if isinstance(record, Metrics)]
    assert 1000 < len(on_disk) < 8000
    assert on_disk == list(range(len(on_disk)))


def test_room_that_comes_back(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(700_000))
    tracker = RecordingTracker()
    run = Run(select(tracker), project="p", directory=small_disk, settings=Settings.of())
    with pytest.warns(AccelTrackWarning, match="cannot write"):
        for step in range(3000):
            if step == 2000:
                ballast.unlink()
            run.log({"loss": step / 8, "text": "x" * 200}, step)
        run.flush()
    run.finish()
    assert steps(tracker) == list(range(3000))
    on_disk = [record.step for record in JournalReader(only_run(small_disk).rank()) if isinstance(record, Metrics)]
    assert on_disk[-1] == 2999
    assert on_disk == sorted(set(on_disk))


def test_a_disk_that_becomes_read_only(small_disk: Path) -> None:
    writer = JournalWriter(small_disk / "rank-00000", segment_size=4096)
    source = LiveSource(writer, Cursor())
    for command in (["--bind", str(small_disk)], ["-o", "remount,bind,ro"]):
        writer.metrics({"loss": 0.5}, 0, {})
        subprocess.run(["mount", *command, str(small_disk)], check=True)
    try:
        with pytest.warns(AccelTrackWarning, match="Read-only file system"):
            for step in range(1, 500):
                writer.metrics({"loss": step / 8}, step, {})
        found = [entry.record for entry in source.read(1000)]
        assert [record.seq for record in found] == list(range(501))
        assert 0 < len(writer.kept) < 500, "what still fits is on disk, the rest in memory"
    finally:
        subprocess.run(["umount", "-l", str(small_disk)], check=True)
        writer.close()


def test_a_working_directory_that_cannot_be_written_to(program: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "cwd" / ".accel_track").write_text("a file where the folder would be")
    process = program("""
import json
from accel_track.delivery.sources import LiveSource
from accel_track.delivery.settings import Settings
from accel_track.registry import select
from accel_track.run import Run
from accel_track.testing.doubles import RecordingTracker

tracker = RecordingTracker()
run = Run(select(tracker), project="p", settings=Settings.of())
for step in range(500):
    run.log({"loss": step / 8}, step)
run.finish()
print(json.dumps([call[2] for call in tracker.calls if call[0] == "log"]))
""")
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert json.loads(out) == list(range(500))
    assert "journal: cannot write to" in errors


@pytest.mark.first(2)
@pytest.mark.parametrize("seed", range(10))
def test_flipped_bytes_and_cuts(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    run = Run([], project="p", directory=tmp_path, settings=Settings.of(delivery="none"))
    for step in range(300):
        run.log({"loss": step / 8, "text": "y" * chance.randrange(100)}, step)
    run.finish()
    (segment,) = only_run(tmp_path).rank().glob("*.seg")
    data = bytearray(segment.read_bytes())
    ends = [frames.HEADER.size]
    while ends[-1] < len(data):
        payload = frames.payload_at(data, ends[-1])
        assert payload is not None
        ends.append(ends[-1] + frames.FRAME.size + len(payload))
    cut = chance.randrange(frames.HEADER.size, len(data))
    flips = {chance.randrange(frames.HEADER.size, cut) for _ in range(20)}
    for place in flips:
        data[place] ^= 1 << chance.randrange(8)
    segment.write_bytes(data[:cut])
    whole = [
        number
        for number, (begin, end) in enumerate(itertools.pairwise(ends))
        if end <= cut and not any(begin <= place < end for place in flips)
    ]
    reader = JournalReader(segment.parent)
    assert [record.step for record in reader if isinstance(record, Metrics)] == whole
    damaged = sum(one.length for one in reader.damages) + reader.torn
    assert damaged == cut - ends[0] - sum(ends[number + 1] - ends[number] for number in whole)
    shown = accel_track("verify", only_run(tmp_path).path, check=1)
    assert "damaged" in shown.stdout
    assert accel_track("export", only_run(tmp_path).path, "--format", "csv", check=1).stdout.count(",loss,") == len(
        whole
    )
