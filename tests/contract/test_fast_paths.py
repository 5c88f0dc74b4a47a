"""Private parts of SDKs that are gone, and errors in the middle of a batch: the backend's reader has every value once."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from accel_track.errors import AccelTrackWarning
from accel_track.records import Metrics
from accel_track.testing import Readback
from accel_track.trackers.fast import FastPath, Gate
from accel_track.trackers.sdk import SDKTracker
from accel_track.trackers.swanlab.fast import Threads
from tests.contract import test_swanlab, test_trackio, test_wandb

SIZE = 20


class Backend:
    """A tracker that is started, its gates, and what reads its backend."""

    def __init__(self, contract: Any, folder: Path) -> None:
        if isinstance(contract, test_trackio.TestTrackio):
            contract.others = test_trackio.runs()
        self._contract, self._folder = contract, folder
        self.tracker: Any = contract.make(folder)
        self.tracker.start()
        self.sent = 0

    def batch(self, size: int = SIZE) -> list[Metrics]:
        """Return calls with the next numbers: floats, an integer and a text, every other one without the latter."""
        numbers = range(self.sent, self.sent + size)
        self.sent += size
        return [Metrics(i, 1.7e9 + i, {"m": i / 3, "n": i, **({"text": f"t{i}"} if i % 2 else {})}, i) for i in numbers]

    def check(self) -> None:
        """Finish the run, and compare what is stored with what was sent."""
        self.tracker.finish()
        stored: Readback = self._contract.read(self._folder)
        assert stored.metrics["m"] == [(i, pytest.approx(i / 3)) for i in range(self.sent)]
        assert stored.metrics["n"] == [(i, i) for i in range(self.sent)]
        assert stored.texts["text"] == [f"t{i}" for i in range(1, self.sent, 2)]
        assert stored.runs == 1
        assert not self.tracker.dropped


CONTRACTS = {"wandb": test_wandb.TestWandB, "swanlab": test_swanlab.TestSwanLab, "trackio": test_trackio.TestTrackio}


@pytest.fixture(params=list(CONTRACTS))
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    made = Backend(CONTRACTS[request.param](), tmp_path)
    yield made
    made.tracker.finish()


class Without:
    """A native object as a fast path sees it, one of whose parts has another name now."""

    def __init__(self, native: Any, path: str) -> None:
        self.__dict__.update(_native=native, _path=path)

    def __getattr__(self, name: str) -> Any:
        first, _, rest = self._path.partition(".")
        if name != first:
            return getattr(self._native, name)
        if not rest:
            raise AttributeError(name)
        return Without(getattr(self._native, name), rest)


@contextmanager
def importable_without(part: str) -> Iterator[None]:
    """Take away what a fast path imports."""
    module, _, path = part.partition(":")
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(f"{module}.{path}")
        yield


def gates(tracker: SDKTracker) -> list[Gate[Any]]:
    """Return a tracker's gates that are open."""
    return [gate for gate in map(tracker.fast, tracker.fast_paths) if gate.fast is not None]


def test_each_private_part_that_is_gone_leaves_the_rows_to_the_public_call(backend: Backend) -> None:
    """At the start, or in mid-run, with one warning: the rows that are stored are the same, none of them twice."""
    tracker, native = backend.tracker, backend.tracker.native
    opened = gates(tracker)
    assert opened
    for gate in opened:
        path: type[FastPath] = type(gate.fast)
        for part in path.parts:
            with pytest.warns(AccelTrackWarning, match=f"{path.distribution} is not as"), importable_without(part):
                gate.open(native)
            tracker.log_batch(backend.batch(3))
            gate.open(native)
        for attribute in path.attributes:
            with pytest.warns(AccelTrackWarning, match=f"{path.distribution} is not as accel_track knows it") as said:
                gate.open(Without(native, attribute))
                tracker.log_batch(backend.batch(3))
            assert len(said) == 1
            gate.open(native)
        if path is Threads:  # looks at its attributes when a run begins and ends only
            continue
        for attribute in path.attributes:
            if attribute == "_settings.x_history_value_encoding":  # a run's setting does not change
                continue
            gate.fast.native = Without(native, attribute)
            with pytest.warns(AccelTrackWarning, match="public calls"):
                tracker.log_batch(backend.batch(3))
            assert gate.fast is None
            tracker.log_batch(backend.batch(3))
            gate.open(native)
    backend.check()


@pytest.mark.parametrize("backend", ["wandb", "swanlab"], indirect=True)
@pytest.mark.parametrize("public", [False, True])
def test_a_lost_connection_at_any_row_of_a_batch(backend: Backend, public: bool) -> None:
    """The batch is given again, and each of its rows is stored once, in its order."""
    tracker, thread = backend.tracker, None
    if public:
        for gate in gates(tracker):
            gate.close()
        owner, name = type(tracker.native), "log"
    elif tracker.name == "wandb":
        owner, name = type(tracker.native._interface._client), "publish"
    else:  # SwanLab's own threads emit, too
        owner, name, thread = type(tracker.native._components.emitter), "emit", threading.get_ident()
    for place in range(SIZE):
        batch = backend.batch()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, name, failing(getattr(owner, name), place, thread))
            with pytest.raises(ConnectionError):
                tracker.log_batch(batch)
        if place % 2:  # as a worker does once an error does not pass
            tracker.log_batch(batch[:10])
            tracker.log_batch(batch[10:])
        else:
            tracker.log_batch(batch)
    backend.check()


def failing(method: Callable[..., Any], place: int, thread: int | None) -> Callable[..., Any]:
    """Return a method whose call of that number, by any thread or by one, loses the connection and does nothing else."""
    calls = iter(range(10**6))

    def called(*args: Any, **kwargs: Any) -> Any:
        if thread in (None, threading.get_ident()) and next(calls) == place:
            raise ConnectionError("lost")
        return method(*args, **kwargs)

    return called


@pytest.mark.parametrize("backend", ["trackio"], indirect=True)
@pytest.mark.parametrize("place", ["before", "after", "queue"])
def test_a_database_that_fails_before_or_after_it_has_the_batch(backend: Backend, place: str) -> None:
    """Rows that are there are not stored again, also those that wait in the run's queue."""
    from trackio.sqlite_storage import SQLiteStorage

    bulk_log, tracker = SQLiteStorage.bulk_log, backend.tracker

    def failing_log(**kwargs: Any) -> None:
        if place == "after":
            bulk_log(**kwargs)
        raise sqlite3.OperationalError("database is locked")

    if place == "queue":
        for record in backend.batch(4):
            tracker.log(record.values, step=record.step)
    batch = backend.batch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SQLiteStorage, "bulk_log", failing_log)
        with pytest.raises(sqlite3.OperationalError):
            tracker.log_batch(batch)
    tracker.log_batch(batch[:10])
    tracker.log_batch(batch)
    backend.check()
