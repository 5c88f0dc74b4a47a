"""The media of a ClearML task: images, tables and checkpoints."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accel_track.media import rows, without_single_channel
from accel_track.trackers.clearml.fast import Tasks
from accel_track.trackers.files import lasting
from accel_track.trackers.sole import SoleTracker
from accel_track.values.plain import flat_config


class ClearMLMedia(SoleTracker):
    """The part of the tracker that stores media and files."""

    _pictures: tempfile.TemporaryDirectory[str] | None = None

    def log_images(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Report images to the debug samples, as PNG files: of an array, ClearML would make a JPEG, in its own thread.

        Args:
            values: Names to an image or a list of images, in any form that `accel_track.media.images` takes. The name
                is the title, and the series too; of several, the series are `name/0`, `name/1`, ….
            step: Training step.
            **kwargs: Passed to `Logger.report_image`. Without `max_image_history`, all images are kept.
        """
        logger = self.tracker.get_logger()
        options = {"max_image_history": -1, "delete_after_upload": True, **kwargs}
        for name, pictures in self.images_of(values):
            for index, picture in enumerate(pictures):
                series = name if len(pictures) == 1 else f"{name}/{index}"
                logger.report_image(name, series, step, local_path=self._png(picture), **options)

    def _png(self, picture: Any) -> str:
        """Return the path of a file that holds an image."""
        from PIL import Image

        if self._pictures is None:
            self._pictures = tempfile.TemporaryDirectory(prefix="accel_track-clearml-")
        number, path = tempfile.mkstemp(".png", dir=self._pictures.name)
        with open(number, "wb") as file:
            Image.fromarray(without_single_channel(picture)).save(file, "PNG")
        return path

    def forget_pictures(self) -> None:
        """Delete the files of images, which ClearML has uploaded, or never will."""
        if self._pictures is not None:
            self._pictures.cleanup()
            self._pictures = None

    def log_table(
        self,
        table_name: str,
        columns: list[str] | None = None,
        data: Sequence[Sequence[Any]] | None = None,
        dataframe: Any = None,
        step: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Report a table to the plots.

        Args:
            table_name: Title and series of the table.
            columns: Names of the columns.
            data: The rows, if there is no `dataframe`.
            dataframe: A pandas data frame, whose index is left out, if there is no `data`.
            step: Training step.
            **kwargs: Passed to `Logger.report_table`.
        """
        names, cells = rows(columns, data, dataframe)
        self.tracker.get_logger().report_table(table_name, table_name, step or 0, [names, *cells], **kwargs)

    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Upload a checkpoint as an artifact, and wait for that; step and values are its metadata."""
        metadata = flat_config({**({} if step is None else {"step": step}), **lasting(values)})
        self.delete_checkpoint(name)  # ClearML itself would leave a file of another name in its storage
        if not self.tracker.upload_artifact(name, Path(path), metadata=metadata, wait_on_upload=True):
            message = f"{self.name}: the checkpoint {name!r} was not uploaded; see ClearML's own message."
            raise RuntimeError(message)

    def delete_checkpoint(self, name: str) -> None:
        """Delete a checkpoint's artifact, if there is one, and its file."""
        task = self.tracker
        if name in task.artifacts:
            task.delete_artifacts([name], raise_on_errors=False, silent_on_errors=True)
            self.fast(Tasks).use(lambda tasks: tasks.forget_artifact(task, name))
