"""Deliver a run to Trackio."""

from __future__ import annotations

import inspect
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_track.records import Metrics
from accel_track.trackers._checkpoint_files import lasting
from accel_track.trackers._trackio_store import (
    Row,
    delete_rows,
    is_local,
    renamed,
    store_rows,
    stored_config,
    take_id,
    write_queued,
)
from accel_track.trackers.base import on_main_process
from accel_track.trackers.names import safe_name
from accel_track.trackers.sdk import SDKTracker
from accel_track.values import is_number, leaves, storable

if TYPE_CHECKING:
    import os

    from typing_extensions import Self

# orjson, which Trackio writes rows with, takes integers of 64 bits.
_SMALLEST, _GREATEST = -(2**63), 2**64 - 1
_FLOAT, _PLAIN = frozenset((float,)), frozenset((int, float, str))
_NOT_IN_ARTIFACTS = r"[^A-Za-z0-9._-]"
_NAME_LENGTH = 120


class TrackioTracker(SDKTracker):
    """One `trackio.Run`.

    Local data is in Trackio's own folder, `TRACKIO_DIR` if set: Trackio settles it when it is imported, so the logging
    directory has no say. `embed` is False unless given: no dashboard starts by itself in a notebook. Trackio stores the
    names `project`, `run`, `timestamp`, `step`, `time`, `metrics`, and those that begin with "__", behind another "__".
    Starting a run finishes an earlier one of the same thread; a tracker still logs to the earlier one, but slower.
    With an access token for Hugging Face and no network, `start` waits for the Hub unless `HF_HUB_OFFLINE=1` is set.

    A local run's rows that a worker delivers have the times of their calls, and are stored once, also where they are
    delivered again after `kill -9`. Those of `log` called directly, of batches with Trackio's objects, and on a server
    have the time of their delivery.

    Trackio knows no status of a run. Where a run goes on from an earlier step, a local one loses its rows from that
    step on; on a server or a Space they stay beside the new ones. A checkpoint is an artifact of the type "model", its
    name followed by the first letters of the run's id, since a project's runs share the names; a deleted one is
    replaced by a line of text, since Trackio deletes no artifacts.

    Args:
        run_name: Name of the project.
        run_id: Id of the run to continue, with its `name` and `resume="allow"`; else, of several runs with that name,
            Trackio takes the newest.
        **kwargs: Passed to `trackio.init`.
    """

    name = "trackio"
    requires_logging_directory = False
    main_process_only = False
    sdk = "trackio"
    install = "trackio>=0.43"
    batch_size = 1000

    def __init__(self, run_name: str, run_id: str | None = None, **kwargs: Any) -> None:
        """Keep the arguments for `start`."""
        super().__init__()
        self.run_name = run_name
        self.run_id = run_id
        self.init_kwargs = kwargs
        self._config_pending = False

    @classmethod
    def for_run(
        cls,
        project: str,
        run_name: str | None,
        directory: str | os.PathLike[str] | None,
        init_kwargs: dict[str, Any],
    ) -> Self:
        """Leave the place of the data to Trackio."""
        derived = {"run_name": project} if run_name is None else {"run_name": project, "name": run_name}
        return cls(**{**derived, **init_kwargs})

    @classmethod
    def grouped(cls, group: str, rank: int) -> dict[str, Any]:
        """Put the ranks' runs into one of Trackio's groups."""
        return {"group": group}

    @on_main_process
    def start(self) -> None:
        """Open the run; a resumed local one has the hyperparameters stored before, which Trackio itself would erase."""
        if self.started:
            return
        run = self.import_sdk().init(**{"project": self.run_name, "embed": False, **self.init_kwargs})
        try:
            if self.run_id is not None:
                take_id(run, self.run_id)
            if self.init_kwargs.get("resume", "never") != "never" and run.url is None:
                run.config.update({**stored_config(run), **run.config})
        except BaseException:
            run.finish()
            raise
        self._config_pending = False
        self.native = run

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Add to the run's config, which goes out with the next row or, if there is none, when the run ends."""
        for key, value in storable(values).items():
            if key.startswith("_"):
                self.drop(key, value, 'Trackio keeps hyperparameters whose names begin with "_" for itself')
            else:
                self.tracker.config[key] = value
        self._config_pending = True

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Add one row of numbers, texts and Trackio's own objects (`trackio.Image`, `trackio.Table`, …) and figures."""
        row, refused = _sorted(values)
        for one in refused:
            self.drop(*one)
        if row:
            if self._config_pending:
                self._renew_config()
            self.tracker.log(row, step=step, **kwargs)

    @on_main_process
    def log_batch(self, records: Sequence[Metrics]) -> None:
        """Write a local run's rows together, each with the time of its call.

        A server's, and those in a batch that holds an object of Trackio's, go into the run's queue.
        """
        run = self.tracker
        rows: list[Row] = []
        refused: list[tuple[str, Any]] = []
        together = is_local(run)
        for record in records:
            if kwargs := record.kwargs.get(self.name):  # the queue takes everything else
                inspect.signature(run.log).bind({}, step=record.step, **kwargs)
            row, others = _sorted(record.values)
            together = together and not kwargs and _PLAIN.issuperset(map(type, row.values()))
            refused += others
            if row:
                rows.append((renamed(row), record.step, record.time, f"{run.id}-{record.seq}-{record.time!r}"))
        if not together:
            super().log_batch(records)
            return
        if rows:
            self._store(rows)
        for one in refused:
            self.drop(*one)

    def _store(self, rows: Sequence[Row]) -> None:
        run = self.tracker
        due = self._config_pending or not run._config_logged  # noqa: SLF001
        store_rows(run, rows, run.config if due else None)
        run._config_logged = True  # noqa: SLF001
        self._config_pending = False

    def _renew_config(self) -> None:
        """Have the next row carry the config: Trackio sends it with a run's first row and never again."""
        run = self.tracker
        if run._config_logged:  # noqa: SLF001
            self._write()  # of the rows written together only the first one's config counts
            run._config_logged = False  # noqa: SLF001
        self._config_pending = False

    def _write(self) -> None:
        if self.tracker.url is None:  # a server gets its rows from a thread that nothing can hurry
            write_queued(self.tracker)

    @on_main_process
    def flush(self) -> None:
        """Write local rows now instead of within half a second."""
        if self._config_pending:
            self._renew_config()
            # A row without values at the last step carries it.
            self.tracker.log({}, step=max(self.tracker._next_step - 1, 0))  # noqa: SLF001
        self._write()

    @on_main_process
    def rewind(self, step: int) -> None:
        """Delete a local run's rows from a step on, so that each step has one value."""
        run = self.tracker
        if run.url is None:
            self._write()
            delete_rows(run, step)
        run._next_step = step  # noqa: SLF001

    @on_main_process
    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Copy a checkpoint into Trackio's store of artifacts; step and values are its metadata."""
        self._log_artifact(name, path, {**({} if step is None else {"step": step}), **lasting(values)})

    @on_main_process
    def delete_checkpoint(self, name: str) -> None:
        """Replace a checkpoint by a line of text."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "deleted.txt")
            file.write_text("The training program deleted this checkpoint.\n", encoding="utf-8")
            self._log_artifact(name, str(file), {"deleted": True})

    def _log_artifact(self, name: str, path: str, metadata: dict[str, Any]) -> None:
        run = self.tracker
        stored = f"{safe_name(name, _NOT_IN_ARTIFACTS, _NAME_LENGTH)}-{run.id[:8]}"
        artifact = self.import_sdk().Artifact(stored, type="model", metadata=metadata)
        (artifact.add_dir if Path(path).is_dir() else artifact.add_file)(path)
        run.log_artifact(artifact, overwrite=True)

    def is_transient(self, error: BaseException) -> bool:
        """Say so also of a database that is locked, or on a full disk."""
        return isinstance(error, sqlite3.OperationalError) or type(error) is OSError or super().is_transient(error)

    def identity(self) -> dict[str, Any]:
        """Return the run's name, by which Trackio finds it again, and its id, which other runs do not have."""
        if self.native is None:
            return {}
        return {"name": self.native.name, "resume": "allow", "run_id": self.native.id}

    @on_main_process
    def finish(self) -> None:
        """End the run, writing or sending what is left."""
        if self.native is not None:
            try:
                self.flush()
            finally:
                run, self.native = self.native, None
                run.finish()


def _sorted(values: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, Any]]]:
    """Return a row, and what Trackio would leave out of it, storing the row without that or an empty one."""
    if _FLOAT.issuperset(map(type, values.values())):
        return values, []
    row: dict[str, Any] = {}
    refused: list[tuple[str, Any]] = []
    for key, value in leaves(values):
        if _takes(value):
            row[key] = int(value) if isinstance(value, bool) else value
        else:
            refused.append((key, value))
    return row, refused


def _takes(value: Any) -> bool:
    """Whether Trackio stores a value as it is meant: it leaves out, with a warning at most, what it cannot write."""
    if isinstance(value, int):
        return _SMALLEST <= value <= _GREATEST
    if is_number(value) or isinstance(value, str):
        return True
    if isinstance(value, (list, tuple)):
        return len(value) > 0 and all(_takes(item) for item in value)
    packages = {cls.__module__.partition(".")[0] for cls in type(value).__mro__}
    return not packages.isdisjoint(("trackio", "matplotlib", "plotly"))
