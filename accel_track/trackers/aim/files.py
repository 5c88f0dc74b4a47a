"""The files of an Aim run: its artifacts, checkpoints among them, and what is known about these."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from accel_track.texts import storable_text
from accel_track.trackers.aim.living import AimLiving
from accel_track.trackers.aim.values import EMPTY, encodable
from accel_track.trackers.fast import FastPath
from accel_track.trackers.files import artifact_files, files_of
from accel_track.trackers.names import safe_name

_CHECKPOINTS = "checkpoints"
"""The folder of checkpoints, and the name under which a run has what is known about them."""

_ARTIFACTS = "artifacts"
"""The name under which a run has what is known about users' artifacts."""

_NOT_IN_PATHS = r"[\\\x00-\x1f\x7f]"
_PATH_LENGTH, _NAME_LENGTH = 500, 200


class ArtifactsPath(FastPath):
    """The removal of an artifact from Aim's list, for which it has no call."""

    distribution = "aim"
    tested = "==3.29.*"
    attributes = ("meta_run_tree.subtree",)

    def strike(self, name: str) -> bool:
        """Take an artifact off the list."""
        del self.native.meta_run_tree.subtree("artifacts")[name]
        return True


class AimFiles(AimLiving):
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
        """Store a file, or a folder's files, as the artifacts `<name>/…`; `run["artifacts"]` says what it is.

        Args:
            path: The file or folder.
            name: Name of the artifact; None: that of the file or folder.
            type: What it is.
            metadata: What is known about it.
            copy: Of no account here.
            step: Training step.
        """
        source = os.fspath(path)
        shown = name or os.path.basename(os.path.normpath(source))
        if reason := self.without_artifacts():
            self.drop(shown, source, reason)
            return
        for file, part in artifact_files(source):
            self.put(file, f"{safe_path(shown)}/{_safe_part(part)}")
        self._tell(_ARTIFACTS, shown, {"type": type or "artifact", "step": step, **(metadata or {})})

    def put(self, file: str | os.PathLike[str], key: str) -> None:
        """Store a file as the artifact of that name, and see that it is there."""
        self.alive().log_artifact(os.fspath(file), key, block=True)
        place = urlsplit(self.tracker.artifacts_uri or "")
        if place.scheme == "file" and not Path(place.path, key).is_file():  # Aim's "safe mode" raises nothing
            message = f"Aim has not stored the artifact {key!r}; its log says why"
            raise OSError(message)

    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Copy a checkpoint's files, then delete what is left of one of that name before it."""
        if reason := self.without_artifacts():
            self.drop("checkpoint", path, reason)
            return
        files = {f"{_CHECKPOINTS}/{name}/{part}": file for file, part in files_of(path)}
        for key, file in files.items():
            self.put(file, key)
        self._delete_files(name, files)
        self._tell(_CHECKPOINTS, name, {"step": step, **values})

    def describe_checkpoint(self, name: str, step: int | None, values: dict[str, Any]) -> None:
        """Change the entry of a checkpoint in `run["checkpoints"]`, if it is there."""
        if name in self.alive().get(_CHECKPOINTS, {}):
            self._tell(_CHECKPOINTS, name, {"step": step, **values})

    def delete_checkpoint(self, name: str) -> None:
        """Delete a checkpoint, if it is in a local folder and Aim's list of artifacts is as this package knows it."""
        if self._delete_files(name, ()):
            self._tell(_CHECKPOINTS, name, None)

    def without_artifacts(self) -> str:
        """Give a run without `artifacts_uri` one beside its repository; return why not where that cannot be."""
        run = self.alive()
        if run.artifacts_uri is not None:
            return ""
        if run.repo.is_remote_repo:
            return "the repository is remote, and the run has no `artifacts_uri`"
        place = f"file://{Path(run.repo.root_path, 'aim_artifacts').as_posix()}"
        if urlsplit(place).query or urlsplit(place).fragment:  # Aim takes no escapes, and would cut the path there
            return "the repository's path holds '?' or '#', and the run has no `artifacts_uri`"
        run.set_artifacts_uri(place)
        return ""

    def _tell(self, place: str, name: str, about: Mapping[str, Any] | None) -> None:
        """Store the facts about an entry; None removes them."""
        shown = storable_text(name) or EMPTY
        run = self.alive()
        known = {key: value for key, value in run.get(place, {}).items() if key != shown}
        run[place] = known if about is None else {**known, shown: encodable(about)}

    def _delete_files(self, name: str, kept: Collection[str]) -> bool:
        """Delete a checkpoint's files but those to be kept; say whether that could be done."""
        place = urlsplit(self.alive().artifacts_uri or "")
        if place.scheme != "file":
            return False
        folder = f"{_CHECKPOINTS}/{name}"
        for key in [one for one in self.tracker.artifacts if PurePosixPath(one).is_relative_to(folder)]:
            if key in kept:
                continue
            if not self.fast(ArtifactsPath).use(lambda path: path.strike(key)):  # noqa: B023 - called at once
                return False
            # Aim's own way to delete an artifact takes the file for a folder, and fails.
            Path(place.path, key).unlink(missing_ok=True)
            for parent in PurePosixPath(key).parents[:-2]:
                with suppress(OSError):  # it holds something
                    Path(place.path, parent).rmdir()
        return True


def safe_path(name: str) -> str:
    """Return a user's name as the path of a file or folder."""
    return safe_name(name, _NOT_IN_PATHS, _NAME_LENGTH)


def _safe_part(part: str) -> str:
    return safe_name(part, _NOT_IN_PATHS, _PATH_LENGTH)
