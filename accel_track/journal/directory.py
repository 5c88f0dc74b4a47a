"""The run directory: who the run is, its ranks' journals, cursors, quarantine and locks."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec
from filelock import BaseFileLock

from accel_track.errors import JournalError
from accel_track.files import make_private, read_file, replace_file
from accel_track.journal import cursor as cursors
from accel_track.journal.info import VERSION, RunInfo, concluded, job_name, new_run_id, outcome_noted
from accel_track.journal.locks import acquired, is_held
from accel_track.outcome import CRASHED, Outcome
from accel_track.texts import json_bytes, storable_text

PARENT = ".accel_track"
DELETED = ".deleted"
"""Folder beside the projects, for runs on their way out: no run is looked for in it."""
IMPORTING = ".importing"
"""Folder beside the projects, for runs on their way in: no run is looked for in it."""

_LARGEST = 2**28
_PLAIN_NAME = re.compile(r"[\w.\- ]+")
_RANK = re.compile(r"rank-(\d{5})")


class _Version(msgspec.Struct):
    version: int = VERSION


class RunDirectory:
    """`<logging directory>/.accel_track/<project>/<run id>/`.

    Args:
        path: The folder. It need not exist; `make` makes it.
        info: What is known of the run before its `run.json` is there.
    """

    def __init__(self, path: str | os.PathLike[str], info: RunInfo | None = None) -> None:
        """Touch nothing yet."""
        self.path = Path(path)
        self._known = info
        self._seen: tuple[int, int] | None = None

    @classmethod
    def of(cls, directory: str | os.PathLike[str] | None, project: str, run_id: str) -> RunDirectory:
        """Return the folder of a run by its id, there or not."""
        return cls(Path(os.path.abspath(directory or os.curdir), PARENT, project, run_id))

    @classmethod
    def new(
        cls,
        directory: str | os.PathLike[str] | None,
        project: str,
        name: str | None,
        command: list[str] | None = None,
        run_id: str | None = None,
        parent: str | None = None,
    ) -> RunDirectory:
        """Return the folder of a new run, which `make` makes."""
        run_id = run_id or new_run_id()
        info = RunInfo(
            run_id,
            project,
            time.time(),
            name,
            directory=None if directory is None else os.path.abspath(directory),
            command=list(sys.argv) if command is None else command,
            host=socket.gethostname(),
            pid=os.getpid(),
            job=job_name(),
            parent=parent,
        )
        return cls(cls.of(directory, project, run_id).path, info)

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
        """Make the folder of a new run.

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
        run = cls.new(directory, project, name, command, run_id)
        run.make(distinct=distinct)
        return run

    def make(self, *, distinct: bool = False) -> RunInfo:
        """Make the folder, hidden from Git, readable by its owner only, also again where it is gone; return `run.json`.

        Where another rank has made it, that is joined.

        Args:
            distinct: Whether a name that another run of the project has becomes `<name>-2`, `<name>-3`, ….

        Raises:
            JournalError: It was made by another rank, and is damaged.
            OSError: It cannot be made.
        """
        names = self._make_store()
        make_private(self.path)
        with _locked(names):
            if self._known is None or (self.path / "run.json").exists():
                return self.load()
            if distinct and (wanted := self._known.name) is not None:
                self._known.name = free_name(self.path.parent, wanted)
                self._known.wanted = None if self._known.name == wanted else wanted
            self.save(self._known)
        return self._known

    def adopt(self, whole: Path, info: RunInfo, known: dict[Path, str | None] | None = None) -> bool:
        """Make a folder that was filled elsewhere this run directory, at once; return False if there is one already.

        Args:
            whole: The folder, on the same file system.
            info: Its `run.json`, which is written with a name that no other run of the project has.
            known: As for `free_name`.

        Raises:
            OSError: It cannot be moved.
        """
        names = self._make_store()
        make_private(self.path.parent)
        with _locked(names):
            if self.path.exists():
                return False
            if info.name is not None:
                info.name = free_name(self.path.parent, info.name, known)
            RunDirectory(whole).save(info)
            whole.rename(self.path)
        return True

    def _make_store(self) -> Path:
        """Make the folder of all runs, hidden from Git; return the lock of their names."""
        store = self.path.parents[1]
        if store.name != PARENT:
            return self.path / "names.lock"
        store.parent.mkdir(parents=True, exist_ok=True)
        make_private(store)
        with contextlib.suppress(PermissionError):  # it is somebody else's
            store.chmod(0o700)
        if not (store / ".gitignore").exists():
            replace_file(store / ".gitignore", b"*\n")
        return store / "names.lock"  # one for all: two processes that start together may ask for one name

    def remember(self) -> bool:
        """Read `run.json` if it has changed, for `make`; return False if it is gone."""
        try:
            status = os.stat(self.path / "run.json")
            seen = status.st_mtime_ns, status.st_ino
            if seen != self._seen:
                self._known, self._seen = self.load(), seen
        except OSError as error:
            return error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)
        except JournalError:
            pass
        return True

    def update(self, change: Callable[[RunInfo], None]) -> RunInfo:
        """Change `run.json`, which several processes do, atomically; return the new content.

        Raises:
            JournalError: It is damaged.
            OSError: It cannot be written.
        """
        with _locked(self.path / "run.json.lock"):
            info = self.load()
            change(info)
            self.save(info)
        return info

    def rename(self, name: str) -> RunInfo:
        """Give the run another name, which no other run of its project has; return the new content of `run.json`.

        Args:
            name: A name that `accel_track.values.plain.check_name` has let pass.

        Raises:
            JournalError: Another run has that name, or `run.json` is damaged.
            OSError: It cannot be written.
        """

        def change(info: RunInfo) -> None:
            free = name if info.name == name else free_name(self.path.parent, name)
            if free != name:
                message = f"another run of {info.project} is called {name!r}; {free!r} is free."
                raise JournalError(message)
            info.name, info.wanted = name, None

        with _locked(self._make_store()):
            return self.update(change)

    def conclude(self, outcome: Outcome | None) -> None:
        """Store how the run ended; None: it is running.

        Raises:
            JournalError: `run.json` is damaged.
            OSError: It cannot be written.
        """
        self.update(partial(concluded, outcome))

    def save(self, info: RunInfo) -> None:
        """Write `run.json` atomically; for a run that no other process knows yet.

        Raises:
            OSError: It cannot be written.
        """
        self._known = info
        replace_file(self.path / "run.json", msgspec.json.format(json_bytes(info)))

    def load(self) -> RunInfo:
        """Return the content of `run.json`.

        Raises:
            JournalError: There is none, or it is not one, or a later version's.
        """
        path = self.path / "run.json"
        try:
            data = read_file(path, _LARGEST)
            version = msgspec.json.decode(data, type=_Version).version
            info = msgspec.json.decode(data, type=RunInfo) if version == VERSION else None
        except FileNotFoundError:
            message = f"{self.path} is not a run directory: it has no run.json."
            if self.ranks():
                message = f"{path} is missing; the journal beside it can still be read with 'accel-track export'."
            raise JournalError(message) from None
        except OSError as error:
            message = f"{path} cannot be read ({error.strerror or error}); what is there is not changed."
            raise JournalError(message) from error
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            message = f"{path} is damaged ({error}); the journal beside it can still be read with 'accel-track export'."
            raise JournalError(message) from error
        if info is None:
            message = f"{path} has version {version} of the format, this package reads {VERSION}; upgrade it."
            raise JournalError(message)
        others = [text for text in (info.name, info.wanted, info.parent) if text is not None]
        for text in (info.project, info.run_id, *others, *info.trackers):
            if not text.strip(". ") or any(part in text for part in ("/", "\\", "\0")):
                message = f"{path} holds the name {text!r}, which is none."
                raise JournalError(message)
        return info

    def rank(self, number: int = 0) -> Path:
        """Return the folder of a rank's journal."""
        return self.path / f"rank-{number:05d}"

    def ranks(self) -> list[int]:
        """Return the ranks that have a journal."""
        with contextlib.suppress(OSError), os.scandir(self.path) as entries:
            found = [(_RANK.fullmatch(entry.name), entry) for entry in entries]
            return sorted(int(match[1]) for match, entry in found if match and entry.is_dir())
        return []

    def deliveries(self, number: int = 0) -> Path:
        """Return the folder of what trackers note of a rank's journal: cursors, their locks, and quarantine."""
        return self.rank(number)

    def cursor(self, tracker: str, rank: int = 0) -> Path:
        """Return the file of a tracker's cursor."""
        return self.deliveries(rank) / "cursors" / f"{_file_name(tracker)}.json"

    def quarantine(self, tracker: str, rank: int = 0) -> Path:
        """Return the file of the records that a tracker's backend refused."""
        return self.deliveries(rank) / "quarantine" / f"{_file_name(tracker)}.jsonl"

    def acknowledged(self, rank: int) -> int:
        """Return one more than the highest number that a tracker of a rank has acknowledged; 0 for none."""
        found = 0
        for path in self.rank(rank).glob("cursors/*.json"):
            with contextlib.suppress(JournalError):
                found = max(found, cursors.load(path).seq)
        return found

    def claim(self, tracker: str, rank: int = 0) -> BaseFileLock | None:
        """Return the lock on a tracker's cursor, held by the caller until released; None if another holds it.

        Raises:
            OSError: It cannot be made.
        """
        return acquired(self.cursor(tracker, rank).with_suffix(".lock"))

    def claim_run(self) -> BaseFileLock | None:
        """Return the lock of the process that trains, held by the caller; None if another holds it for over a second.

        Shorter than that, `is_live` holds it.

        Raises:
            OSError: It cannot be made.
        """
        return acquired(self.path / "run.lock", patience=1.0)

    @property
    def shown(self) -> str:
        """The place of the run, for people."""
        return os.fspath(self.path)

    @property
    def lacking(self) -> list[str]:
        """Sentences about what of the run should be in the folder and is not, as far as that is known elsewhere."""
        return []

    def refresh(self, *, media: bool = True) -> bool:
        """Bring a copy up to date; return whether there was anything new.

        Args:
            media: Whether to fetch media and artifacts, too.
        """
        return False

    def publish(self) -> bool:
        """Tell other machines the progress of the trackers that this process has claimed; False if one took them over.

        A folder has nobody to tell.
        """
        return True

    def is_live(self) -> bool:
        """Return whether the process that trains is there."""
        return is_held(os.path.join(self.path, "run.lock"))

    def outcome(self, info: RunInfo) -> Outcome | None:
        """Return the outcome of the run, by its `run.json` and its lock; None while the run goes on."""
        if self.is_live():
            return None
        return outcome_noted(info) or CRASHED


