"""Trackio's fast path to the database of a local run: many rows at once, with their times, and a run that goes on."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from accel_track.errors import HalfStoredError
from accel_track.trackers.fast import FastPath, UnfitError
from accel_track.trackers.rows import Row
from accel_track.trackers.trackio import database
from accel_track.trackers.trackio.names import stored_names, unicode_names


class Store(FastPath):
    """A local run's place in the database, in which everything is stored when a call returns.

    Through its public calls, a local run's rows wait in a queue for a thread that loses what it cannot write.
    """

    distribution = "trackio"
    tested = "==0.43.*"
    parts = database.PARTS
    attributes = (
        "_storage_mode",
        "_client_lock.__enter__",
        "_queue_lock.__enter__",
        "_queued_logs",
        "_next_step",
        "_config_logged",
        "_warned_failures",
        "_webhook_url",
        "_stop_flag.is_set",
    )

    def __init__(self, native: Any) -> None:
        """Look at how rows are stored."""
        super().__init__(native)
        inspect.signature(database.storage().bulk_log).bind(**database.arguments(native, []))

    @classmethod
    def applies(cls, native: Any) -> bool:
        """Only to runs whose rows go to a database on this computer; others have a server, or a folder of fragments."""
        return bool(native.url is None and native._storage_mode == "sqlite")  # noqa: SLF001

    def prepare(self, rows: Sequence[Row], lost: list[tuple[str, Any]]) -> Any:
        """Make entries of the run's queue, and count steps on for those that have none.

        Args:
            rows: Calls of `log`.
            lost: Gets the values that Trackio cannot convert.
        """
        self.look()
        if self.native._stop_flag.is_set() and not all(row.plain for row in rows):  # noqa: SLF001
            return None  # the program has finished the run, whose `Run.log` writes at once then, past the queue
        run, following, entries = self.native, self.native._next_step, []  # noqa: SLF001
        config = None if run._config_logged else run.config  # noqa: SLF001
        for row in rows:
            step = following if row.step is None else row.step
            if values := self._converted(row, step, lost):
                # A part of a record, which is repaired, is a row beside those of the other parts.
                name = uuid.uuid4().hex if row.record.seq < 0 else f"{run.id}-{row.record.seq}-{row.time!r}"
                moment = datetime.fromtimestamp(row.time, timezone.utc)
                entries.append({"metrics": values, "step": step, "log_id": name, "config": config, "time": moment})
                following = max(following, step + 1)
        return entries, following

    def store(self, ready: Any) -> None:
        """Write entries, all or none of them, behind those in the run's queue."""
        entries, following = ready
        self.write_queue(entries)
        if entries:
            self.native._next_step = max(following, self.native._next_step)  # noqa: SLF001
            self.native._config_logged = True  # noqa: SLF001

    def _converted(self, row: Row, step: int, lost: list[tuple[str, Any]]) -> Mapping[str, Any]:
        """Return a row's values as `Run.log` stores them; files of Trackio's objects are in its folder then."""
        values = unicode_names(row.values)
        stored = stored_names(values)
        if row.plain:
            return stored
        run, mark = self.native, uuid.uuid4().hex
        with run._client_lock:  # noqa: SLF001 - the writing thread takes it to empty the queue
            state = run._next_step, run._config_logged  # noqa: SLF001
            run._config_logged = True  # noqa: SLF001
            run.log({**values, mark: 0}, step=step)
            run._next_step, run._config_logged = state  # noqa: SLF001
            with run._queue_lock:  # noqa: SLF001
                found = [entry for entry in run._queued_logs if mark in entry["metrics"]]  # noqa: SLF001
                run._queued_logs[:] = [one for one in run._queued_logs if one not in found]  # noqa: SLF001
        if len(found) != 1:
            message = "`Run.log` puts no row into the queue"
            raise UnfitError(message)
        converted: dict[str, Any] = found[0]["metrics"]
        del converted[mark]
        lost += [(key, values[key]) for key, name in zip(values, stored, strict=True) if name not in converted]
        return converted

    def write_queue(self, more: Sequence[dict[str, Any]] = ()) -> None:
        """Write the rows of `Run.log`, and more; of two entries with the same id Trackio keeps the first.

        Raises:
            HalfStoredError: Trackio's thread has lost some of it.
        """
        run = self.native
        with run._client_lock:  # noqa: SLF001
            with run._queue_lock:  # noqa: SLF001
                queued = list(run._queued_logs)  # noqa: SLF001
            if entries := [*queued, *more]:
                database.storage().bulk_log(**database.arguments(run, entries))
                with run._queue_lock:  # noqa: SLF001
                    del run._queued_logs[: len(queued)]  # noqa: SLF001
        if "write-logs-to-sqlite" in run._warned_failures:  # noqa: SLF001
            message = "trackio: its thread has lost rows that its own calls gave it, see its warning."
            raise HalfStoredError(message)

    def store_alert(self, title: str, text: str, level: str, time: float) -> bool:
        """Store an alert, unless it is there; False where a webhook is to be called, which `Run.alert` does."""
        run = self.native
        if run._webhook_url is not None:  # noqa: SLF001
            return False
        moment = datetime.fromtimestamp(time, timezone.utc).isoformat()
        step = max(run._next_step - 1, 0)  # noqa: SLF001
        name = uuid.uuid5(uuid.NAMESPACE_OID, f"{run.id} {time!r} {title}").hex
        database.store_alert(run, (title, text or None, level, step, moment, name))
        return True

    def store_config(self) -> bool:
        """Write the run's hyperparameters, without a row."""
        self.write_queue()  # its rows may carry older ones
        database.replace_config(self.native)
        self.native._config_logged = True  # noqa: SLF001
        return True

    def stored(self) -> tuple[int | None, dict[str, Any]]:
        """Let rows without steps follow those in the database; return the last one's step and the hyperparameters."""
        run = self.native
        last: int | None = database.storage().get_max_step_for_run(run.project, run_id=run.id)
        run._next_step = 0 if last is None else last + 1  # noqa: SLF001
        return last, database.storage().get_run_config(run.project, run_id=run.id) or {}

    def delete_rows(self, step: int) -> bool:
        """Delete the rows of a step and later ones, and let those without steps begin there."""
        self.write_queue()
        database.delete_rows(self.native, step)
        self.native._next_step = step  # noqa: SLF001
        return True
