"""The folder of one run: who it is, its ranks' journals, cursors, quarantine and locks."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from accel_track.errors import JournalError
from accel_track.files import replace_file
from accel_track.journal.info import VERSION, RunInfo, job_name, new_run_id, outcome_noted
from accel_track.outcome import CRASHED, Outcome
from accel_track.texts import json_bytes, storable_text

PARENT = ".accel_track"
_PLAIN_NAME = re.compile(r"[\w.\- ]+")


class _Version(msgspec.Struct):
    version: int = VERSION


class RunDirectory:
    """`<logging directory>/.accel_track/<project>/<run id>/`.

    Args:
        path: The folder. It need not exist; `create` makes it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Touch nothing yet."""
        self.path = Path(path)

    @classmethod
    def of(cls, directory: str | os.PathLike[str] | None, project: str, run_id: str) -> RunDirectory:
        """Return the folder of a run by its id, there or not."""
        return cls(Path(os.path.abspath(directory or os.curdir), PARENT, project, run_id))

    @classmethod
    def create(
        cls,
        directory: str | os.PathLike[str] | None,
        project: str,
        name: str | None,
        command: list[str] | None = None,
        run_id: str | None = None,
        *,
        distinct: bool = False,
    ) -> RunDirectory:
        """Make the folder of a new run, hidden from Git, readable by its owner only.

        Where another rank has made the one of this id, that is joined.

        Args:
            directory: The logging directory, or None for the working directory.
            project: Name of the project.
            name: Name of the run.
            command: Command line of the program, without credentials.
            run_id: Id of the run, or None for a new one.
            distinct: Whether a name that another run of the project has becomes `<name>-2`, `<name>-3`, ….

        Raises:
            OSError: It cannot be made.
        """
        now, run_id = time.time(), run_id or new_run_id()
        run = cls.of(directory, project, run_id)
        parent = run.path.parents[1]
        info = RunInfo(
            run_id,
            project,
            now,
            name,
            directory=None if directory is None else os.path.abspath(directory),
            command=list(sys.argv) if command is None else command,
            host=socket.gethostname(),
            pid=os.getpid(),
            job=job_name(),
        )
        run.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        parent.chmod(0o700)
        ignore = parent / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
        # One lock for all: two processes that are started together may ask for one name.
        with FileLock(parent / "names.lock", timeout=10, mode=0o600):
            if not (run.path / "run.json").exists():
                if distinct and name is not None:
                    info.name = free_name(directory, project, name)
                run.save(info)
        return run

    def update(self, change: Callable[[RunInfo], None]) -> RunInfo:
        """Change `run.json`, which several processes do, atomically; return the new content.

        Raises:
            JournalError: It is damaged.
            OSError: It cannot be written.
        """
        with FileLock(self.path / "run.json.lock", timeout=10, mode=0o600):
            info = self.load()
            change(info)
            self.save(info)
        return info

    def conclude(self, outcome: Outcome | None) -> None:
        """Store how the run ended; None: it is running.

        Raises:
            JournalError: `run.json` is damaged.
            OSError: It cannot be written.
        """

        def change(info: RunInfo) -> None:
            info.status, info.reason = outcome or ("running", None)

        self.update(change)

    def save(self, info: RunInfo) -> None:
        """Write `run.json` atomically; for a run that no other process knows yet.

        Raises:
            OSError: It cannot be written.
        """
        replace_file(self.path / "run.json", msgspec.json.format(json_bytes(info)))

    def load(self) -> RunInfo:
        """Return the content of `run.json`.

        Raises:
            JournalError: There is none, or it is not one, or a later version's.
        """
        path = self.path / "run.json"
        try:
            data = path.read_bytes()
            version = msgspec.json.decode(data, type=_Version).version
            info = msgspec.json.decode(data, type=RunInfo) if version == VERSION else None
        except FileNotFoundError:
            message = f"{self.path} is not a run directory: it has no run.json."
            raise JournalError(message) from None
        except (msgspec.MsgspecError, ValueError, OSError, RecursionError) as error:
            message = f"{path} is damaged ({error}); the journal beside it can still be read with 'accel-track export'."
            raise JournalError(message) from error
        if info is None:
            message = f"{path} has version {version} of the format, this package reads {VERSION}; upgrade it."
            raise JournalError(message)
        names = (info.project, info.run_id, *([] if info.name is None else [info.name]), *info.trackers)
        for text in names:
            if not text.strip(". ") or any(part in text for part in ("/", "\\", "\0")):
                message = f"{path} holds the name {text!r}, which is none."
                raise JournalError(message)
        return info

    def rank(self, number: int = 0) -> Path:
        """Return the folder of a rank's journal."""
        return self.path / f"rank-{number:05d}"

    def ranks(self) -> list[int]:
        """Return the ranks that have a journal."""
        names = (path.name for path in self.path.glob("rank-*") if path.is_dir())
        return sorted(int(match[1]) for name in names if (match := re.fullmatch(r"rank-(\d{5})", name)))

    def cursor(self, tracker: str, rank: int = 0) -> Path:
        """Return the file of a tracker's cursor."""
        return self.rank(rank) / "cursors" / f"{_file_name(tracker)}.json"

    def quarantine(self, tracker: str, rank: int = 0) -> Path:
        """Return the file of the records that a tracker's backend refused."""
        return self.rank(rank) / "quarantine" / f"{_file_name(tracker)}.jsonl"

    def claim(self, tracker: str, rank: int = 0) -> FileLock | None:
        """Return the lock on a tracker's cursor, held by the caller until released; None if another holds it.

        It ends with the process, and a forked child does not hold it.

        Raises:
            OSError: It cannot be made.
        """
        return _claimed(self.cursor(tracker, rank).with_suffix(".lock"))

    def claim_run(self) -> FileLock | None:
        """Return the lock of the process that trains, held by the caller; None if another holds it for over a second.

        Shorter than that, `is_live` holds it.
        """
        return _claimed(self.path / "run.lock", patience=1.0)

    def is_live(self) -> bool:
        """Whether the process that trains is there."""
        if not (self.path / "run.lock").exists():
            return False
        try:
            lock = _claimed(self.path / "run.lock")
        except OSError:
            return False
        if lock is not None:
            lock.release()
        return lock is None

    def outcome(self, info: RunInfo) -> Outcome | None:
        """Return how the run ended, by its `run.json` and its lock; None while it is running."""
        if self.is_live():
            return None
        return outcome_noted(info) or CRASHED


