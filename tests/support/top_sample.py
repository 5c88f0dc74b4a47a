"""The screen of `accel-track top` in docs/commands/watch.md: `python -m tests.support.top_sample` writes it."""

import contextlib
import math
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from accel_track.cli._top_screen import View, screen
from accel_track.journal import cursor as cursors
from accel_track.journal.cursor import Cursor
from accel_track.journal.directory import RunDirectory
from accel_track.journal.info import TrackerInfo
from accel_track.journal.past import PastWriter
from accel_track.journal.reader import JournalReader
from accel_track.records import Alert
from accel_track.views.running.activity import Activity
from tests.support.cli_samples import DOCS, placed

PAGE = DOCS / "commands" / "watch.md"
NOW = 1_795_000_000.0


@contextlib.contextmanager
def running(folder: Path, name: str, run_id: str, steps: int, a_second: float, pending: int) -> Iterator[RunDirectory]:
    """Make a run that has begun in the past, and hold the lock that says that it is running."""
    run = RunDirectory.create(folder, "digits", name, ["train.py"], run_id)
    begun = NOW - 1 - steps / a_second
    info = run.load()
    info.created, info.host, info.trackers = begun, "gpu-7", {"tensorboard": TrackerInfo(), "mlflow": TrackerInfo()}
    run.save(info)
    journal = PastWriter(run.rank(), begun)
    journal.config({"lr": 0.001, "max_steps": 50_000})
    for step in range(0, steps + 1, 50):
        journal.moment = begun + step / a_second
        noise = 0.1 * math.sin(step * 7.0)
        journal.metrics({"train/loss": 2.5 * math.exp(-step / 9000) + 0.2 + noise, "lr": 0.001}, step, {})
        if step % 500 == 0:
            system = {"cpu_percent": 38.0, "memory_percent": 61.0, "process_memory_gb": 7.9}
            system |= {"gpu0/utilization_percent": 97.0, "gpu0/memory_percent": 74.0}
            journal.metrics({f"system/{key}": value for key, value in system.items()}, step, {})
    journal.moment = begun + 1000 / a_second
    said = Alert("the warm-up is over", "the learning rate is 0.001 from here on")
    journal.metrics(said.values, None, {}, alert=said)
    count = journal.next_seq
    journal.close()
    run.cursor("mlflow").parent.mkdir()
    cursors.save(run.cursor("tensorboard"), Cursor(seq=count, delivered=count))
    reader = JournalReader(run.rank())
    had = len(reader.read(count - pending))
    cursors.save(run.cursor("mlflow"), Cursor(*reader.position, seq=had, delivered=had))
    lock = run.claim_run()
    assert lock is not None
    try:
        yield run
    finally:
        lock.release()


def sample(folder: Path) -> str:
    """Return the screen of three runs, at 80 columns and 24 lines."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    try:
        with (
            running(folder / "runs", "wide", "20261118-112640-3f9a2c", 24_600, 31.0, 0),
            running(folder / "runs", "deep", "20261118-113102-77d01e", 9_450, 17.5, 0),
            running(folder / "runs", "deep-slow-lr", "20261118-114213-c04b58", 3_300, 16.9, 21),
        ):
            activity = Activity(folder / "runs", lambda _: None, clock=lambda: NOW)
            for _ in activity.refresh():
                pass
            activity.directory = Path("runs")
            return "\n".join(line.plain.rstrip() for line in screen(activity, View(), 80, 24)) + "\n"
    finally:
        os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
        time.tzset()


def page(text: str, folder: Path) -> str:
    """Return the page with the screen in its place."""
    return placed(text, "top", sample(folder), "tests.support.top_sample")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), Path(made)), encoding="utf-8")
