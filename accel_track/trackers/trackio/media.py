"""The checkpoints of a Trackio run, as artifacts."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from accel_track.trackers.files import lasting
from accel_track.trackers.names import safe_name
from accel_track.trackers.sdk import SDKTracker

_NOT_IN_ARTIFACTS = r"[^A-Za-z0-9._-]"
_NAME_LENGTH = 120


class TrackioMedia(SDKTracker):
    """The part of the tracker that stores files."""

    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Copy a checkpoint into Trackio's store of artifacts; step and values are its metadata."""
        self._log_artifact(name, path, lasting(values, step))

    def delete_checkpoint(self, name: str) -> None:
        """Replace a checkpoint by a line of text."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "deleted.txt")
            file.write_text("The training program deleted this checkpoint.\n", encoding="utf-8")
            self._log_artifact(name, str(file), {"deleted": True})

    def _log_artifact(self, name: str, path: str, metadata: dict[str, Any]) -> None:
        run = self.tracker
        stored = f"{safe_name(name, _NOT_IN_ARTIFACTS, _NAME_LENGTH)}-{run.id[:8]}"
        artifact = self.import_sdk().Artifact(stored, type="model", metadata=metadata)
        (artifact.add_dir if Path(path).is_dir() else artifact.add_file)(path)
        run.log_artifact(artifact, overwrite=True)
