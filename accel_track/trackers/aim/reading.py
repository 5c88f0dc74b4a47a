"""The reader of Aim's repositories: the runs, whose values Aim keeps by name and in no order, in the order logged.

Aim's own storage (`aim.storage`) reads them, without its `Repo`, which would change the repository and index it.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accel_track.errors import NotReadableError
from accel_track.records import Artifact, Checkpoint, Metrics
from accel_track.trackers.aim.containers import Container, opened_container
from accel_track.trackers.aim.ending import ending
from accel_track.trackers.aim.kept_files import KeptFiles
from accel_track.trackers.aim.sequences import Sequences
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.reading.database import opened
from accel_track.trackers.reading.values import moment_of
from accel_track.trackers.reading.walks import walked
from accel_track.values.plain import storable

_OWN = "__"
"""The beginning of the names of Aim's own hyperparameters."""

_BOOKS = ("artifacts", "checkpoints")
"""The hyperparameters in which accel_track's tracker keeps what is known about files."""

_DAMAGED = "a part of the run's database that is damaged"


class AimRun(BackendRun):
    """A run in a repository on this computer.

    Args:
        repository: The folder that Aim calls `.aim`.
        id: The run's hash.
    """

    def __init__(self, repository: Path, id: str) -> None:  # noqa: A002 - the word of the attribute
        """Read everything beside the values."""
        super().__init__(id)
        self._repository = repository
        self._books: dict[str, Any] = {}
        self._read_properties()
        try:
            with self._container("meta") as meta:
                self._read_parameters(meta.value("attrs"))
                if meta.value("end_time") is not None:
                    self.outcome = ending(meta, repository / "check_ins", id)
        except Exception:  # noqa: BLE001 - RocksDB's and Aim's own, of many types
            self.lost["the run's hyperparameters, which are damaged"] += 1

    def _read_properties(self) -> None:
        query = (
            "select r.name, r.created_at, e.name from run r left join experiment e on e.id = r.experiment_id"
            " where r.hash = ?"
        )
        try:
            with opened(self._repository / "run_metadata.sqlite") as connection:
                for name, created, experiment in connection.execute(query, (self.id,)):
                    self.name = None if name is None else str(name)
                    self.project = None if experiment is None else str(experiment)
                    self.created = moment_of(created, None)
        except (sqlite3.Error, OSError):
            self.lost["the run's name and experiment, whose database is damaged"] += 1

    def _read_parameters(self, found: Any) -> None:
        parameters = dict(found) if isinstance(found, dict) else {}
        self._books = {name: parameters.pop(name) for name in _BOOKS if _is_book(parameters.get(name))}
        others = {str(name): value for name, value in parameters.items() if not str(name).startswith(_OWN)}
        own = others.get("hparams")
        if isinstance(own, dict) and not own.keys() & others.keys():
            del others["hparams"]
            others = {**own, **others}
        self.config = storable(others)

    def records(self, scratch: Path) -> Iterator[Metrics | Artifact | Checkpoint]:
        """Yield the values by time, those of one step that were logged within a second together; then the files."""
        try:
            with self._container("meta") as meta, self._container("seqs") as series:
                sequences = Sequences(meta, series, scratch)
                yield from sequences.rows()
                self.lost += sequences.lost
                files = KeptFiles(self._repository.parent, self.id, self._books, scratch)
                yield from files.records(meta, self.created or 0.0)
                self.lost += files.lost
        except OSError:  # of the scratch folder
            raise
        except Exception:  # noqa: BLE001 - RocksDB's and Aim's own, of many types
            self.lost[_DAMAGED] += 1

    @contextmanager
    def _container(self, kind: str) -> Iterator[Container]:
        with tempfile.TemporaryDirectory(prefix="accel_track-") as logs:
            folder = self._repository / kind / "chunks" / self.id
            container = opened_container(folder, (kind, "chunks", self.id), logs)
            try:
                yield container
            finally:
                container.close()


def _is_book(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(one, dict) and "step" in one for one in value.values())


def repositories(place: Path, *, quick: bool = False) -> Iterator[Path]:
    """Yield the folders of Aim's repositories below a folder, or the one that it is; `quick` as for `walked`."""
    for folder, folders, _ in walked(place, quick=quick):
        if is_repository(folder):
            folders.clear()
            yield folder


def is_repository(folder: Path) -> bool:
    """Return whether a folder is one that Aim calls `.aim`."""
    return all((folder / kind / "chunks").is_dir() for kind in ("meta", "seqs"))


def run_hashes(repository: Path) -> list[str]:
    """Return the hashes of a repository's runs, oldest first, as far as their folders tell; links are left out."""
    found = [one for one in (repository / "meta" / "chunks").iterdir() if one.is_dir() and not one.is_symlink()]
    return [one.name for one in sorted(found, key=lambda one: (one.stat().st_mtime, one.name))]


def check_installed() -> None:
    """See whether Aim can be imported.

    Raises:
        NotReadableError: It cannot.
    """
    try:
        import aim.storage.rockscontainer  # noqa: F401
    except ImportError as error:
        message = f"aim: its repositories cannot be read ({error}); install the package `aim`, 3.29 or later."
        raise NotReadableError(message) from error


def read_run(place: str | os.PathLike[str], id: str | None) -> AimRun:  # noqa: A002 - the word of the attribute
    """Return a run of a repository.

    Args:
        place: The folder that has the repository.
        id: The run's hash; None if no run was opened.

    Raises:
        NotReadableError: There is no such run, the repository is at a server, or Aim is not installed.
    """
    if "://" in os.fspath(place):
        message = (
            f"aim: {place} is a server, which gives nothing of a run before its repository is indexed; read it where "
            "the repository is."
        )
        raise NotReadableError(message)
    if id is None:
        message = f"aim: which run in {place} to read is not known before `start`."
        raise NotReadableError(message)
    check_installed()
    folder = Path(place).absolute()
    repository = folder if folder.name == ".aim" else folder / ".aim"
    if not is_repository(repository) or id not in run_hashes(repository):
        message = f"aim: {repository} has no run {id!r}."
        raise NotReadableError(message)
    return AimRun(repository, id)
