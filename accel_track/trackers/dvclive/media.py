"""The checkpoints of a DVCLive run, as artifacts in DVC."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from accel_track.trackers.dvclive.fast import LivePath
from accel_track.trackers.dvclive.folders import dvc_alone
from accel_track.trackers.files import lasting
from accel_track.trackers.names import hashed_name
from accel_track.trackers.sdk import SDKTracker

_ARTIFACT = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?")
_NAME_LENGTH = 200


class DVCLiveMedia(SDKTracker):
    """The part of the tracker that stores files."""

    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Copy a checkpoint and add it to DVC; step and values are with it in `dvc.yaml`."""
        _ = self.tracker  # says that it was not started
        checkpoint = _artifact_name(name), Path(path), lasting(values, step)
        with dvc_alone():
            problem = self.fast(LivePath).use(lambda fast: fast.store_checkpoint(*checkpoint))
        if problem != "":
            self.drop("checkpoint", path, problem or "the installed DVCLive's artifacts are not known here")

    def delete_checkpoint(self, name: str) -> None:
        """Delete a checkpoint's copy and its entry in `dvc.yaml`."""
        self.fast(LivePath).use(lambda fast: fast.delete_checkpoint(_artifact_name(name)))


def _artifact_name(name: str) -> str:
    if _ARTIFACT.fullmatch(name) and len(name) <= _NAME_LENGTH:
        return name
    return hashed_name(re.sub(r"[^A-Za-z0-9]+", "-", name).lstrip("-") or "checkpoint", name, _NAME_LENGTH)
