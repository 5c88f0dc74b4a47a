"""The artifacts of an MLflow run or model, as files: in a folder, or where MLflow's own repository gets them from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from accel_track.trackers.reading.copies import FULL, copied, new_folder, target
from accel_track.trackers.reading.lost import MISSING, UNREADABLE, LostError, MissingError
from accel_track.trackers.reading.places import file_within, within
from accel_track.trackers.reading.walks import walked

T = TypeVar("T")


class Files(Protocol):
    """The files of one run or model."""

    def paths(self) -> Iterator[str]:
        """Yield the path of each, with "/"."""

    def fetch(self, path: str, folder: Path) -> Path:
        """Return the path of a copy of one in a folder, under its own path there.

        Raises:
            LostError: It cannot be read.
        """


def files_at(address: str | None, folders: Sequence[str] | None, tracking_uri: str | None) -> Files:
    """Return the files at an address.

    Args:
        address: A path, or a URI.
        folders: The local folders in which they may be; None: wherever they are.
        tracking_uri: The server that gets them, or None.

    Raises:
        LostError: They are elsewhere, or not there.
    """
    if (path := _local(address or "")) is not None:
        return _LocalFiles(path if folders is None else str(within(path, *(folders or [os.devnull]))))
    try:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        return _RemoteFiles(get_artifact_repository(address or "", tracking_uri=tracking_uri))
    except Exception as error:
        message = "an artifact that is where MLflow, as it is installed here, does not get to"
        raise LostError(message) from error


def _local(address: str) -> str | None:
    parts = urlsplit(address)
    if parts.scheme == "file":
        return unquote(parts.path)
    return address if not parts.scheme or os.path.isabs(address) else None


class _LocalFiles:
    def __init__(self, root: str) -> None:
        self._root = root

    def paths(self) -> Iterator[str]:
        root = Path(self._root)
        for folder, _, files in walked(root):
            yield from ((folder / file).relative_to(root).as_posix() for file in files)

    def fetch(self, path: str, folder: Path) -> Path:
        return _tried(lambda: copied(file_within(path, self._root), folder, path))


class _RemoteFiles:
    def __init__(self, repository: Any) -> None:
        self._repository = repository

    def paths(self) -> Iterator[str]:
        return self._below(None, set())

    def _below(self, folder: str | None, seen: set[str]) -> Iterator[str]:
        for one in _tried(lambda: self._repository.list_artifacts(folder)):
            if not one.is_dir:
                yield one.path
            elif one.path not in seen:  # a hostile answer may lead in a circle
                seen.add(one.path)
                yield from self._below(one.path, seen)

    def fetch(self, path: str, folder: Path) -> Path:
        place = target(folder, path)
        got = _tried(lambda: Path(self._repository.download_artifacts(path, str(new_folder(folder.parent)))))
        if not got.is_file():
            raise MissingError(MISSING)
        return got.replace(place)


def _tried(read: Callable[[], T]) -> T:
    try:
        return read()
    except LostError:
        raise
    except Exception as error:  # the file system's, MLflow's, and those of stores of objects
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        raise LostError(UNREADABLE) from error
