"""Keep checkpoints in the artifact folder of an MLflow run."""

from __future__ import annotations

import os
import posixpath
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accel_track.trackers._mlflow_run import SECONDS, TIMEOUT
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
    """
    folder = _folder(name)
    about_path = posixpath.join(folder, _ABOUT)
    repository = _repository(client, info)
    source = Path(path)
    files = [source] if source.is_file() else [file for file in source.rglob("*") if file.is_file()]
    root = source.parent if source.is_file() else source
    kept = {about_path}
    with _patience():
        for file in files:
            target = posixpath.join(folder, _safe(file.relative_to(root).as_posix()))
            _upload(repository, file, target)
            kept.add(target)
        client.log_dict(info.run_id, dict(about), about_path)
        for old in set(_files(repository, folder)) - kept:
            repository.delete_artifacts(old)


def remove_checkpoint(client: Any, info: Any, name: str) -> None:
    """Delete a checkpoint, if it is there."""
    folder = _folder(name)
    repository = _repository(client, info)
    if repository.list_artifacts(folder):
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


def _files(repository: Any, folder: str) -> Iterator[str]:
    for one in repository.list_artifacts(folder):
        if one.is_dir:
            yield from _files(repository, one.path)
        else:
            yield one.path


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
