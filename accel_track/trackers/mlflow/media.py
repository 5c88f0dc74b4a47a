"""The artifacts of an MLflow run: images, figures, files and checkpoints."""

from __future__ import annotations

import os
import posixpath
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accel_track.trackers.files import files_of
from accel_track.trackers.mlflow.answers import ForeignAnswerError, checked_run, patience, served
from accel_track.trackers.names import safe_name
from accel_track.trackers.sdk import SDKTracker

# The alphabet of `MlflowClient.log_image`, whose keys become part of a file's name.
_NOT_IN_IMAGE_KEYS = r"[^a-zA-Z0-9_\-. ]"
_IMAGE_KEY_LENGTH = 140

# A server loses a file whose path holds "?", puts one with "%" elsewhere, and refuses "#".
_NOT_IN_PATHS = r"[%?#\\]"
_PATH_LENGTH = 500

_FOLDER = "checkpoints"
_ABOUT = "accel_track.json"
"""File beside a checkpoint that tells what is known about it."""


class MLflowMedia(SDKTracker):
    """The part of the tracker that stores artifacts."""

    client: Any
    """The `MlflowClient`, once the tracker was started."""

    def log_images(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Write images to the run's image grid.

        Args:
            values: Names to an image or a list of images, in any form that `accel_track.media.images` takes. One image
                keeps the name; several get `name/0`, `name/1`, ….
            step: Training step.
            **kwargs: Passed to `MlflowClient.log_image`.
        """
        run_id = self._checked_id()
        for name, image in self.named_images(values):
            where = {"key": safe_name(name, _NOT_IN_IMAGE_KEYS, _IMAGE_KEY_LENGTH), "step": step or 0}
            self.client.log_image(run_id, image, **{**where, "synchronous": True, **kwargs})

    def log_figure(self, figure: Any, artifact_file: str, **save_kwargs: Any) -> None:
        """Save a Matplotlib or Plotly figure as the artifact `artifact_file`; `save_kwargs` go to its save method."""
        self.client.log_figure(self._checked_id(), figure, artifact_file, save_kwargs=save_kwargs)

    def log_artifact(self, local_path: str | os.PathLike[str], artifact_path: str | None = None) -> None:
        """Store a file, in the run's artifact folder `artifact_path` if given."""
        self.client.log_artifact(self._checked_id(), os.fspath(local_path), artifact_path)

    def log_artifacts(self, local_dir: str | os.PathLike[str], artifact_path: str | None = None) -> None:
        """Store the files of a folder, in the run's artifact folder `artifact_path` if given."""
        self.client.log_artifacts(self._checked_id(), os.fspath(local_dir), artifact_path)

    def _checked_id(self) -> str:
        # MLflow's client keeps for good where an answer of another server's says that the run's artifacts belong.
        run_id: str = self.tracker.info.run_id
        if served(self.client):
            checked_run(self.client.get_run(run_id), run_id=run_id)
        return run_id

    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Upload a checkpoint's files, then delete what is left of a checkpoint of that name before it.

        Raises:
            ForeignAnswerError: A file that was sent is not there.
        """
        repository, folder = self._repository(), _folder(name)
        sizes: dict[str, int | None] = {posixpath.join(folder, _ABOUT): None}
        with patience():
            for file, part in files_of(path):
                target = posixpath.join(folder, safe_name(part, _NOT_IN_PATHS, _PATH_LENGTH))
                _upload(repository, file, target)
                sizes[target] = os.path.getsize(file)
            self._tell(folder, step, values)
            there = dict(_files(repository, folder))
            for target, size in sizes.items():
                if target not in there or (None not in (size, there[target]) and size != there[target]):
                    what = f"the file {target!r}, which was sent, is not there"
                    raise ForeignAnswerError(what)
            for old in there.keys() - sizes:
                repository.delete_artifacts(old)

    def describe_checkpoint(self, name: str, step: int | None, values: dict[str, Any]) -> None:
        """Replace what `accel_track.json` says of a checkpoint, if it is there."""
        if _listed(self._repository(), _folder(name)):
            self._tell(_folder(name), step, values)

    def delete_checkpoint(self, name: str) -> None:
        """Delete the artifact folder of a checkpoint, if it is there."""
        repository, folder = self._repository(), _folder(name)
        if _listed(repository, folder):
            repository.delete_artifacts(folder)

    def _tell(self, folder: str, step: int | None, values: dict[str, Any]) -> None:
        self.client.log_dict(self.tracker.info.run_id, {"step": step, **values}, posixpath.join(folder, _ABOUT))

    def _repository(self) -> Any:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        return get_artifact_repository(self.tracker.info.artifact_uri, tracking_uri=self.client.tracking_uri)


def _folder(name: str) -> str:
    return posixpath.join(_FOLDER, safe_name(name, _NOT_IN_PATHS, _PATH_LENGTH))


def _upload(repository: Any, file: str, target: str) -> None:
    folder, name = posixpath.split(target)
    if name == os.path.basename(file):
        repository.log_artifact(file, folder)
        return
    with tempfile.TemporaryDirectory() as place:  # MLflow takes a file's name from its path
        link = Path(place, name)
        link.symlink_to(os.path.abspath(file))
        repository.log_artifact(os.fspath(link), folder)


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
