"""The tracker for Trackio."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from accel_track.errors import HalfStoredError, NotReadableError
from accel_track.folders import command_line
from accel_track.texts import storable_text
from accel_track.trackers.sdk import native_object
from accel_track.trackers.trackio import current
from accel_track.trackers.trackio.finding import read_run
from accel_track.trackers.trackio.media import TrackioMedia
from accel_track.trackers.trackio.metrics import TrackioMetrics
from accel_track.trackers.trackio.names import run_name
from accel_track.trackers.trackio.server import Sending
from accel_track.trackers.trackio.store import Store

if TYPE_CHECKING:
    from typing_extensions import Self

    from accel_track.trackers.backend_run import BackendRun


class TrackioTracker(TrackioMetrics, TrackioMedia):
    """One `trackio.Run`.

    Local data is in Trackio's own folder, `TRACKIO_DIR` if set: Trackio settles it when it is imported, so the logging
    directory has no say. `embed` is False unless given: no dashboard starts by itself in a notebook. Trackio stores the
    names `project`, `run`, `timestamp`, `step`, `time`, `metrics`, and those that begin with "__", behind another "__".
    Starting a run finishes no earlier one. `trackio.log` and the like find the run in the thread that started it and in
    those where `tracker` was asked for, unless the program has one there.
    With an access token for Hugging Face and no network, `start` waits for the Hub unless `HF_HUB_OFFLINE=1` is set.

    A local run's rows that a worker delivers have the times of their calls, and are stored once, even if they are
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
    keeps_alerts = True
    keeps_nesting = True
    keeps_time = True
    checks_arguments = True
    log_call = "log"
    batch_size = 1000
    fast_paths = (Store, Sending)
    run = native_object

    _opened: str | None = None
    """Id of the run that `start` has opened last."""

    _server: str | None = None
    """The server's address, if that run is on one."""

    def __init__(self, run_name: str, run_id: str | None = None, **kwargs: Any) -> None:
        """Keep the arguments for `start`."""
        super().__init__(run_name, **kwargs)
        self.run_id = run_id

    @classmethod
    def for_run(
        cls, project: str, run_name: str | None, directory: str | os.PathLike[str] | None, init_kwargs: dict[str, Any]
    ) -> Self:
        """Leave the place of the data to Trackio."""
        derived = {"run_name": project} if run_name is None else {"run_name": project, "name": run_name}
        return cls(**{**derived, **init_kwargs})

    @classmethod
    def grouped(cls, group: str, rank: int) -> dict[str, Any]:
        """Put the ranks' runs into one of Trackio's groups."""
        return {"group": group}

    @classmethod
    def child_of(cls, identity: Mapping[str, Any], parent: str) -> dict[str, Any]:
        """Put the run into the group with the parent's name."""
        return {"group": parent}

    def open(self, sdk: Any) -> Any:
        """Open the run, finishing no other."""
        given = {name: run_name(one) if name == "name" else one for name, one in self.init_kwargs.items()}
        return current.apart(sdk.init, **{"project": self.run_name, "embed": False, **given})

    def begin(self, native: Any) -> None:
        """Go on where a resumed run was, and let the run be this thread's current one."""
        self.durable_flush = self.fast(Store).fast is not None
        if self.run_id is not None:
            # Trackio finds runs by their name, of several the newest, and none that has no rows yet.
            native.id = self.run_id
        self._opened = native.id
        self._server = native.url
        self._begin_config(native, resumed=self.init_kwargs.get("resume", "never") != "never")
        current.offer(native)

    @property
    def tracker(self) -> Any:
        """The `trackio.Run`, to which `trackio.log` and the like refer in this thread from now on, if to none yet."""
        run = super().tracker
        if run is self.native:
            current.offer(run)
        return run

    def flush(self) -> None:
        """Write local rows now instead of within half a second; a server gets its from a thread that nobody can hurry.

        Raises:
            HalfStoredError: Trackio's thread has lost some.
        """
        self.fast(Store).use(Store.write_queue)
        self.durable_flush = self.fast(Store).fast is not None

    def is_transient(self, error: BaseException) -> bool:
        """Return whether an error may pass, also that of a locked database, or of a full disk."""
        return isinstance(error, sqlite3.OperationalError) or type(error) is OSError or super().is_transient(error)

    def identity(self) -> dict[str, Any]:
        """Return the run's name, by which Trackio finds it again, and its id, which other runs do not have."""
        if self.native is None:
            return {}
        return {"name": self.native.name, "resume": "allow", "run_id": self.native.id}

    def read(self) -> BackendRun:
        """Return the run as the project's database on this computer has it.

        Raises:
            NotReadableError: There is no such run, or it is on a server.
        """
        if self._is_remote:
            message = f"{self.name}: the run is on a server, and only databases on this computer can be read."
            raise NotReadableError(message)
        return read_run(self.import_sdk().utils, str(self.run_name), self._opened or self.run_id)

    @property
    def _is_remote(self) -> bool:
        return self._server is not None or bool({"server_url", "space_id"} & self.init_kwargs.keys())

    def look(self) -> str | None:
        """Return the command that shows the project; None for one on a server."""
        if self._is_remote:
            return None
        folder = os.environ.get("TRACKIO_DIR")
        place = f"TRACKIO_DIR={command_line(folder)} " if folder else ""
        return place + command_line("trackio", "show", "--project", str(self.run_name))

    def stored_name(self, name: str) -> str:
        """Return the name as JSON can hold it."""
        return storable_text(name)

    def close(self, native: Any) -> None:
        """End the run, writing or sending what is left.

        Raises:
            HalfStoredError: The server has not got all rows.
        """
        try:
            self._finish_config(native)
            self.fast(Store).use(Store.write_queue)
        finally:
            native.finish()
            current.over(native)
        if self.fast(Sending).use(Sending.unsent):
            message = (
                f"{self.name}: {native.url} has not got all rows; Trackio keeps them, and sends them when a run of "
                f"the project {native.project!r} is started."
            )
            raise HalfStoredError(message)
