"""The files of an MLflow run: sent to its artifact repository, looked for on a server, and listed."""

from __future__ import annotations

import json
import os
import posixpath
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from accel_track.trackers.mlflow.answers import ForeignAnswerError, patience, served
from accel_track.trackers.names import safe_name
from accel_track.trackers.sdk import SDKTracker

ABOUT = "accel_track.json"
"""File, or what a file's name ends in, that tells what is known about a checkpoint, an artifact or a model."""

# A server loses a file whose path holds "?", puts one with "%" elsewhere, and refuses "#"; spaces at an end get lost.
_NOT_IN_PATHS = r"[%?#\\\x00-\x1f\x7f]|^\s|\s$"
_PATH_LENGTH = 500
_NAME_LENGTH = 200


class MLflowFiles(SDKTracker):
    """The part of the tracker that stores files.

    A server's acknowledgment of a file may be another server's. So media that it has acknowledged are looked for in
    `flush`; those that are not there are sent again.
    """

    client: Any
    """The `MlflowClient`, once the tracker was started."""

    _sent: dict[str, tuple[Path, int]]
    """The files, and their sizes, that a server has acknowledged since the last `flush`, by their paths there."""

    def put(self, file: Path, target: str) -> None:
        """Store a medium's file, readable as new files are, under a path of the run; one of that path is replaced."""
        self._copied(file, target)
        if served(self.client):
            self._sent[target] = file, file.stat().st_size

    def prove_files(self) -> None:
        """Look for the media that a server has acknowledged, and send again those that are not there.

        Raises:
            ForeignAnswerError: One is still not there, or what answers is no MLflow server.
        """
        if self.native is None or not self._sent:
            return
        sizes = {target: size for target, (_, size) in self._sent.items()}
        if missing := lacking(self.repository(), sizes):
            for target in missing:
                self._copied(self._sent[target][0], target)
            check_stored(self.repository(), {target: sizes[target] for target in missing})
        self._sent.clear()

    def repository(self) -> Any:
        """Return MLflow's way to the run's artifacts, which are where the run itself says."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        return get_artifact_repository(self.tracker.info.artifact_uri, tracking_uri=self.client.tracking_uri)

    def _copied(self, file: Path, target: str) -> None:
        with tempfile.TemporaryDirectory() as place, patience():
            copy = Path(place, posixpath.basename(target))
            shutil.copyfile(file, copy)  # a journal's file is its owner's only, and MLflow copies permissions
            self.repository().log_artifact(os.fspath(copy), posixpath.dirname(target))


def safe_path(name: str) -> str:
    """Return a user's name as a path of files."""
    return safe_name(name, _NOT_IN_PATHS, _NAME_LENGTH)


def safe_part(part: str) -> str:
    """Return the path of a file in a folder as a path of files."""
    return safe_name(part, _NOT_IN_PATHS, _PATH_LENGTH)


def upload(repository: Any, file: str, target: str) -> None:
    """Send a user's file under a path; a file of that path is replaced."""
    folder, name = posixpath.split(target)
    if name == os.path.basename(file):
        repository.log_artifact(file, folder)
        return
    with tempfile.TemporaryDirectory() as place:  # MLflow takes a file's name from its path
        link = Path(place, name)
        link.symlink_to(os.path.abspath(file))
        repository.log_artifact(os.fspath(link), folder)


def tell(repository: Any, values: Mapping[str, Any], target: str) -> None:
    """Store the facts about an entry, as JSON."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, posixpath.basename(target))
        file.write_text(json.dumps(values, indent=2, default=str))
        repository.log_artifact(os.fspath(file), posixpath.dirname(target))


def files(repository: Any, folder: str) -> Iterator[tuple[str, int | None]]:
    """Yield the path and the size of each file in a folder."""
    for one in listed(repository, folder):
        if one.is_dir:
            yield from files(repository, one.path)
        else:
            yield one.path, one.file_size


def listed(repository: Any, folder: str) -> list[Any]:
    """Return the content of a folder.

    Raises:
        ForeignAnswerError: The answer is not a list.
    """
    try:
        return list(repository.list_artifacts(folder))
    except (AttributeError, LookupError, TypeError) as error:  # MLflow's client takes any JSON for its server's
        what = f"a list of files that is none: {error}"
        raise ForeignAnswerError(what) from error


def lacking(repository: Any, sizes: Mapping[str, int | None]) -> list[str]:
    """Return the files that are missing, or have other sizes.

    Args:
        repository: Where they are.
        sizes: Bytes by path; None if they are not known.
    """
    there = {
        one.path: one.file_size
        for folder in sorted({posixpath.dirname(target) for target in sizes})
        for one in listed(repository, folder)
        if not one.is_dir
    }
    return [
        target
        for target, size in sizes.items()
        if target not in there or (None not in (size, there[target]) and size != there[target])
    ]


def check_stored(repository: Any, sizes: Mapping[str, int | None]) -> None:
    """Raise an error where a file is not there; arguments as for `lacking`.

    Raises:
        ForeignAnswerError: A file that was sent is not there.
    """
    if missing := lacking(repository, sizes):
        what = f"the file {missing[0]!r}, which was sent, is not there"
        raise ForeignAnswerError(what)


def delete_others(repository: Any, folder: str, kept: Collection[str]) -> None:
    """Delete a folder's files but those to be kept."""
    for path in [path for path, _ in files(repository, folder) if path not in kept]:
        repository.delete_artifacts(path)
