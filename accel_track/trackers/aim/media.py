"""The media of an Aim run: images, and checkpoints as artifacts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from accel_track.trackers.aim.values import encodable, has_caption
from accel_track.trackers.fast import FastPath
from accel_track.trackers.files import files_of
from accel_track.trackers.sdk import SDKTracker

_FOLDER = "checkpoints"
"""The folder of the artifacts, and the name under which a run has what is known about them."""


class ArtifactsPath(FastPath):
    """Strikes an artifact off Aim's list, for which it has no call."""

    distribution = "aim"
    tested = "==3.29.*"
    attributes = ("meta_run_tree.subtree",)

    def strike(self, name: str) -> bool:
        """Take an artifact off the list."""
        del self.native.meta_run_tree.subtree("artifacts")[name]
        return True


class AimMedia(SDKTracker):
    """The part of the tracker that stores images and checkpoints."""

    def log_images(
        self,
        values: dict[str, Any],
        step: int | None = None,
        kwargs: Mapping[str, Mapping[str, Any]] | None = None,
        **more: Any,
    ) -> None:
        """Track images.

        Args:
            values: Names to an image or a list of images, in any form that `accel_track.media.images` takes, or to a
                tuple of that and a caption.
            step: Training step.
            kwargs: `{"aim_image": …}` for `aim.Image` (e.g. `format`, `quality`), `{"track": …}` for `Run.track`.
            **more: Also for `Run.track` (`context`, `epoch`).
        """
        image, given = self.import_sdk().Image, kwargs or {}
        captions = {name: value[1] for name, value in values.items() if has_caption(value)}
        uncaptioned = {name: value[0] if name in captions else value for name, value in values.items()}
        # Always a list: Aim refuses a list under a name that holds single images, and the other way round.
        sequences = {
            name: [image(one, **{"caption": captions.get(name, ""), **given.get("aim_image", {})}) for one in found]
            for name, found in self.images_of(uncaptioned)
            if found
        }
        self.log(sequences, step=step, **{**given.get("track", {}), **more})

    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Copy a checkpoint's files, then delete what is left of one of that name before it."""
        if reason := _without_artifacts(self.tracker):
            self.drop("checkpoint", path, reason)
            return
        files = {f"{_FOLDER}/{name}/{part}": file for file, part in files_of(path)}
        for key, file in files.items():
            self.tracker.log_artifact(file, key, block=True)
        self._delete_files(name, files)
        self._tell(name, {"step": step, **values})

    def describe_checkpoint(self, name: str, step: int | None, values: dict[str, Any]) -> None:
        """Change what `run["checkpoints"]` says of a checkpoint, if it is there."""
        if name in self.tracker.get(_FOLDER, {}):
            self._tell(name, {"step": step, **values})

    def delete_checkpoint(self, name: str) -> None:
        """Delete a checkpoint, if it is in a local folder and Aim's list of artifacts is as this package knows it."""
        if self._delete_files(name, ()):
            self._tell(name, None)

    def _tell(self, name: str, about: Mapping[str, Any] | None) -> None:
        known = {key: value for key, value in self.tracker.get(_FOLDER, {}).items() if key != name}
        self.tracker[_FOLDER] = known if about is None else {**known, name: encodable(about)}

    def _delete_files(self, name: str, kept: Collection[str]) -> bool:
        """Delete a checkpoint's files but those to be kept; say whether that could be done."""
        place = urlsplit(self.tracker.artifacts_uri or "")
        if place.scheme != "file":
            return False
        for key in [one for one in self.tracker.artifacts if PurePosixPath(one).is_relative_to(f"{_FOLDER}/{name}")]:
            if key in kept:
                continue
            if not self.fast(ArtifactsPath).use(lambda path: path.strike(key)):  # noqa: B023 - called at once
                return False
            # Aim's own way to delete an artifact takes the file for a folder, and fails.
            Path(place.path, key).unlink(missing_ok=True)
            for folder in PurePosixPath(key).parents[:-2]:
                with suppress(OSError):  # it holds something
                    Path(place.path, folder).rmdir()
        return True


def _without_artifacts(run: Any) -> str:
    """Give a run without `artifacts_uri` one beside its repository; return why not where that cannot be."""
    if run.artifacts_uri is not None:
        return ""
    if run.repo.is_remote_repo:
        return "the repository is remote, and the run has no `artifacts_uri`"
    place = f"file://{Path(run.repo.root_path, 'aim_artifacts').as_posix()}"
    if urlsplit(place).query or urlsplit(place).fragment:  # Aim takes no escapes, and would cut the path there
        return "the repository's path holds '?' or '#', and the run has no `artifacts_uri`"
    run.set_artifacts_uri(place)
    return ""
