"""The media of TensorBoard's event files: images, histograms, sound, points, and graphs."""

from __future__ import annotations

import wave
from collections.abc import Mapping
from typing import Any, ClassVar

from accel_track.media import Audio, Image, Points3D, Text
from accel_track.media.kinds import Histogram, Medium
from accel_track.media.ways import Way, by, native, none
from accel_track.trackers.rows import Row
from accel_track.trackers.tensorboard import summaries, wire
from accel_track.trackers.tensorboard.hparams import TensorBoardHParams


class TensorBoardMedia(TensorBoardHParams):
    """The part of the tracker that stores media."""

    media: ClassVar[Mapping[str, Way]] = {
        "image": native("Images tab; several: `name/0`, `name/1`, …; captions are left out"),
        "figure": by("image", "PNG in the Images tab; Plotly's: left out"),
        "table": by("text", "Markdown in the Text tab"),
        "histogram": native("Histograms and Distributions tabs"),
        "text": native("Text tab, as Markdown"),
        "audio": native("Audio tab, WAV only, all channels"),
        "video": by("image", "GIF in the Images tab, which moves; other files: left out"),
        "html": none("TensorBoard shows no HTML"),
        "points": native("Mesh tab, with colours"),
        "confusion_matrix": by("image", "a drawing in the Images tab"),
        "artifact": none("event files hold no files"),
        "model": none("event files hold no files"),
    }

    def log_images(  # type: ignore[override] # with the arguments of SummaryWriter's own
        self,
        values: Mapping[str, Any],
        step: int | None = None,
        walltime: float | None = None,
        dataformats: str | None = None,
        *,
        captions: Any = None,
    ) -> None:
        """Write images.

        Args:
            values: As for `MediaCalls.log_images`.
            step: Training step.
            walltime: In seconds since 1970-01-01 UTC. Default: now.
            dataformats: Taken for `SummaryWriter.add_image`'s sake, and not needed.
            captions: Event files do not hold them.
        """
        super().log_images(values, step, captions=captions, **({} if walltime is None else {"walltime": walltime}))

    def store_image(self, name: str, image: Image, row: Row) -> None:
        """Write an image: the bytes of its file."""
        self._store(row, summaries.image_value(name, image.data()))

    def store_histogram(self, name: str, histogram: Histogram, row: Row) -> None:
        """Write a histogram."""
        self._store(row, summaries.histogram_value(name, histogram.info))

    def store_text(self, name: str, text: Text, row: Row) -> None:
        """Write a text."""
        self._store(row, summaries.text_value(name, text.text))

    def store_audio(self, name: str, audio: Audio, row: Row) -> None:
        """Write sound, if it is a WAV file."""
        try:
            value = summaries.audio_value(name, audio.data())
        except (wave.Error, EOFError) as error:
            row.refuse(name, audio, f"TensorBoard plays WAV files only ({error})")
        else:
            self._store(row, value)

    def store_points(self, name: str, points: Points3D, row: Row) -> None:
        """Write points."""
        self._store(row, *summaries.points_values(name, points.array()))

    def _store(self, row: Row, *values: bytes) -> None:
        walltime = row.kwargs.get("walltime")
        self.append_values(wire.event(values, row.step, row.time if walltime is None else walltime))

    def way(self, medium: Medium) -> Way | None:
        """Return the way of a medium: a figure or video without a picture is left out."""
        suffix = medium.path.suffix if medium.kind in ("figure", "video") and medium.path is not None else ""
        if suffix not in ("", ".png", ".gif"):
            return none(f"TensorBoard shows no {suffix.removeprefix('.')} files")
        return super().way(medium)

    def log_graph(self, model: Any, inputs: Any) -> None:
        """Write the module's graph, traced with these inputs by `torch.jit.trace`."""
        self.tracker.add_graph(model, inputs)
