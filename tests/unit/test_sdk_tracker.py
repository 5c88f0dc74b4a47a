"""The engine under the trackers of SDKs, with a backend of the test's own."""

import math
import threading
import time
import types
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from accel_track.errors import AccelTrackWarning, NotStartedError
from accel_track.noop import NoOp
from accel_track.records import Metrics
from accel_track.trackers.fast import FastPath, Gate
from accel_track.trackers.rows import Row
from accel_track.trackers.sdk import SDKTracker


class ModulePath(FastPath):
    distribution = "pytest"
    tested = ">=1"
    of_module = True


class RunPath(FastPath):
    distribution = "pytest"
    tested = ">=1"
    attributes = ("rows",)


class ListTracker(SDKTracker):
    """Stores rows one by one in a list of its own, and fails where it is told to."""

    name = "list"
    requires_logging_directory = False
    sdk = "types"
    install = "nothing"
    fast_paths = (ModulePath, RunPath)
    fails_at: float | None = None
    opened = closed = 0
    open_in_time: Sequence[Gate[Any]] = ()

    def open(self, sdk: Any) -> Any:
        self.opened += 1
        self.open_in_time = [gate for gate in (self.fast(ModulePath), self.fast(RunPath)) if gate.fast]
        return sdk.SimpleNamespace(rows=[], **self.init_kwargs)

    def write_row(self, row: Row) -> None:
        for name, value in row.values.items():
            if value == self.fails_at:
                message = "not this one"
                raise ConnectionError(message)
            self.taken.part(name, lambda: self.native.rows.append((row.step, name, value)))  # noqa: B023 - called at once

    def check_arguments(self, step: int | None, kwargs: Any) -> None:
        if kwargs:
            raise TypeError(kwargs)

    def close(self, native: Any) -> None:
        self.closed += 1


class NumbersTracker(ListTracker):
    takes_text = takes_nan = takes_inf = False
    why_finite = "it would store {} as 0"


class BatchTracker(ListTracker):
    """Stores all rows or none."""

    def write(self, rows: Sequence[Row]) -> None:
        if self.fails_at is not None:
            raise ConnectionError
        self.native.rows += [dict(row.values) for row in rows]


class FlushingTracker(ListTracker):
    flushed = 0

    def flush(self) -> None:
        self.flushed += 1
        if self.fails_at is not None:
            raise ConnectionError


def started(cls: type[ListTracker] = ListTracker, **kwargs: Any) -> ListTracker:
    tracker = cls("a run", **kwargs)
    tracker.start()
    return tracker


def test_the_life_of_the_native_object() -> None:
    tracker = started(mode="fast")
    native = tracker.native
    tracker.start()
    assert (tracker.opened, tracker.native, native.mode) == (1, native, "fast")
    assert tracker.open_in_time == [tracker.fast(ModulePath)]
    assert tracker.fast(ModulePath).fast is not None is not tracker.fast(RunPath).fast
    assert tracker.fast(ModulePath).fast.native is types
    tracker.finish()
    tracker.finish()
    assert (tracker.closed, tracker.native) == (1, None)
    assert tracker.fast(ModulePath).fast is tracker.fast(RunPath).fast is None
    with pytest.raises(NotStartedError, match="list: not started, or finished already"):
        tracker.log({"loss": 1.0})


def test_what_fails_to_open_is_not_started() -> None:
    class Closed(ListTracker):
        def open(self, sdk: Any) -> Any:
            raise ConnectionError

    tracker = Closed("a run")
    with pytest.raises(ConnectionError):
        tracker.start()
    assert not tracker.started
    tracker.finish()
    assert tracker.closed == 0


