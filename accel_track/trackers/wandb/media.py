"""The media of a wandb run: images, tables and checkpoints."""

from __future__ import annotations

import re
from typing import Any

from accel_track.media import without_single_channel
from accel_track.trackers.files import checkpoint_files, lasting
from accel_track.trackers.sdk import SDKTracker

_NAME_LENGTH = 128  # of artifacts and aliases


class WandBMedia(SDKTracker):
    """The part of the tracker that stores media and files."""

    def log_images(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Log images, all of one name together.

        Args:
            values: Names to an image or a list of images, in any form that `accel_track.media.images` takes, or
                `wandb.Image` objects.
            step: Training step.
            **kwargs: Passed to `Run.log`.
        """
        image = self.import_sdk().Image
        from PIL.Image import fromarray  # wandb refuses arrays, but not PIL images, that are one pixel high or wide

        def wrapped(picture: Any) -> Any:
            return picture if isinstance(picture, image) else image(fromarray(without_single_channel(picture)))

        wrapped_values = {key: [wrapped(one) for one in found] for key, found in self.images_of(values, keep=image)}
        self.log(wrapped_values, step=step, **kwargs)

    def log_table(
        self,
        table_name: str,
        columns: list[str] | None = None,
        data: list[list[Any]] | None = None,
        dataframe: Any = None,
        step: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Log a table as a `wandb.Table`.

        Args:
            table_name: Name of the table.
            columns: Names of the columns.
            data: Rows, each as long as `columns`.
            dataframe: A pandas data frame in place of `columns` and `data`.
            step: Training step.
            **kwargs: Passed to `Run.log`.
        """
        table = self.import_sdk().Table(columns=columns, data=data, dataframe=dataframe)
        self.log({table_name: table}, step=step, **kwargs)

    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Add a version to the run's artifact of type "model"; `values` are its metadata."""
        run = self.tracker
        artifact = self.import_sdk().Artifact(
            f"model-{run.id}"[:_NAME_LENGTH], type="model", metadata={**lasting(values), "name": name, "step": step}
        )
        for file, stored_name in checkpoint_files(name, path):
            artifact.add_file(file, name=stored_name)
        own = re.sub("[/:]", "-", name)[:_NAME_LENGTH]
        run.log_artifact(artifact, aliases=[own, *(alias for alias in ("best", "last") if values.get(alias))])
