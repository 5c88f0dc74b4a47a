"""SwanLab's private parts: the times of calls, whole records in its file, and word of what it loses."""

from __future__ import annotations

import functools
import threading
from collections.abc import Collection, Mapping
from typing import Any

from accel_track.trackers.fast import FastPath


class Rows(FastPath):
    """The rows of a run's queue, as `Run.log` puts them there, with another time and without a look at each name."""

    distribution = "swanlab"
    tested = "==0.10.*"
    parts = (
        "swanlab.sdk.internal.bus.events:MetricLogEvent",
        "swanlab.sdk.internal.bus.events:Timestamp",
        "swanlab.sdk.internal.run.fmt:validate_key",
    )
    attributes = ("_api_lock.__enter__", "_ctx.next_step", "_components.emitter.emit")

    def __init__(self, native: Any) -> None:
        """Make an event."""
        super().__init__(native)
        from swanlab.sdk.internal.bus import events
        from swanlab.sdk.internal.run.fmt import validate_key

        self._event, self._time, self._validate = events.MetricLogEvent, events.Timestamp, validate_key
        self._names: set[str] = set()
        self._made({"a": 1.0}, 0, 0.0)

    @classmethod
    def applies(cls, native: Any) -> bool:
        """A disabled run has no queue."""
        return bool(native.mode != "disabled")

    def prepare(self, values: Mapping[str, Any], step: int | None, moment: float) -> Any:
        """Make an event; None if the run is over, or where a name is not one that SwanLab takes as it is.

        Args:
            values: Names to values, of one call.
            step: Its step.
            moment: Its time, in seconds since 1970-01-01 UTC.
        """
        self.look()
        run = self.native
        if not (run.alive and (self._names.issuperset(values) or self._takes(values.keys() - self._names))):
            return None
        next_step, emit = run._ctx.next_step, run._components.emitter.emit  # noqa: SLF001
        return run._api_lock, next_step, emit, self._made(values, step, moment)  # noqa: SLF001

    def store(self, ready: Any) -> None:
        """Put the event into the queue."""
        lock, next_step, emit, event = ready
        with lock:
            event.step = next_step(event.step)
            emit(event)

    def _takes(self, names: Collection[str]) -> bool:
        """Return whether SwanLab takes names as they are; it takes them from then on."""
        try:
            fitting = all(self._validate(name) == name for name in names)
        except ValueError:
            return False
        if fitting:
            self._names.update(names)
        return fitting

    def _made(self, values: Mapping[str, Any], step: int | None, moment: float) -> Any:
        time = self._time(seconds=int(moment), nanos=int(moment % 1 * 1e6) * 1000)
        event: Any = self._event
        return event(data=dict(values), step=step, timestamp=time)


class Threads(FastPath):
    """The work of a run's own threads.

    SwanLab 0.10 writes a run's file from several threads, its monitor of the machine's is one, without a lock. Where
    two records mingle, its reader takes what follows for damaged (https://github.com/SwanHubX/SwanLab/issues/1268 has
    the error). What it cannot write, on a full disk for instance, it loses and says so in its own log only.
    The observer of a run's folder runs a thread from the start, and SwanLab stops it only where it watches a file.
    """

    distribution = "swanlab"
    tested = "==0.10.*"
    attributes = ("_core._store.write", "_core._watcher.stop", "_is_main_thread")

    def __init__(self, native: Any) -> None:
        """Let the file take one record after another, and the run's end stop the observer."""
        super().__init__(native)
        self.lost: Exception | None = None
        """The first error of a record that was not written."""
        store = native._core._store  # noqa: SLF001
        write, lock = store.write, threading.Lock()

        @functools.wraps(write)
        def locked(data: bytes) -> Any:
            with lock:
                try:
                    return write(data)
                except Exception as error:
                    self.lost = self.lost or error
                    raise

        store.write = locked
        watcher = native._core._watcher  # noqa: SLF001
        stop, observer = watcher.stop, getattr(watcher, "_observer", None)

        def stop_all() -> None:
            stop()
            if observer is not None:
                observer.stop()

        watcher.stop = stop_all

    @classmethod
    def applies(cls, native: Any) -> bool:
        """A disabled run has no file."""
        return bool(native.mode != "disabled")

    def leave_signals(self) -> None:
        """Keep `finish` from restoring SIGINT's handler, at its very end, which only the main thread may do."""
        self.native._is_main_thread = self.native._is_main_thread and in_main_thread()  # noqa: SLF001


def in_main_thread() -> bool:
    """Return whether this is the thread that may handle signals."""
    return threading.current_thread() is threading.main_thread()
