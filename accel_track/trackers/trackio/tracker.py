"""The tracker for Trackio."""

from __future__ import annotations

import inspect
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_track.errors import HalfStoredError, warn
from accel_track.records import Metrics
from accel_track.texts import storable_texts
from accel_track.trackers.base import on_main_process
from accel_track.trackers.fast import Gate
from accel_track.trackers.files import lasting
from accel_track.trackers.names import safe_name
from accel_track.trackers.sdk import SDKTracker
from accel_track.trackers.trackio import current
from accel_track.trackers.trackio.store import Row, Sending, Store
from accel_track.trackers.trackio.values import renamed, sorted_values
from accel_track.values.plain import long_integers_as_text, storable

if TYPE_CHECKING:
    import os

    from typing_extensions import Self

_PLAIN = frozenset((int, float, str))
_NOT_IN_ARTIFACTS = r"[^A-Za-z0-9._-]"
_NAME_LENGTH = 120


class TrackioTracker(SDKTracker):
    """One `trackio.Run`.

    Local data is in Trackio's own folder, `TRACKIO_DIR` if set: Trackio settles it when it is imported, so the logging
    directory has no say. `embed` is False unless given: no dashboard starts by itself in a notebook. Trackio stores the
    names `project`, `run`, `timestamp`, `step`, `time`, `metrics`, and those that begin with "__", behind another "__".
    Starting a run finishes no earlier one. `trackio.log` and the like find the run in the thread that started it and in
    those where `tracker` was asked for, unless the program has one there.
    With an access token for Hugging Face and no network, `start` waits for the Hub unless `HF_HUB_OFFLINE=1` is set.

    A local run's rows that a worker delivers have the times of their calls, and are stored once, also where they are
    delivered again after `kill -9`. Those of `log` called directly and on a server have the time of their delivery; on
    a server, what is delivered counts as that when the run is finished, since Trackio has no flush.

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
    keeps_nesting = True
    keeps_time = True
    checks_arguments = True
    batch_size = 1000
    fast_paths = (Store, Sending)

    def __init__(self, run_name: str, run_id: str | None = None, **kwargs: Any) -> None:
        """Keep the arguments for `start`."""
        super().__init__()
        self.run_name = run_name
        self.run_id = run_id
        self.init_kwargs = kwargs
        self._config_pending = False
        self._empty = True
        self._store, self._sending = Gate(self.name, Store), Gate(self.name, Sending)

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
        trackio = self.import_sdk()
        arguments = {"project": self.run_name, "embed": False, **self.init_kwargs}
        run = current.apart(trackio.init, **arguments)
        try:
            self._begin(run)
        except BaseException:
            run.finish()
            raise
        self.native = run
        current.offer(run)

    def _begin(self, run: Any) -> None:
        self._store.open(run)
        self._sending.open(run)
        self.durable_flush = self._store.fast is not None
        self._config_pending, self._empty = False, True
        if self.run_id is not None:
            # Trackio finds runs by their name, of several the newest, and none that has no rows yet.
            run.id = self.run_id
        given = run.config
        if self.init_kwargs.get("resume", "never") != "never" and run.url is None:
            self._empty = self._store.use(Store.count_on) is None
            stored = self._store.use(Store.stored_config)
            run.config = {**(_public_config(self.import_sdk(), run) if stored is None else stored), **given}
        own = {key: value for key, value in run.config.items() if not key.startswith("_")}
        for key in own:
            del run.config[key]
        run.config.update(self._portable(own))

    @property
    def tracker(self) -> Any:
        """The `trackio.Run`, to which `trackio.log` and the like refer in this thread from now on, if to none yet."""
        run = super().tracker
        if run is self.native:
            current.offer(run)
        return run

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Store hyperparameters in a local run; on a server they go out with the next row, or when the run ends."""
        portable = self._portable(values)
        self.tracker.config.update(portable)
        self._config_pending = self._store.use(Store.store_config) is None
        if self._config_pending and self._sending.fast is None and not self._empty:
            for key, value in portable.items():
                self.drop(key, value, "Trackio takes no hyperparameters after a run's first row")

    def _portable(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return what Trackio can write, and count the rest: it would lose all rows that come with it."""
        portable: dict[str, Any] = storable_texts(long_integers_as_text(storable(values)))
        for key in [key for key in portable if key.startswith("_")]:
            why = 'Trackio keeps hyperparameters whose names begin with "_" for itself'
            self.drop(key, portable.pop(key), why)
        return portable

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Add one row of numbers, texts and Trackio's own objects (`trackio.Image`, `trackio.Table`, …) and figures."""
        row, refused = sorted_values(values)
        if row:
            if self._config_pending:
                self._sending.use(Sending.renew_config)
                self._config_pending = False
            self.tracker.log(row, step=step, **kwargs)
            self._empty = False
        for one in refused:
            self.drop(*one)

    @on_main_process
    def log_batch(self, records: Sequence[Metrics]) -> None:
        """Write a local run's rows together, each with the time of its call; a server's go into the run's queue."""
        run = self.tracker
        for record in records:
            if kwargs := record.kwargs.get(self.name):  # the queue takes everything else
                inspect.signature(run.log).bind({}, step=record.step, **kwargs)
        rows: list[Row] = []
        refused: list[tuple[Any, ...]] = []
        for record in self.taken.left(records):
            row, others = self._written(record)
            refused += others
            if row:
                rows.append((row, record.step, record.time, f"{run.id}-{record.seq}-{record.time!r}"))
        if rows and not self._store.send(rows):
            super().log_batch(records)
            return
        self.taken.settle(records)
        self._empty = self._empty and not rows
        for one in refused:
            self.drop(*one)

    def _written(self, record: Metrics) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
        """Return a row as Trackio stores it, and what it leaves out."""
        row, others = sorted_values(record.values)
        refused: list[tuple[Any, ...]] = list(others)
        stored = renamed(row)
        if not _PLAIN.issuperset(map(type, row.values())):
            converted = self._store.use(lambda fast: fast.converted(row, record.step))
            if converted is not None:
                lost = [key for key, name in zip(row, stored, strict=True) if name not in converted]
                refused += [(key, row[key], "Trackio could not convert it, see its warning") for key in lost]
                stored = converted
        return stored, refused

    @on_main_process
    def flush(self) -> None:
        """Write local rows now instead of within half a second; a server gets its from a thread that nobody can hurry.

        Raises:
            HalfStoredError: Trackio's thread has lost some.
        """
        self._store.use(Store.write_queue)
        self.durable_flush = self._store.fast is not None

    @on_main_process
    def rewind(self, step: int) -> None:
        """Delete a local run's rows from a step on, so that each step has one value."""
        self._sending.use(lambda fast: fast.count_from(step))
        if self.tracker.url is None and not self._store.use(lambda fast: fast.delete_rows(step)):
            warn(f"{self.name}: its rows of step {step} and later ones stay beside those that are logged again.")

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
                self._finish_config(self.native)
                self.flush()
            finally:
                run, self.native = self.native, None
                run.finish()
                current.over(run)
            if self._sending.use(Sending.unsent):
                message = (
                    f"{self.name}: {run.url} has not got all rows; Trackio keeps them, and sends them when a run of "
                    f"the project {run.project!r} is started."
                )
                raise HalfStoredError(message)

    def _finish_config(self, run: Any) -> None:
        """Have a row without values carry hyperparameters that are not stored, or that Trackio shows with rows only."""
        configured = any(not key.startswith("_") for key in run.config)
        if self._config_pending or (self._empty and configured):
            step = self._sending.use(Sending.renew_config) if self._config_pending else 0
            run.log({}, step=step)
            self._config_pending = False


def _public_config(trackio: Any, run: Any) -> dict[str, Any]:
    """Return the hyperparameters that are stored of a run that has rows."""
    try:
        return next((one.config or {} for one in trackio.Api().runs(run.project) if one.id == run.id), {})
    except ValueError:  # there is no such project yet
        return {}
