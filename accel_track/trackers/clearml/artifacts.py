"""The artifacts of a ClearML task, models and checkpoints among them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accel_track.texts import storable_text
from accel_track.trackers.clearml.fast import Tasks
from accel_track.trackers.clearml.samples import fitting
from accel_track.trackers.files import lasting
from accel_track.trackers.sole import SoleTracker
from accel_track.values.plain import flat_config


class ClearMLArtifacts(SoleTracker):
    """The part of the tracker that stores files."""

    def log_artifact(
        self,
        path: str | os.PathLike[str],
        name: str | None = None,
        *,
        type: str | None = None,  # noqa: A002 - the word of all SDKs
        metadata: Mapping[str, Any] | None = None,
        copy: bool | None = None,
        step: int | None = None,
    ) -> None:
        """Upload a file, or a folder as an archive, and wait for that; one of the same name is replaced."""
        whole = os.path.abspath(path)
        about = {"type": type or "artifact", **({} if step is None else {"step": step}), **(metadata or {})}
        self._upload(fitting(storable_text(name or os.path.basename(whole))), whole, about)

    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Upload a checkpoint as an artifact, and wait for that; step and values are its metadata."""
        self._upload(name, path, {**({} if step is None else {"step": step}), **lasting(values)})

    def _upload(self, name: str, path: str, about: Mapping[str, Any]) -> None:
        with self.place.using(self):
            self.delete_checkpoint(name)  # ClearML itself would leave a file of another name in its storage
            if not self.tracker.upload_artifact(name, Path(path), metadata=flat_config(about), wait_on_upload=True):
                message = f"{self.name}: {name!r} was not uploaded; see ClearML's own message."
                raise RuntimeError(message)

    def delete_checkpoint(self, name: str) -> None:
        """Delete a checkpoint's artifact, if there is one, and its file."""
        task = self.tracker
        if name in task.artifacts:
            task.delete_artifacts([name], raise_on_errors=False, silent_on_errors=True)
            self.fast(Tasks).use(lambda tasks: tasks.forget_artifact(task, name))
