"""Trackio's store: many rows at once, with their times, and a run that goes on."""

from __future__ import annotations

import inspect
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from accel_track.errors import HalfStoredError
from accel_track.trackers.fast import FastPath, UnfitError

Row = tuple[dict[str, Any], int | None, float, str]
"""Values, step, wall-clock time in seconds, and an id: of two rows with the same one the first is kept."""


class Store(FastPath):
    """The database of a local run, in which everything is stored when a call returns.

    Through its public calls, a local run's rows wait in a queue for a thread that loses what it cannot write.
    """

    distribution = "trackio"
    tested = "==0.43.*"
    parts = (
        "trackio.sqlite_storage:SQLiteStorage.bulk_log",
        "trackio.sqlite_storage:SQLiteStorage.get_max_step_for_run",
        "trackio.sqlite_storage:SQLiteStorage.get_run_config",
        "trackio.sqlite_storage:SQLiteStorage.init_db",
        "trackio.sqlite_storage:SQLiteStorage._get_connection",
        "trackio.sqlite_storage:SQLiteStorage._get_process_lock",
        "trackio.utils:serialize_values",
    )
    attributes = (
        "_storage_mode",
        "_client_lock.__enter__",
        "_queue_lock.__enter__",
        "_queued_logs",
        "_next_step",
        "_config_logged",
        "_warned_failures",
    )

    def __init__(self, native: Any) -> None:
        """Look at how rows are stored."""
        super().__init__(native)
        from trackio.sqlite_storage import SQLiteStorage

        self._storage: Any = SQLiteStorage
        inspect.signature(SQLiteStorage.bulk_log).bind(**self._arguments([], [], []))

    @classmethod
    def applies(cls, native: Any) -> bool:
        """Only to runs whose rows go to a database on this computer; others have a server, or a folder of fragments."""
        return bool(native.url is None and native._storage_mode == "sqlite")  # noqa: SLF001

    def prepare(self, rows: Sequence[Row]) -> Any:
        """Count steps on for rows that have none."""
        self.look()
        run, following, steps = self.native, self.native._next_step, []  # noqa: SLF001
        for _, step, _, _ in rows:
            steps.append(following if step is None else step)
            following = max(following, steps[-1] + 1)
        times = [datetime.fromtimestamp(moment, timezone.utc).isoformat() for _, _, moment, _ in rows]
        arguments = self._arguments([values for values, _, _, _ in rows], steps, [name for _, _, _, name in rows])
        arguments |= {"timestamps": times, "config": None if run._config_logged else run.config}  # noqa: SLF001
        return self._storage.bulk_log, arguments, following

    def store(self, ready: Any) -> None:
        """Write rows, all or none of them, behind those in the run's queue, with hyperparameters if these are due."""
        bulk_log, arguments, following = ready
        self.write_queue()
        bulk_log(**arguments)
        self.native._next_step = max(following, self.native._next_step)  # noqa: SLF001
        self.native._config_logged = True  # noqa: SLF001

    def converted(self, values: dict[str, Any], step: int | None) -> dict[str, Any]:
        """Return a row as `Run.log` makes it of one with Trackio's objects, whose files are in Trackio's folder then.

        What it cannot convert is not there.
        """
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
        row: dict[str, Any] = found[0]["metrics"]
        del row[mark]
        return row

    def write_queue(self) -> None:
        """Write what `Run.log` was given.

        Raises:
            HalfStoredError: Trackio's thread has lost some of it.
        """
        run = self.native
        with run._client_lock:  # noqa: SLF001
            with run._queue_lock:  # noqa: SLF001
                entries = list(run._queued_logs)  # noqa: SLF001
            if entries:
                metrics = [entry["metrics"] for entry in entries]
                steps, names = [entry["step"] for entry in entries], [entry["log_id"] for entry in entries]
                config = next((entry["config"] for entry in entries if entry["config"]), None)
                self._storage.bulk_log(**self._arguments(metrics, steps, names), config=config)
                with run._queue_lock:  # noqa: SLF001
                    del run._queued_logs[: len(entries)]  # noqa: SLF001
        if "write-logs-to-sqlite" in run._warned_failures:  # noqa: SLF001
            message = "trackio: its thread has lost rows that its own calls gave it, see its warning."
            raise HalfStoredError(message)

    def store_config(self) -> bool:
        """Write the run's hyperparameters, without a row."""
        self.write_queue()  # its rows may carry older ones
        run = self.native
        moment = datetime.now(timezone.utc).isoformat()
        with self._connection() as (connection, serialized):
            connection.execute(
                "INSERT OR REPLACE INTO configs (run_id, run_name, config, created_at) VALUES (?, ?, ?, ?)",
                (run.id, run.name, serialized(run.config), moment),
            )
        run._config_logged = True  # noqa: SLF001
        return True

    def stored_config(self) -> dict[str, Any]:
        """Return the run's hyperparameters in the database."""
        config: dict[str, Any] | None = self._storage.get_run_config(self.native.project, run_id=self.native.id)
        return config or {}

    def count_on(self) -> int | None:
        """Let rows without steps follow those in the database, and return the last one's step."""
        run = self.native
        last: int | None = self._storage.get_max_step_for_run(run.project, run_id=run.id)
        run._next_step = 0 if last is None else last + 1  # noqa: SLF001
        return last

    def delete_rows(self, step: int) -> bool:
        """Delete the rows of a step and later ones, and let those without steps begin there."""
        self.write_queue()
        with self._connection() as (connection, _):
            connection.execute("DELETE FROM metrics WHERE run_id = ? AND step >= ?", (self.native.id, step))
        self.native._next_step = step  # noqa: SLF001
        return True

    @contextmanager
    def _connection(self) -> Iterator[tuple[Any, Any]]:
        """Yield a connection, whose changes are stored at the end, and what makes JSON of hyperparameters."""
        import orjson  # Trackio's own requirement
        from trackio import utils

        serialize_values: Any = utils.serialize_values
        storage, project = self._storage, self.native.project
        path = storage.init_db(project)
        with storage._get_process_lock(project), storage._get_connection(path) as connection:  # noqa: SLF001
            try:
                yield connection, lambda config: orjson.dumps(serialize_values(config))
            except sqlite3.OperationalError as error:
                if "no such" in str(error) or "no column" in str(error):
                    raise UnfitError(str(error)) from error
                raise

    def _arguments(self, metrics: list[Any], steps: list[int], names: list[str]) -> dict[str, Any]:
        run = self.native
        return {
            "project": run.project,
            "run": run.name,
            "run_id": run.id,
            "metrics_list": metrics,
            "steps": steps,
            "log_ids": names,
        }


class Sending(FastPath):
    """What a run on a server does not offer: hyperparameters after the first row, and word of what was not sent."""

    distribution = "trackio"
    tested = "==0.43.*"
    parts = ("trackio.sqlite_storage:SQLiteStorage.has_pending_data",)
    attributes = ("_config_logged", "_next_step")

    @classmethod
    def applies(cls, native: Any) -> bool:
        """Not to local runs, for which there is `Store`."""
        return bool(native.url is not None)

    def renew_config(self) -> int:
        """Have the next row carry the hyperparameters, and return the last row's step."""
        self.native._config_logged = False  # noqa: SLF001
        return int(max(self.native._next_step - 1, 0))  # noqa: SLF001

    def count_from(self, step: int) -> None:
        """Let rows without steps begin at one."""
        self.native._next_step = step  # noqa: SLF001

    def unsent(self) -> bool:
        """Whether Trackio keeps rows of this project that the server has not got."""
        from trackio.sqlite_storage import SQLiteStorage

        return bool(SQLiteStorage.has_pending_data(self.native.project))
