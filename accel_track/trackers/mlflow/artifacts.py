"""Checkpoints in the artifact folder of an MLflow run."""

from __future__ import annotations

import os
import posixpath
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accel_track.trackers.mlflow.answers import ForeignAnswerError
from accel_track.trackers.mlflow.run import SECONDS, TIMEOUT
from accel_track.trackers.names import safe_name

_FOLDER = "checkpoints"
_ABOUT = "accel_track.json"
"""File beside a checkpoint that tells what is known about it."""

# A server loses a file whose path holds "?", puts one with "%" elsewhere, and refuses "#".
_NOT_IN_PATHS = r"[%?#\\]"
_PATH_LENGTH = 500

_UPLOAD_SECONDS = "600"


def store_checkpoint(client: Any, info: Any, name: str, path: str, about: Mapping[str, Any]) -> None:
    """Upload a checkpoint, then delete what is left of one of that name before it.

    Args:
        client: An `MlflowClient`.
        info: The run's `RunInfo`.
        name: Name of the checkpoint.
        path: A file or a folder.
        about: JSON values to store with it.

    Raises:
        ForeignAnswerError: A file that was sent is not there.
    """
    folder = _folder(name)
    about_path = posixpath.join(folder, _ABOUT)
    repository = _repository(client, info)
    source = Path(path)
    files = [source] if source.is_file() else [file for file in source.rglob("*") if file.is_file()]
    root = source.parent if source.is_file() else source
    kept: dict[str, int | None] = {about_path: None}
    with _patience():
        for file in files:
            target = posixpath.join(folder, _safe(file.relative_to(root).as_posix()))
            _upload(repository, file, target)
            kept[target] = file.stat().st_size
        client.log_dict(info.run_id, dict(about), about_path)
        there = dict(_files(repository, folder))
        for target, size in kept.items():
            if target not in there or (None not in (size, there[target]) and size != there[target]):
                what = f"the file {target!r}, which was sent, is not there"
                raise ForeignAnswerError(what)
        for old in there.keys() - kept:
            repository.delete_artifacts(old)


def describe_checkpoint(client: Any, info: Any, name: str, about: Mapping[str, Any]) -> None:
    """Replace what is stored with a checkpoint, if it is there."""
    if _repository(client, info).list_artifacts(_folder(name)):
        client.log_dict(info.run_id, dict(about), posixpath.join(_folder(name), _ABOUT))


def remove_checkpoint(client: Any, info: Any, name: str) -> None:
    """Delete a checkpoint, if it is there."""
    folder = _folder(name)
    repository = _repository(client, info)
    if _listed(repository, folder):
        repository.delete_artifacts(folder)


def _folder(name: str) -> str:
    return posixpath.join(_FOLDER, _safe(name))


def _safe(path: str) -> str:
    return safe_name(path, _NOT_IN_PATHS, _PATH_LENGTH)


def _upload(repository: Any, file: Path, target: str) -> None:
    folder, name = posixpath.split(target)
    if name == file.name:
        repository.log_artifact(os.fspath(file), folder)
        return
    with tempfile.TemporaryDirectory() as place:  # MLflow takes a file's name from its path
        link = Path(place, name)
        link.symlink_to(file.absolute())
        repository.log_artifact(os.fspath(link), folder)


def _repository(client: Any, info: Any) -> Any:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(info.artifact_uri, tracking_uri=client.tracking_uri)


def _files(repository: Any, folder: str) -> Iterator[tuple[str, int | None]]:
    """Yield the path and the size of each file."""
    for one in _listed(repository, folder):
        if one.is_dir:
            yield from _files(repository, one.path)
        else:
            yield one.path, one.file_size


def _listed(repository: Any, folder: str) -> list[Any]:
    try:
        return list(repository.list_artifacts(folder))
    except (AttributeError, LookupError, TypeError) as error:  # MLflow's client takes any JSON for its server's
        what = f"a list of files that is none: {error}"
        raise ForeignAnswerError(what) from error


@contextmanager
def _patience() -> Iterator[None]:
    """Wait longer for answers than `wait_less` has it: a server answers when it has stored the whole file."""
    shortened = os.environ.get(TIMEOUT) == SECONDS
    if shortened:
        os.environ[TIMEOUT] = _UPLOAD_SECONDS
    try:
        yield
    finally:
        if shortened:
            os.environ[TIMEOUT] = SECONDS
