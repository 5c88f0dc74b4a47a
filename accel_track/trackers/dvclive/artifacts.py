"""The artifacts of a DVCLive run, models and checkpoints among them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from accel_track.texts import storable_text
from accel_track.trackers.dvclive.fast import LivePath
from accel_track.trackers.dvclive.folders import dvc_alone
from accel_track.trackers.files import lasting
from accel_track.trackers.names import hashed_name
from accel_track.trackers.sdk import SDKTracker
from accel_track.values.plain import long_integers_as_text, storable

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?")
_LENGTH = 200


class DVCLiveArtifacts(SDKTracker):
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
        """Copy a file or folder into `artifacts`, and in a DVC repository add it to DVC; replace one of its name."""
        _ = self.tracker  # says that it was not started
        whole = Path(os.path.abspath(path))
        name = storable_text(name or whole.name)
        own = fitting(name)
        about = {
            **({} if own == name else {"name": name}),
            **({} if step is None else {"step": step}),
            **(metadata or {}),
        }
        meta = long_integers_as_text(storable(about))
        self._store(name, lambda fast: fast.store_artifact(own, whole, type or "artifact", meta))

    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Copy a checkpoint and add it to DVC; step and values are with it in `dvc.yaml`."""
        _ = self.tracker  # as above
        about = lasting(values, step)

        def store(fast: LivePath) -> str:
            if fast.in_repository():
                return fast.store_artifact(fitting(name), Path(path), "model", about)
            return "DVCLive keeps checkpoints in a DVC repository only; run `git init` and `dvc init` above its folder"

        self._store("checkpoint", store)

    def _store(self, name: str, store: Callable[[LivePath], str]) -> None:
        with dvc_alone():
            problem = self.fast(LivePath).use(store)
        if problem != "":
            self.drop(name, None, problem or "the installed DVCLive's artifacts are not known here")

    def delete_checkpoint(self, name: str) -> None:
        """Delete a checkpoint's copy and its entry in `dvc.yaml`."""
        self.fast(LivePath).use(lambda fast: fast.delete_artifact(fitting(name)))


def fitting(name: str) -> str:
    """Return `name`, or where DVC takes no such name a similar one."""
    if _NAME.fullmatch(name) and len(name) <= _LENGTH:
        return name
    return hashed_name(re.sub(r"[^A-Za-z0-9]+", "-", name).lstrip("-") or "checkpoint", name, _LENGTH)
