"""The checkpoints of an MLflow run: an artifact folder each."""

from __future__ import annotations

import os
import posixpath
from typing import Any

from accel_track.trackers.files import files_of
from accel_track.trackers.mlflow.answers import patience
from accel_track.trackers.mlflow.files import (
    ABOUT,
    MLflowFiles,
    check_stored,
    delete_others,
    listed,
    safe_part,
    tell,
    upload,
)

_FOLDER = "checkpoints"


class MLflowCheckpoints(MLflowFiles):
    """The part of the tracker that stores checkpoints."""

    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Upload a checkpoint's files, then delete what is left of a checkpoint of that name before it.

        Raises:
            ForeignAnswerError: A file that was sent is not there.
        """
        repository, folder = self.repository(), _folder(name)
        sizes: dict[str, int | None] = {posixpath.join(folder, ABOUT): None}
        with patience():
            for file, part in files_of(path):
                target = posixpath.join(folder, safe_part(part))
                upload(repository, file, target)
                sizes[target] = os.path.getsize(file)
            tell(repository, {"step": step, **values}, posixpath.join(folder, ABOUT))
            check_stored(repository, sizes)
            delete_others(repository, folder, sizes)

    def describe_checkpoint(self, name: str, step: int | None, values: dict[str, Any]) -> None:
        """Replace the entry of a checkpoint in `accel_track.json`, if it is there."""
        repository, folder = self.repository(), _folder(name)
        if listed(repository, folder):
            tell(repository, {"step": step, **values}, posixpath.join(folder, ABOUT))

    def delete_checkpoint(self, name: str) -> None:
        """Delete the artifact folder of a checkpoint, if it is there."""
        repository, folder = self.repository(), _folder(name)
        if listed(repository, folder):
            repository.delete_artifacts(folder)


def _folder(name: str) -> str:
    return posixpath.join(_FOLDER, safe_part(name))
