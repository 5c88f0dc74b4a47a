"""The media of a SwanLab run: images, and copies of checkpoints in its folder."""

from __future__ import annotations

import glob
import json
import os
import shutil
from pathlib import Path
from typing import Any

from accel_track.media import without_single_channel
from accel_track.trackers.files import checkpoint_files, lasting
from accel_track.trackers.sole import SoleTracker
from accel_track.trackers.swanlab.files import folders


class SwanLabMedia(SoleTracker):
    """The part of the tracker that stores images and checkpoints."""

    def log_images(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Log images, all of one name together.

        Args:
            values: Names to an image or a list of images, in any form that `accel_track.media.images` takes, or
                `swanlab.Image` objects.
            step: Training step.
            **kwargs: Passed to `swanlab.Image` (e.g. `caption`, `file_type`).
        """
        image = self.import_sdk().Image

        def wrapped(picture: Any) -> Any:
            return picture if isinstance(picture, image) else image(without_single_channel(picture), **kwargs)

        self.log({key: [wrapped(one) for one in found] for key, found in self.images_of(values, keep=image)}, step=step)

    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Copy the files into the run's folder, as `swanlab.save` only links them, and save them."""
        with self.place.using(self):
            run = self.tracker
            if run.mode == "disabled":  # it has a folder in name only
                return
            copies = run.dir / "files" / "checkpoints"
            saved = []
            for file, stored_name in checkpoint_files(name, path):
                saved.append(copies / name / stored_name.removeprefix(f"{name}/"))
                _copy(file, saved[-1])
            for old in [one for one in (copies / name).rglob("*") if one not in saved and not one.is_dir()]:
                old.unlink()
            saved.append(copies / f"{name}.json")
            saved[-1].write_text(json.dumps({**lasting(values), "step": step}), encoding="utf-8")
            for copy in saved:
                if not run.save(glob.escape(os.fspath(copy)), base_path=run.dir / "files", policy="now"):
                    self.drop("checkpoint", path, "SwanLab could not save the file, see its error above")

    def delete_checkpoint(self, name: str) -> None:
        """Delete the copies in the run's folders, unless they may still be waiting for their upload."""
        if self.tracker.mode != "online":
            for folder in folders(self.tracker):
                files = folder / "files" / "checkpoints"
                shutil.rmtree(files / name, ignore_errors=True)
                (files / f"{name}.json").unlink(missing_ok=True)


def _copy(file: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # There is a file at any time: SwanLab's thread, which is behind, puts a link to it where it finds none.
    partial = target.with_name(f"{target.name}.part")
    shutil.copyfile(file, partial)
    os.replace(partial, target)
