"""The media of a Comet experiment: images and models."""

from __future__ import annotations

from typing import Any

from accel_track.media import without_single_channel
from accel_track.trackers.files import checkpoint_files, lasting
from accel_track.trackers.sdk import SDKTracker

# What `Experiment.log_image` does to arrays only; it ignores these for PIL images.
_ARRAY_OPTIONS = {"image_scale", "image_shape", "image_colormap", "image_minmax"}


class CometMedia(SDKTracker):
    """The part of the tracker that stores images and checkpoints."""

    def alive(self) -> Any:
        """Return the experiment if it takes values, or none by the user's choice.

        Raises:
            ConnectionError: The experiment is over, or its server refused it: Comet takes values then and keeps none.
        """
        experiment = self.tracker
        if not (experiment.alive or experiment.disabled):
            message = f"{self.name}: the experiment takes no more values; Comet or somebody else has ended it."
            raise ConnectionError(message)
        return experiment

    def log_images(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Log images.

        Args:
            values: Names to an image or a list of images, in any form that `accel_track.media.images` takes. One image
                keeps the name; several get `name/0`, `name/1`, ….
            step: Training step.
            **kwargs: Passed to `Experiment.log_image`. `image_scale`, `image_shape`, `image_colormap` and
                `image_minmax` need matplotlib.
        """
        from PIL import Image

        experiment = self.tracker
        as_array = not _ARRAY_OPTIONS.isdisjoint(kwargs)
        if as_array:  # else the SDK would stretch the contrast to what is in the image
            kwargs = {"image_minmax": (0, 255), **kwargs}
        for name, image in self.named_images(values):
            array = without_single_channel(image)
            data = array if as_array else Image.fromarray(array)
            stored = experiment.log_image(data, name=name, step=step, **kwargs)
            if stored is None and experiment.alive:
                self.drop(name, image, "Comet could not convert the image, see its error above")

    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Log a checkpoint as a model; `values` and the step are the metadata of each file."""
        experiment, metadata = self.alive(), {**lasting(values), "step": step}
        for file, stored_name in checkpoint_files(name, path):
            stored = experiment.log_model(name, file, file_name=stored_name, overwrite=True, metadata=dict(metadata))
            if stored is None and experiment.alive:
                self.drop("checkpoint", path, "Comet could not take the file, see its error above")