def find_runs(directory: str | os.PathLike[str]) -> Iterator[RunDirectory]:
    """Yield the run directories below a directory, or itself if it is one, oldest first within a project."""
    root = Path(directory)
    if (root / "run.json").is_file():
        yield RunDirectory(root)
        return
    for path in sorted(root.rglob(f"{PARENT}/*/*/run.json") if root.name != PARENT else root.glob("*/*/run.json")):
        yield RunDirectory(path.parent)


def free_name(directory: str | os.PathLike[str] | None, project: str, name: str) -> str:
    """Return a name for a run: the one wanted, else the first of `<name>-2`, `<name>-3`, … that no other run has."""
    taken = set()
    for path in RunDirectory.of(directory, project, "").path.glob("*/run.json"):
        with contextlib.suppress(JournalError):
            taken.add(RunDirectory(path.parent).load().name)
    more = (f"{name}-{number}" for number in itertools.count(2))
    return next(one for one in itertools.chain([name], more) if one not in taken)


def _claimed(path: Path, patience: float = 0.0) -> FileLock | None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(path, mode=0o600, thread_local=False)
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        return None
    return lock


def _file_name(tracker: str) -> str:
    """Return a tracker's name as a file's."""
    return tracker if _PLAIN_NAME.fullmatch(tracker) and tracker.strip(". ") else storable_text(tracker).encode().hex()
