"""The media of an event file: images and graphs."""

from __future__ import annotations

from typing import Any

from accel_track.trackers.tensorboard import wire
from accel_track.trackers.tensorboard.hparams import TensorBoardHParams
from accel_track.trackers.tensorboard.summaries import image_value


class TensorBoardMedia(TensorBoardHParams):
    """The part of the tracker that stores media."""

    def log_images(
        self,
        values: dict[str, Any],
        step: int | None = None,
        walltime: float | None = None,
        dataformats: str | None = None,
    ) -> None:
        """Write images.

        Args:
            values: Names to an image or a list of images, in any form that `accel_track.media.images` takes. One image
                keeps the name; several get `name/0`, `name/1`, ….
            step: Training step.
            walltime: In seconds since 1970-01-01 UTC. Default: now.
            dataformats: Taken for `SummaryWriter.add_image`'s sake, and not needed.
        """
        time = self.now() if walltime is None else walltime
        images = [image_value(name, image) for name, image in self.named_images(values)]
        self.append_values(b"".join(wire.event([image], step, time) for image in images))

    def log_graph(self, model: Any, inputs: Any) -> None:
        """Write the module's graph, traced with these inputs by `torch.jit.trace`."""
        self.tracker.add_graph(model, inputs)