@pytest.mark.parametrize("method", ["start", "log", "flush", "finish"])
def test_a_backend_runs_on_the_main_process_only(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    tracker = FlushingTracker("a run")
    assert getattr(tracker, method)(*[{"loss": 1.0}] if method == "log" else []) is None
    assert (tracker.opened, tracker.flushed, tracker.closed) == (0, 0, 0)
    assert isinstance(tracker.tracker, NoOp)


def test_values_come_flat_and_plain() -> None:
    tracker = started()
    tracker.log({"val": {"loss": 0.5, "deep": {"acc": 1}}, "good": True, "text": "so", "nan": math.inf}, step=3)
    assert tracker.native.rows == [
        (3, "val/loss", 0.5), (3, "val/deep/acc", 1), (3, "good", 1), (3, "text", "so"), (3, "nan", math.inf),
    ]  # fmt: skip
    assert type(tracker.native.rows[2][2]) is int
    assert not tracker.dropped


def test_what_a_backend_does_not_take_is_counted_and_said() -> None:
    tracker = started(NumbersTracker)
    values = {"fine": 0.5, "nan": math.nan, "inf": -math.inf, "text": "so", "none": None, "empty": {}, "huge": 10**400}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", AccelTrackWarning)
        tracker.log(values, step=1)
        tracker.log({"loss": math.nan}, step=2)  # floats alone take a short cut
        tracker.log(values, step=3)
    assert tracker.native.rows == [(1, "fine", 0.5), (3, "fine", 0.5)]
    assert tracker.dropped == {**dict.fromkeys(values.keys() - {"fine"}, 2), "loss": 1}
    messages = [str(one.message) for one in caught]
    assert len(messages) == 7
    assert any("dropped 'nan': it would store nan as 0." in one for one in messages)
    assert any("dropped 'text': the backend takes no str." in one for one in messages)


def records(*values: float) -> list[Metrics]:
    return [Metrics(seq, 1e9 + seq, {"a": value, "b": -value, "none": None}, seq) for seq, value in enumerate(values)]


@pytest.mark.filterwarnings("ignore:list. dropped:accel_track.errors.AccelTrackWarning")
def test_a_batch_that_fails_in_the_middle_goes_on_there() -> None:
    """Each call of the SDK is made once, and each refused value counted once, also of the row that failed half-way."""
    tracker, batch = started(), records(1.0, 2.0, 3.0)
    tracker.fails_at = -2.0
    for _ in range(3):
        with pytest.raises(ConnectionError):
            tracker.log_batch(batch)
    assert [row[:2] for row in tracker.native.rows] == [(0, "a"), (0, "b"), (1, "a")]
    assert tracker.dropped == {"none": 1}
    tracker.fails_at = None
    tracker.log_batch(batch[:2])
    tracker.log_batch(batch[2:])
    assert [row[:2] for row in tracker.native.rows] == [(step, name) for step in range(3) for name in "ab"]
    assert tracker.dropped == {"none": 3}


def test_calls_of_the_worker_and_of_the_program_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value was left out as a part of the other call that was stored already."""
    tracker = started()
    write, begun, written = tracker.write_row, threading.Event(), threading.Event()

    def write_slowly(row: Row) -> None:
        begun.set()
        if row.step == 0:
            written.wait(0.2)
        write(row)
        if row.step == 1:
            written.set()
            time.sleep(0.2)

    monkeypatch.setattr(tracker, "write_row", write_slowly)
    with ThreadPoolExecutor() as worker:
        done = worker.submit(tracker.log_batch, [Metrics(0, 0.0, {"loss": 0.5}, 0)])
        begun.wait(10)
        tracker.log({"loss": 2.0}, step=1)
        done.result()
    assert sorted(tracker.native.rows) == [(0, "loss", 0.5), (1, "loss", 2.0)]


@pytest.mark.filterwarnings("ignore:list. dropped:accel_track.errors.AccelTrackWarning")
def test_a_batch_that_is_stored_as_a_whole() -> None:
    tracker, batch = started(BatchTracker), records(1.0, 2.0)
    tracker.fails_at = 0.0
    with pytest.raises(ConnectionError):
        tracker.log_batch(batch)
    assert not tracker.dropped
    tracker.fails_at = None
    tracker.log_batch(batch)
    assert tracker.native.rows == [{"a": 1.0, "b": -1.0}, {"a": 2.0, "b": -2.0}]
    assert tracker.dropped == {"none": 2}


def test_arguments_are_checked_before_any_row_is_stored() -> None:
    tracker, batch = started(), records(1.0)
    batch.append(Metrics(1, 1e9, {"a": 2.0}, 1, {"list": {"colour": "red"}}))
    with pytest.raises(TypeError, match="colour"):
        tracker.log_batch(batch)
    assert tracker.native.rows == []
    assert not tracker.dropped


@pytest.mark.parametrize("again", [True, False])
def test_a_last_flush_that_fails(again: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is closed all the same, but where the backend's end can be tried again."""
    monkeypatch.setattr(FlushingTracker, "finish_again", again)
    tracker = started(FlushingTracker)
    tracker.fails_at = 0.0
    with pytest.raises(ConnectionError):
        tracker.finish()
    assert (tracker.closed, tracker.started) == ((0, True) if again else (1, False))
    tracker.fails_at = None
    tracker.finish()
    assert (tracker.closed, tracker.started) == (1, False)


def test_a_close_that_fails_leaves_nothing_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ConnectionError

    tracker = started()
    monkeypatch.setattr(tracker, "close", fail)
    with pytest.raises(ConnectionError):
        tracker.finish()
    assert not tracker.started
    assert tracker.fast(RunPath).fast is None
