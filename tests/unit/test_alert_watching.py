"""The watcher of alerts, looked at step by step in this process, where it has no thread and no companion."""

from collections.abc import Callable
from typing import Any

import pytest

import accel_track
from accel_track.alerts import watching
from accel_track.alerts.noted import Notes
from accel_track.alerts.watching import Watched, Watching
from accel_track.journal.directory import RunDirectory
from accel_track.outcome import Outcome
from accel_track.views.content import Content

NAN, FAILED = "nan", Outcome("failed", "ValueError: no good")


class Sent:
    """In place of the services: what they were given, all of which they have sent at once."""

    problem = None

    def __init__(self, run: str, sent: Callable[[str], None]) -> None:
        self.run, self.sent, self.got = run, sent, list[str]()

    def send(self, id: str, alert: Any) -> None:  # noqa: A002 - as in the class that it stands for
        self.got.append(alert.title)
        self.sent(id)

    def close(self, timeout: float) -> None:
        self.got.append("closed")


@pytest.fixture(autouse=True)
def _services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "wanted", lambda: True)
    monkeypatch.setattr(watching, "Services", Sent)


def begin() -> Any:
    return accel_track.init("p", None, project_dir="runs", run_name="r", delivery="none")


def watcher(run: RunDirectory, *rules: str) -> Any:
    return Watching(run, 0, Watched(rules, 0, 1))


def recorded(run: RunDirectory) -> list[str]:
    found = Content(run)
    found.update()
    return [alert["title"] for alert in found.alerts]


def test_what_was_raised_or_sent_is_so_no_second_time() -> None:
    """Also by a watcher that is started again, behind one that was killed."""
    run = begin()
    first = watcher(run.run_directory, NAN, "loss > 10 for 3 steps")
    run.log({"loss": float("nan")}, 0)
    run.alert("by hand", "of the program")
    first._look()
    first._look()
    assert first._services.got == [NAN, "by hand"]
    for step in range(1, 5):
        run.log({"loss": 11.0}, step)
    again = watcher(run.run_directory, NAN, "loss > 10 for 3 steps")
    again._look()
    assert again._services.got == ["loss > 10 for 3 steps"]
    run.rewind(1)
    run.log({"loss": float("nan")}, 1)
    again._look()
    assert again._services.got[1:] == [NAN]
    run.finish()


def test_silence_is_told_once_and_not_of_a_run_that_has_ended() -> None:
    run = begin()
    run.log({"loss": 1.0}, 0)
    one = watcher(run.run_directory, "no step for 0.01 s")
    one._look()
    one._evaluation._clock = lambda: one._evaluation._moved + 1.0
    one._look()
    one._look()
    assert one._services.got == ["no step for 0.01 s"]
    run.finish()
    other = watcher(run.run_directory, "no step for 0.01 s")
    other._evaluation._clock = lambda: other._evaluation._moved + 1.0
    other._look()
    assert other._services.got == []


def test_a_run_that_was_killed_gets_its_last_alerts_into_the_journal() -> None:
    """Once, and not before the process that trains has let go of the run."""
    run = begin()
    run.log({"loss": float("nan")}, 0)
    one = watcher(run.run_directory, NAN, "failed")
    one.conclude(FAILED)
    one.conclude(Outcome("finished"))
    one._look()
    assert one._services.got == [NAN, "the run has failed"]
    one.record(0.0)
    assert recorded(run.run_directory) == []
    run.finish()
    one.record(10.0)
    one.record(10.0)
    assert recorded(run.run_directory) == [NAN, "the run has failed"]
    again = watcher(run.run_directory, NAN, "failed")
    again.conclude(FAILED)
    again.record(0.0)
    assert again._services.got == []
    assert recorded(run.run_directory) == [NAN, "the run has failed"]
    assert [note.ended for note in Notes(run.run_directory.rank(0)).read() if note.ended] == [1, 1]


def test_a_thread_looks_until_it_is_closed() -> None:
    run = begin()
    one = watcher(run.run_directory, NAN)
    one.start()
    run.log({"loss": float("nan")}, 0)
    while not one._services.got:
        one._thread.join(0.01)
    one.close(1.0)
    one._thread.join(10)
    assert not one._thread.is_alive()
    assert one._services.got == [NAN, "closed"]
    assert one.problem is None
    run.finish()
