"""What a directory's runs are doing: found, followed, their pace, load and delivery; by a clock that the test moves."""

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel_track.delivery.settings import Settings
from accel_track.journal import cursor as cursors
from accel_track.journal.cursor import Cursor
from accel_track.journal.directory import RunDirectory, find_runs
from accel_track.journal.info import RunInfo, TrackerInfo
from accel_track.journal.past import PastWriter
from accel_track.registry import select
from accel_track.run import Run
from accel_track.views.content import Content
from accel_track.views.metric import Points
from accel_track.views.running.activity import Activity, Watched
from accel_track.views.running.load import LoadMeter
from accel_track.views.running.pace import Pace, pace_of, total_steps

NOW = 1_000_000.0


class Clock:
    """Seconds since 1970-01-01 UTC, as a test has them."""

    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(clock: Clock) -> Callable[..., Activity]:
    def watch(**more: Any) -> Activity:
        return Activity(Path(), lambda _: None, clock=clock, **more)

    return watch


@pytest.fixture
def begin() -> Iterator[Callable[..., Run]]:
    with ExitStack() as stack:

        def begin(log_with: Any = None, **more: Any) -> Run:
            run = Run(
                select(log_with, "runs"), project="p", directory="runs", settings=Settings.of(delivery="none"), **more
            )
            stack.callback(run.finish)
            return run

        yield begin


@pytest.fixture
def past() -> Iterator[Callable[..., PastWriter]]:
    """Return a function that begins a run, with the lock of one that is running, whose records have given times."""
    with ExitStack() as stack:

        def past(moment: float = NOW) -> PastWriter:
            run = RunDirectory.create("runs", "p", None, [])
            lock = run.claim_run()
            assert lock is not None
            stack.callback(lock.release)
            return PastWriter(run.rank(), moment)

        yield past


def looked(activity: Activity, *, search: bool = False) -> list[Watched]:
    if search:
        activity.search_soon()
    list(activity.refresh())
    return activity.runs


def curve(*points: tuple[int, float]) -> Points:
    steps, times = zip(*points, strict=True) if points else ((), ())
    return Points(np.array(steps, "i8"), np.array(times, "f8"), np.zeros(len(points)))


EVERY_SECOND = [(10 * number, NOW - 100 + number) for number in range(101)]


@pytest.mark.parametrize(
    ("points", "now", "expected"),
    [
        ([], NOW, (None, None)),
        ([(1, NOW)], NOW, (None, None)),
        (EVERY_SECOND, NOW, (10.0, 10.0)),
        ([*EVERY_SECOND[:50], *((5000 + 2 * i, NOW - 50 + i) for i in range(51))], NOW, (2.0, 51.0)),
        ([(0, NOW - 7200), (60, NOW - 3600)], NOW, (60 / 3600, 60 / 3600)),  # the next point is not late yet
        ([(0, NOW - 72_000), (60, NOW - 68_400)], NOW, (0.0, 60 / 3600)),
        (EVERY_SECOND, NOW + 29, (10.0, 10.0)),
        (EVERY_SECOND, NOW + 31, (0.0, 10.0)),
        ([(0, NOW), (5, NOW)], NOW, (None, None)),  # no time between them
        ([(0, NOW), (5, NOW - 10)], NOW, (None, None)),  # a clock that was put back
        ([(9, NOW - 10), (5, NOW)], NOW, (None, None)),
    ],
)
def test_pace(points: list[tuple[int, float]], now: float, expected: tuple[float | None, float | None]) -> None:
    found = pace_of(curve(*points), now)
    assert (found.now, found.mean) == (pytest.approx(expected[0]), pytest.approx(expected[1]))


def test_values_are_counted_where_there_is_no_step() -> None:
    points = curve(*((number * 7, NOW - 20 + number) for number in range(21)))
    assert pace_of(points, NOW, stepped=False) == Pace(pytest.approx(1.0), pytest.approx(1.0), "values")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, None),
        ({"max_steps": 100}, 100),
        ({"trainer": {"max_steps": 1e3, "max_epochs": 3}, "args": {"max_steps": 1000}}, 1000),
        ({"max_steps": 100, "total_steps": 200}, None),
        ({"max_steps": -1, "total_steps": 200}, 200),
        ({"max_steps": "100"}, None),
        ({"max_steps": True}, None),
        ({"max_steps": float("inf")}, None),
        ({"max_steps": 0.5}, None),
    ],
)
def test_total_steps(config: dict[str, Any], expected: int | None) -> None:
    assert total_steps(config) == expected