def find_runs(directory: str | os.PathLike[str]) -> Iterator[RunDirectory]:
    """Yield the run directories below a directory, oldest first within a project, also those without their `run.json`.

    Args:
        directory: A logging directory, or a folder above some; or the folder of a project in a `.accel_track`; or a run
            directory, which is yielded alone.
    """
    root = Path(directory)
    above = [one.name for one in root.absolute().parents[:2]]
    if (root / "run.json").is_file() or (above[1:] == [PARENT] and _is_there(RunDirectory(root))):
        yield RunDirectory(root)
        return
    projects = [root] if above[:1] == [PARENT] else (one for store in find_stores(root) for one in _folders(store))
    for project in projects:
        yield from filter(_is_there, map(RunDirectory, _folders(project)))


def _is_there(run: RunDirectory) -> bool:
    """Return whether a folder in the place of a run is one; what has lost its `run.json` still has a journal."""
    return os.path.isfile(os.path.join(run.path, "run.json")) or bool(run.ranks())


def _folders(parent: Path, *, links: bool = True) -> list[Path]:
    """Return the folders in a folder, and links to some, by name; none where it cannot be read."""
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        names = sorted(one.name for one in entries if one.is_dir(follow_symlinks=links or one.name == PARENT))
        return [parent / name for name in names]
    return []


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock, if there can be one.

    Raises:
        TimeoutError: Another process holds it for over ten seconds.
    """
    try:
        lock = acquired(path, patience=10.0)
    except OSError:  # it cannot be locked, or the disk takes nothing, which is met again
        yield
        return
    if lock is None:
        raise TimeoutError(errno.ETIMEDOUT, "another process holds its lock", os.fspath(path))
    try:
        yield
    finally:
        lock.release()


def find_stores(directory: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield the `.accel_track` folders below a directory, or itself if it is one, in the order of their paths."""
    root = Path(directory)
    if root.name == PARENT or os.path.basename(os.path.abspath(root)) == PARENT:
        yield root
        return
    found: list[Path] = []
    folders = [root]
    while folders:
        for folder in _folders(folders.pop(), links=False):
            (found if folder.name == PARENT else folders).append(folder)
    yield from sorted(found)


def free_name(project: Path, name: str, known: dict[Path, str | None] | None = None) -> str:
    """Return a name for a run: the one wanted, else the first of `<name>-2`, `<name>-3`, … that no other run has.

    Args:
        project: The folder of the project's runs.
        name: The name wanted.
        known: The names of runs that were looked at before, by their files; those that are looked at now are added.
    """
    known, there = {} if known is None else known, set(project.glob("*/run.json"))
    for path in there - known.keys():
        with contextlib.suppress(JournalError):
            known[path] = RunDirectory(path.parent).load().name
    taken = {known.get(path) for path in there}
    more = (f"{name}-{number}" for number in itertools.count(2))
    return next(one for one in itertools.chain([name], more) if one not in taken)


def _file_name(tracker: str) -> str:
    """Return a tracker's name as a file's."""
    return tracker if _PLAIN_NAME.fullmatch(tracker) and tracker.strip(". ") else storable_text(tracker).encode().hex()
