"""The files of a SwanLab run: copies of checkpoints, artifacts and media in its folder."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from accel_track.errors import EndedError
from accel_track.media import File
from accel_track.texts import json_bytes
from accel_track.trackers.files import artifact_files, checkpoint_files, lasting
from accel_track.trackers.names import flat_name
from accel_track.trackers.rows import Row
from accel_track.trackers.sole import SoleTracker
from accel_track.trackers.swanlab.files import folders

_CONTROL, _NAME_LENGTH = r"[\x00-\x1f\x7f]", 120


class SwanLabFiles(SoleTracker):
    """The part of the tracker that saves files: copies in the run's folder, as `swanlab.save` only links them."""

    _folder: Path | None = None
    """The run's folder, if the run is in files of this computer only."""

    def alive(self) -> Any:
        """Return the run if it takes values.

        Raises:
            EndedError: It is over.
        """
        run = self.tracker
        if not run.alive:
            message = f"{self.name}: the run takes no more values; the program has finished it."
            raise EndedError(message)
        return run

    def store_file(self, name: str, file: File, row: Row) -> None:
        """Save a file as `media/<name>/<step>-<digest><suffix>`."""
        data = file.data()
        stored = f"{'-' if row.step is None else row.step}-{hashlib.sha256(data).hexdigest()[:8]}{file.suffix}"
        with self.place.using(self):
            if self.alive().mode != "disabled":  # it has a folder in name only
                copy = self._files / "media" / _folder(name) / stored
                _copy(os.fspath(file.path or ""), copy)
                self._save([copy], name)

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
        """Save copies as `artifacts/<name>/<microseconds>/files/…`; `artifact.json` beside them has the rest."""
        own = os.path.basename(os.path.normpath(path)) if name is None else name
        with self.place.using(self):
            if self.alive().mode == "disabled":
                return
            place = self._files / "artifacts" / _folder(own) / str(int(self.now() * 1e6))
            copies = []
            for file, part in artifact_files(path):
                copies.append(place / "files" / part)
                _copy(file, copies[-1])
            known = place / "artifact.json"
            known.write_bytes(json_bytes({"name": own, "type": type or "artifact", "step": step, "metadata": metadata}))
            self._save([*copies, known], own)

    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Save copies as `checkpoints/<name>/…`, and what is known about them as `checkpoints/<name>.json`."""
        with self.place.using(self):
            if self.alive().mode == "disabled":
                return
            place = self._files / "checkpoints"
            copies = []
            for file, stored_name in checkpoint_files(name, path):
                copies.append(place / name / stored_name.removeprefix(f"{name}/"))
                _copy(file, copies[-1])
            for old in [one for one in (place / name).rglob("*") if one not in copies and not one.is_dir()]:
                old.unlink()
            known = place / f"{name}.json"
            known.write_text(json.dumps({**lasting(values), "step": step}), encoding="utf-8")
            self._save([*copies, known], "checkpoint")

    def delete_checkpoint(self, name: str) -> None:
        """Delete the copies in the run's folders, unless they may still be waiting for their upload."""
        if self.tracker.mode != "online":
            for folder in folders(self.tracker):
                files = folder / "files" / "checkpoints"
                shutil.rmtree(files / name, ignore_errors=True)
                (files / f"{name}.json").unlink(missing_ok=True)

    @property
    def _files(self) -> Path:
        return Path(self.tracker.dir) / "files"

    def _save(self, copies: Iterable[Path], name: str) -> None:
        for copy in copies:
            if not self.tracker.save(glob.escape(os.fspath(copy)), base_path=self._files, policy="now"):
                self.drop(name, copy, "SwanLab could not save the file, see its error above")


def _folder(name: str) -> str:
    return flat_name(name, _CONTROL, _NAME_LENGTH)


def _copy(file: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # There is a file at any time: SwanLab's thread, which is behind, puts a link to it where it finds none.
    partial = target.with_name(f"{target.name}.part")
    shutil.copyfile(file, partial)
    os.replace(partial, target)
