"""The artifacts of a wandb run, and the files that were saved with it."""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accel_track.media.kinds import Video
from accel_track.records import Artifact, Metrics
from accel_track.trackers.reading.copies import FULL, copied, new_folder, only
from accel_track.trackers.reading.lost import UNREADABLE, LostError
from accel_track.trackers.reading.places import file_within, within
from accel_track.trackers.reading.values import step_of
from accel_track.trackers.wandb.fields import decode

_OWN_TYPES = ("run_table", "job", "code")
_VIDEOS = (".mov", ".mkv", ".avi", ".wmv")


class StoredArtifacts:
    """The content of a run's artifacts, from wandb's own copies.

    Args:
        run_id: The run's id, of which the tracker makes names.
        lost: Counts, by a sentence, what cannot be read.
        scratch: A folder for copies.
    """

    def __init__(self, run_id: str, lost: Counter[str], scratch: Path) -> None:
        """Keep the id, the counter and the folder."""
        self._run_id, self._lost, self._scratch = run_id, lost, scratch

    def version(self, artifact: Any, path: Path, moment: float) -> Iterator[Artifact | Metrics]:
        """Yield a version of an artifact; a video that is none of wandb's kinds, as the value that it was.

        Args:
            artifact: Its record.
            path: The run's file.
            moment: The time of the row before it.
        """
        if artifact.type in _OWN_TYPES or artifact.type.startswith("wandb-"):
            return
        about, step = _metadata(artifact.metadata)
        folder, files = new_folder(self._scratch), {}
        for entry in artifact.manifest.contents:
            if (file := self._part(entry, path, folder)) is not None:
                files[entry.path] = file
        if not files:
            self._lost["an artifact without a file that can be read"] += 1
            return
        ours = artifact.name == f"model-{self._run_id}" or artifact.name.startswith(f"media-{self._run_id}-")
        name = str((about.pop("name", None) if ours else None) or artifact.name)
        content = only(folder, list(files.values()))
        if ours and artifact.type == "media" and content.suffix in _VIDEOS:
            yield Metrics(-1, moment, {name: Video(content)}, step)
        else:
            yield Artifact(-1, moment, about, name, str(content), artifact.type, step)

    def _part(self, entry: Any, path: Path, folder: Path) -> Path | None:
        """Return the path of a copy of an artifact's file in a folder."""
        try:
            return copied(_entry(entry, path), folder, entry.path)
        except LostError as error:
            self._lost[str(error)] += 1
        except OSError as error:
            if error.errno in FULL:
                raise
            self._lost[UNREADABLE] += 1
        return None

    def saved(self, files: Any, path: Path, moment: float) -> Iterator[Artifact]:
        """Yield the files that the user has saved with the run."""
        for one in files:
            if one.path.startswith("media/") or one.type != 0:  # those of media, and wandb's own
                continue
            try:
                found = within(f"files/{one.path}", path.parent)
            except LostError as error:
                self._lost[str(error)] += 1
            else:
                if found.is_file():
                    yield Artifact(-1, moment, {}, one.path, str(found), "file")


def _metadata(text: str) -> tuple[dict[str, Any], int | None]:
    try:
        about = decode(text) if text else {}
    except (ValueError, RecursionError):
        about = {}
    if not isinstance(about, dict):
        return {}, None
    step = step_of(about.get("step"))
    if step is None:
        return about, None
    return {name: value for name, value in about.items() if name != "step"}, step


def _entry(entry: Any, path: Path) -> Path:
    """Return the file of an entry of an artifact: wandb's copy, with the content that it had.

    Raises:
        LostError: There is none here, or another one.
    """
    from wandb.env import get_data_dir

    if not entry.local_path:
        message = (
            "a file of an artifact that is somewhere else" if entry.ref else "a file of an artifact without content"
        )
        raise LostError(message)
    found = file_within(os.path.expanduser(entry.local_path), path.parent, os.path.join(get_data_dir(), "artifacts"))
    digest = hashlib.md5(usedforsecurity=False)
    with found.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    if b64encode(digest.digest()).decode() != entry.digest:
        message = "a file of an artifact that was changed since"
        raise LostError(message)
    return found