def test_runs_are_found_and_followed_until_they_have_ended(begin: Any, watch: Any, clock: Clock) -> None:
    activity = watch()
    assert looked(activity) == []
    run = begin(config={"max_steps": 20})
    assert looked(activity) == []  # it searches only now and then
    (one,) = looked(activity, search=True)
    assert one.running
    assert (one.metric(None), one.step, one.share) == (None, None, None)
    for step in range(11):
        run.log({"val": {"loss": 1.0 / (step + 1)}, "lr": 0.1}, step)
    run.log({"note": "half of it"})
    (same,) = looked(activity)
    assert same is one
    assert (one.metric(None), one.step, one.total, one.share) == ("val/loss", 10, 20, 0.5)
    assert one.points("val/loss").steps.tolist() == list(range(11))
    assert one.metric("missing") is None
    run.finish()
    (one,) = looked(activity)
    assert one.outcome is not None
    assert one.outcome.status == "finished"
    assert one.share == 0.5
    assert one.seconds_left is None
    clock.now += 61
    assert looked(activity) == []
    activity.ended = True
    assert looked(activity) == [one]
    clock.now += 3600
    assert looked(activity) == []


def test_ended_runs_of_the_last_hour(begin: Any, watch: Any, clock: Clock) -> None:
    run = begin()
    run.log({"loss": 1.0}, 0)
    run.finish()
    (found,) = find_runs("runs")
    for path in found.rank().glob("*.seg"):
        os.utime(path, (NOW - 3500, NOW - 3500))
    assert looked(watch()) == []
    activity = watch(ended=True)
    (one,) = looked(activity)
    assert one.points("loss").values.tolist() == [1.0]
    clock.now += 200
    assert looked(activity) == []
    assert looked(watch(ended=True)) == []


def test_a_run_that_goes_on_is_running_again(begin: Any, watch: Any) -> None:
    begin(name="one").finish()
    activity = watch(ended=True)
    (found,) = find_runs("runs")
    os.utime(next(found.rank().glob("*.seg"), found.path), (NOW, NOW))
    looked(activity, search=True)
    lock = found.claim_run()
    assert lock is not None
    (one,) = looked(activity, search=True)
    assert one.running
    lock.release()


def test_the_newest_is_above_and_ended_ones_below(begin: Any, watch: Any) -> None:
    runs = [begin(name=name) for name in ("a", "b", "c")]
    activity = watch()
    assert [one.info.name for one in looked(activity)] == ["c", "b", "a"]
    runs[1].finish()
    assert [one.info.name for one in looked(activity)] == ["c", "a", "b"]


def test_points_are_kept_of_what_is_shown_only(begin: Any, watch: Any) -> None:
    run, activity = begin(), watch()
    for step in range(10):
        run.log({f"metric{number}": float(step) for number in range(5)}, step)
    for step in range(3):
        run.log({"late_loss": 1.0}, step)
    (one,) = looked(activity)
    assert one.metric(None) == "late_loss"
    assert {name for name in one.content.metrics if len(one.points(name).values)} == {"metric0", "late_loss"}
    assert one.pace.mean is not None
    activity.wanted = "metric3"
    (one,) = looked(activity)
    assert one.points("metric3").values.tolist() == list(range(10))
    run.log({"metric3": 11.0}, 11)
    looked(activity)
    assert one.points("metric3").values.tolist() == [*range(10), 11]


def test_a_rewind_takes_back_points(begin: Any, watch: Any) -> None:
    run, activity = begin(), watch()
    for step in range(10):
        run.log({"loss": 1.0}, step)
    looked(activity)
    run.rewind(4)
    run.log({"loss": 2.0}, 4)
    (one,) = looked(activity)
    assert one.points("loss").values.tolist() == [1.0] * 4 + [2.0]
    assert one.step == 4


