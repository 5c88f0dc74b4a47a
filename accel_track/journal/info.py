"""The content of `run.json`."""

from __future__ import annotations

import os
import secrets
from datetime import datetime, timezone
from typing import Any, get_args

import msgspec

from accel_track.outcome import Outcome, Status

VERSION = 1


class TrackerInfo(msgspec.Struct):
    """The arguments that make one of the run's trackers again.

    Attributes:
        kwargs: Constructor arguments that the user gave, without secrets and what JSON cannot hold.
        withheld: Names of other arguments, which are neither stored nor credentials.
        identity: Further arguments with which the tracker continues its backend run; before it started, those planned.
        url: Page of the backend run.
        instance: Whether the tracker was passed as an object, whose class only the user's program knows.
        ranks: What `identity` is for other ranks that have a backend run of their own, by number.
    """

    kwargs: dict[str, Any] = {}
    withheld: list[str] = []
    identity: dict[str, Any] = {}
    url: str | None = None
    instance: bool = False
    ranks: dict[str, dict[str, Any]] = {}

    def continued_by(self, identity: dict[str, Any], rank: int) -> None:
        """Keep the arguments that continue the backend run of a rank."""
        if rank:
            self.ranks[str(rank)] = identity
        else:
            self.identity = identity


class ImportInfo(msgspec.Struct):
    """The origin of an imported run.

    Attributes:
        source: Name of the kind of source, such as "wandb".
        place: The folder, the file, or the address without credentials.
        id: The source's own name of the run.
        dated: Whether the source tells when the run began; if not, `created` and the times of its records may be those
            of the import.
        values: How many values, media and files the source had.
        lost: How often something of it could not be read or kept, by a sentence that says what.
    """

    source: str
    place: str
    id: str
    dated: bool = True
    values: int = 0
    lost: dict[str, int] = {}


class RunInfo(msgspec.Struct):
    """Content of `run.json`.

    Attributes:
        run_id: Unique name of the run; its folder's.
        project: Name of the project.
        name: Name of the run in its project.
        created: Wall-clock time in seconds since 1970-01-01 UTC.
        status: "running", or how the run ended: "finished", "failed", "interrupted", "preempted".
        reason: What ended it, if not its own end.
        job: Name of the cluster job that may start it again, or None.
        directory: The logging directory, or None if the user gave none.
        trackers: The trackers by name.
        command: Command line of the program, without secrets.
        host: Name of the machine.
        pid: Number of the process.
        version: Version of the format of the run directory.
        starts: How often a process has begun to log to it.
        imported: Where it comes from; None if this package has logged it.
        mirror: URL of its mirror, without credentials, or None.
        parent: Id of the run of the same project that this one is a child of, or None.
        tags: Labels that people have given the run, in their order.
        note: What people have noted about it; empty for nothing.
        alerts: Rules of alerts.
        wanted: The name that the program gave the run, where another run of the project had that name already; or None.
    """

    run_id: str
    project: str
    created: float
    name: str | None = None
    status: str = "running"
    reason: str | None = None
    job: str | None = None
    directory: str | None = None
    trackers: dict[str, TrackerInfo] = {}
    command: list[str] = []
    host: str = ""
    pid: int = 0
    version: int = VERSION
    starts: int = 1
    imported: ImportInfo | None = None
    mirror: str | None = None
    parent: str | None = None
    tags: list[str] = []
    note: str = ""
    alerts: list[str] = []
    wanted: str | None = None


def outcome_noted(info: RunInfo) -> Outcome | None:
    """Return the outcome of the run in `run.json`; None for "running"."""
    return Outcome(info.status, info.reason) if info.status in get_args(Status) else None  # type: ignore[arg-type]


def concluded(outcome: Outcome | None, info: RunInfo) -> None:
    """Note how the run ended; None: it is running."""
    info.status, info.reason = outcome or ("running", None)


def new_run_id() -> str:
    """Return a run id: the time in UTC and six random hexadecimal digits."""
    return f"{datetime.now(timezone.utc):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def job_name() -> str | None:
    """Return the name that a job of SLURM's, or one under `torchrun`, keeps over its restarts."""
    for variable in ("SLURM_JOB_ID", "TORCHELASTIC_RUN_ID"):
        if os.environ.get(variable, "none") not in ("", "none"):
            return f"{variable}={os.environ[variable]}"
    return None


def job_restarted() -> bool:
    """Return whether SLURM or `torchrun` says that it has started this job before."""
    variables = ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT")
    return any(os.environ.get(variable, "0") not in ("", "0") for variable in variables)
