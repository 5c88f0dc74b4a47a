"""Every record is in one number, everywhere: the closing report, the cursor, `ls`, `show` and `sync`."""

import threading
import time
import warnings
from pathlib import Path

import pytest

from accel_track.delivery.settings import Settings
from accel_track.delivery.status import records, status_of
from accel_track.delivery.sync import Sync
from accel_track.errors import AccelTrackWarning
from accel_track.journal import cursor as cursors
from accel_track.registry import LOGGER_TYPE_TO_CLASS, select
from accel_track.run import Run
from accel_track.testing import FaultyTracker, RecordingTracker
from accel_track.trackers.base import GeneralTracker


class Picky(RecordingTracker):
    """Refuses some records, does not know others' values, keeps no checkpoints."""

    name = "picky"
    log_checkpoint = GeneralTracker.log_checkpoint

    def log(self, values, step=None, **kwargs):
        if "bad" in values:
            raise ValueError("bad")
        if "odd" in values:
            self.drop("odd", values["odd"])
        super().log(values, step)


class Undurable(Picky):
    """Stores nothing before its end."""

    name = "undurable"
    durable_flush = False


class Vanishing(Undurable):
    """Its SDK's own process is gone after five records, and nothing that waits for it comes back."""

    name = "vanishing"

    def log(self, values, step=None, **kwargs):
        if step is not None and step >= 5:
            time.sleep(0.02)
            raise ConnectionResetError
        super().log(values, step)

    def finish(self):
        time.sleep(3)


@pytest.fixture(autouse=True)
def _known(monkeypatch):
    for cls in (Picky, Undurable, Vanishing):
        monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, cls.name, cls)


def finished(log_with, values, delivery="thread", finish_timeout=20.0, checkpoint=False):
    settings = Settings.of(delivery=delivery, finish_timeout=finish_timeout)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AccelTrackWarning)
        run = Run(select(log_with, "logs"), project="p", directory="logs", settings=settings)
        for step, one in enumerate(values):
            run.log(one, step)
        if checkpoint:
            Path("some.ckpt").touch()
            run.log_checkpoint("some", "some.ckpt")
        run.finish()
    return run


GOOD, BAD, ODD = {"loss": 0.5}, {"bad": 1}, {"loss": 0.5, "odd": [1]}


@pytest.mark.parametrize(
    ("log_with", "values", "more", "expected"),
    [
        ("picky", [GOOD] * 5, {}, "picky 5 records delivered."),
        ("picky", [GOOD, BAD, GOOD], {}, "picky: 2 delivered, 1 quarantined"),
        ("undurable", [GOOD, BAD, GOOD], {}, "undurable: 2 delivered, 1 quarantined"),
        ("picky", [BAD] * 40, {"finish_timeout": 0.2}, "picky: 0 delivered, 40 pending (ValueError: bad)"),
        ("undurable", [BAD] * 40, {"finish_timeout": 0.2}, "undurable: 0 delivered, 40 pending (ValueError: bad)"),
        ("picky", [GOOD, ODD, ODD], {}, "picky: 3 delivered, 2 values dropped"),
        ("picky", [GOOD], {"checkpoint": True}, "picky: 2 delivered, 1 checkpoint not kept there"),
        ("tensorboard", [GOOD], {"checkpoint": True}, "tensorboard: 2 delivered, 1 checkpoint not kept there"),
        ("tensorboard", [GOOD] * 9, {"delivery": "process"}, "tensorboard 9 records delivered."),
        ("picky", [GOOD] * 9, {"delivery": "none"}, ""),
    ],
)
def test_the_numbers_add_up_everywhere(log_with, values, more, expected, capsys):
    run = finished(log_with, values, **more)
    told = capsys.readouterr().err
    assert expected in told
    assert bool(expected) == bool(told)
    assert "refused again with: accel-track sync" in told if " quarantined" in expected else "--quarantined" not in told
    directory, count = run.run_directory, len(values) + bool(more.get("checkpoint"))
    assert directory is not None
    assert records(directory) == {0: count}
    seen = status_of(directory, log_with, {0: count})
    cursor = cursors.load(directory.cursor(log_with))
    planned = Sync(directory).status(log_with)
    assert seen.delivered + seen.pending + seen.quarantined + seen.not_replayable + seen.under_way == count
    for found in (planned, seen):
        assert (found.delivered, found.quarantined) == (cursor.delivered, cursor.quarantined)
    assert planned.delivered + planned.pending + planned.quarantined + planned.not_replayable == count


def test_while_a_run_goes_on_what_is_not_stored_yet_is_under_way():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AccelTrackWarning)
        run = Run(select("undurable"), project="p", settings=Settings.of())
        for step in range(20):
            run.log(GOOD, step)
        run.flush()
        assert run.run_directory is not None
        seen = status_of(run.run_directory, "undurable", {0: 20})
        assert (seen.delivered, seen.pending, seen.under_way) == (0, 0, 20)
        run.finish()
    assert status_of(run.run_directory, "undurable", {0: 20}).delivered == 20


def test_what_an_sdk_had_that_is_gone_is_not_delivered(capsys):
    run = finished("vanishing", [GOOD] * 20, finish_timeout=1.0)
    assert "vanishing: 0 delivered, 20 pending (ConnectionResetError)" in capsys.readouterr().err
    assert status_of(run.run_directory, "vanishing", {0: 20}).delivered == 0


def test_what_hangs_in_its_end_is_not_delivered(capsys, monkeypatch):
    go, gone = threading.Event(), threading.Event()
    monkeypatch.setattr(Undurable, "finish", lambda _: (go.wait(20), gone.set()))
    finished("undurable", [GOOD] * 20, finish_timeout=1.0)
    assert "undurable: 0 delivered, 20 pending" in capsys.readouterr().err
    go.set()
    assert gone.wait(20)


def test_an_end_that_fails_is_told(capsys):
    finished(FaultyTracker("finish"), [GOOD] * 20)
    assert "faulty: 20 delivered, not finished (RuntimeError: faulty on purpose)" in capsys.readouterr().err


def test_an_end_that_is_still_waited_for_is_told(capsys, monkeypatch):
    go = threading.Event()
    monkeypatch.setattr(FaultyTracker, "finish", lambda _: go.wait(20))
    finished(FaultyTracker(), [GOOD] * 20, finish_timeout=1.0)
    assert "faulty: 20 delivered, not finished" in capsys.readouterr().err
    go.set()


def test_what_no_command_can_make_is_not_advised(capsys):
    finished([FaultyTracker("log"), "picky"], [BAD] * 4, finish_timeout=0.2)
    told = capsys.readouterr().err
    assert "faulty was passed as an object" in told
    assert "Deliver what is pending with: accel-track sync" in told  # for the other one