def test_lag_is_that_of_the_oldest_pending_record(past: Any, watch: Any, clock: Clock) -> None:
    """At first by the journal, then by the looks before; to about the time between two."""
    journal = past(NOW - 50)
    (run,) = find_runs("runs")
    info = run.load()
    info.trackers = {"slow": TrackerInfo()}
    run.save(info)
    run.cursor("slow").parent.mkdir()

    def log(count: int) -> None:
        for _ in range(count):
            journal.metrics({"loss": 1.0}, journal.next_seq, {})
        journal._flush()

    def lag() -> tuple[int, float | None]:
        (one,) = looked(activity)
        return one.trackers["slow"].pending, one.trackers["slow"].lag

    activity = watch()
    log(10)
    assert lag() == (10, 50.0)
    clock.now += 10
    log(5)
    assert lag() == (15, 60.0)
    cursors.save(run.cursor("slow"), Cursor(seq=10))
    clock.now += 20
    assert lag() == (5, 20.0)
    cursors.save(run.cursor("slow"), Cursor(seq=15))
    assert lag() == (0, None)
    clock.now += 100
    log(1)
    clock.now += 1
    assert lag() == (1, 0.0)
    clock.now += 7
    assert lag() == (1, 7.0)


def test_load_is_what_the_run_has_logged_or_what_its_process_takes(past: Any) -> None:
    journal = past()
    system = {
        "system/cpu_percent": 40.0,
        "system/gpu0/utilization_percent": 90.0,
        "system/gpu1/utilization_percent": 70.0,
    }
    journal.metrics({**system, "system/memory_percent": 5, "loss": 0.1}, 1, {})
    journal._flush()
    (run,) = find_runs("runs")
    content = Content(run)
    content.update()
    info, meter = run.load(), LoadMeter()
    found = meter.look(info, content, NOW + 299)
    assert found is not None
    assert found._asdict() == {
        "source": "run",
        "cpu_percent": 40.0,
        "memory_percent": 5,
        "process_memory_gb": None,
        "gpu_percent": 80.0,
        "gpu_memory_percent": None,
    }
    late = meter.look(info, content, NOW + 301)
    assert late is not None
    assert (late.source, late.cpu_percent) == ("process", None)
    assert late.process_memory_gb is not None
    assert late.process_memory_gb > 0.01
    again = meter.look(info, content, NOW + 301)
    assert again is not None
    assert again.cpu_percent is not None
    for host, pid in (("elsewhere", info.pid), (socket.gethostname(), 0), (info.host, -5), (info.host, 2**70)):
        assert LoadMeter().look(RunInfo("r", "p", 0.0, host=host, pid=pid), content, NOW + 301) is None


def test_a_damaged_run_does_not_hide_the_others(begin: Any, watch: Any) -> None:
    begin(name="good").log({"loss": 1.0}, 0)
    begin(name="bad").log({"loss": 1.0}, 0)
    activity = watch()
    good, bad = sorted(looked(activity), key=lambda one: one.info.name, reverse=True)
    content = (bad.run.path / "run.json").read_bytes()
    (bad.run.path / "run.json").write_text("{")
    looked(activity)
    assert "is damaged" in bad.error
    assert good.error is None
    fresh = watch()
    assert [one.info.name for one in looked(fresh)] == ["good"]
    assert list(fresh.damaged) == [bad.run.path]
    (bad.run.path / "run.json").write_bytes(content)
    assert len(looked(activity)) == 2
    assert bad.error is None
    assert len(looked(fresh)) == 2
    assert fresh.damaged == {}
    segment = next(bad.run.rank().glob("*.seg"))
    segment.write_bytes(b"\x00" * 100 + segment.read_bytes()[50:])
    assert len(looked(watch())) == 2


def test_a_run_that_is_deleted_is_gone(past: Any, watch: Any) -> None:
    past().close()
    activity = watch()
    (one,) = looked(activity)
    shutil.rmtree(one.run.path)
    assert looked(activity, search=True) == []


def test_what_may_not_be_opened_is_not(past: Any) -> None:
    past().close()

    def refuse(_: RunDirectory) -> None:
        raise OSError("it holds a link")

    activity = Activity(Path(), refuse)
    assert looked(activity) == []
    assert list(activity.damaged.values()) == ["it holds a link"]
