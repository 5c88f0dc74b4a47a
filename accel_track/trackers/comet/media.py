"""The media of a Comet experiment: images, sounds, plots and the like."""

from __future__ import annotations

import html
import io
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar

from accel_track.media import (
    Audio,
    ConfusionMatrix,
    Figure,
    File,
    Histogram,
    Html,
    Image,
    Medium,
    Points3D,
    Table,
    Text,
    Video,
    without_single_channel,
)
from accel_track.media.ways import Way, by, native, otherwise
from accel_track.trackers.comet.assets import CometAssets
from accel_track.trackers.comet.names import asset_name, literal
from accel_track.trackers.comet.scenes import MOST_POINTS, scene
from accel_track.trackers.rows import Row

# What `Experiment.log_image` does to arrays only; it ignores these for images of PIL's and files.
_ARRAY_OPTIONS = {"image_scale", "image_shape", "image_colormap", "image_minmax"}
_VIDEOS = (".gif", ".mp4", ".mov", ".wmv")
_LARGEST = 1e20
"""The magnitude from which on Comet's histograms leave numbers out."""


class CometMedia(CometAssets):
    """The part of the tracker that stores media."""

    media: ClassVar[Mapping[str, Way]] = {
        "image": native("Graphics tab, the file as it is; several: `name/0`, …; captions are metadata"),
        "figure": by("image", "PNG in the Graphics tab; Plotly's: its JSON in the Assets tab"),
        "table": native("Assets tab, as CSV"),
        "histogram": native("Histograms tab, in Comet's bins; counts and edges are metadata"),
        "text": native("Text tab, its name is metadata"),
        "audio": native("Audio tab"),
        "video": native("Assets tab; other than GIF, MP4, MOV and WMV: as a plain file"),
        "html": native("HTML tab, below its name, one behind the other"),
        "points": native("3D Points panel, with colours; over 1,000,000: a file in the Assets tab"),
        "confusion_matrix": native("Confusion Matrix tab, all classes; one of fractions: CSV in the Assets tab"),
        "artifact": otherwise("Assets tab; Comet makes no artifacts of its own offline"),
        "model": native("a model of its name"),
    }

    def way(self, medium: Medium) -> Way | None:
        """Return the way of a medium: one that Comet would cut or refuse is stored as another kind."""
        other = ""
        if (
            (isinstance(medium, Figure) and medium.is_plotly)
            or (isinstance(medium, Video) and medium.path is not None and medium.path.suffix not in _VIDEOS)
            or (isinstance(medium, Points3D) and len(medium.array()) > MOST_POINTS)
        ):
            other = "file"
        elif isinstance(medium, ConfusionMatrix) and not _are_counts(number for row in medium.matrix for number in row):
            other = "table"
        elif isinstance(medium, Histogram):
            fits = _are_counts(medium.counts) and max(map(abs, medium.edges)) < _LARGEST
            other = "" if fits else "table"
        found: Way | None = by(other, "") if other else super().way(medium)
        return found

    def store_image(self, name: str, image: Image, row: Row) -> None:
        """Log the file of an image; further arguments are those of `Experiment.log_image`.

        `image_scale`, `image_shape`, `image_colormap` and `image_minmax` need matplotlib.
        """
        options = _with_caption(image, row.media_kwargs)
        data: Any = str(image.path)
        if not _ARRAY_OPTIONS.isdisjoint(options):  # Comet would stretch the contrast to what is in the image
            data, options = without_single_channel(image.array()), {"image_minmax": (0, 255), **options}
            options["image_channels"] = "last"
        elif "image_format" in options:
            from PIL import Image as Pil

            data = Pil.fromarray(without_single_channel(image.array()))
        self.check(name, image, self.alive().log_image(data, name=asset_name(name), step=row.step, **options))

    def store_table(self, name: str, table: Table, row: Row) -> None:
        """Log a table as CSV; further arguments are those of `Experiment.log_asset`."""
        # Not `log_table`, which has no step, and logs a file of that name in the working directory instead.
        self._log_asset(name, ".csv", io.BytesIO(table.csv().encode()), table, row)

    def store_file(self, name: str, file: File, row: Row) -> None:
        """Log a file; further arguments are those of `Experiment.log_asset`."""
        self._log_asset(name, file.suffix, str(file.path), file, row)

    def store_histogram(self, name: str, histogram: Histogram, row: Row) -> None:
        """Log a histogram; further arguments are those of `Experiment.log_histogram_3d`."""
        experiment, edges = self.alive(), histogram.edges
        bins = self.import_sdk().Histogram()
        bins.add([(low + high) / 2 for low, high in pairwise(edges)], histogram.counts)
        step = 0 if row.step is None and experiment.curr_step is None else row.step
        options = dict(row.media_kwargs)
        options["metadata"] = {"counts": histogram.counts, "edges": edges, **(options.get("metadata") or {})}
        self.check(name, histogram, experiment.log_histogram_3d(bins, asset_name(name), step, **options))

    def store_text(self, name: str, text: Text, row: Row) -> None:
        """Log a text; further arguments are those of `Experiment.log_text`."""
        options = dict(row.media_kwargs)
        options["metadata"] = {"name": name, **(options.get("metadata") or {})}
        self.check(name, text, self.alive().log_text(literal(text.text), step=row.step, **options))

    def store_audio(self, name: str, audio: Audio, row: Row) -> None:
        """Log the file of a sound; further arguments are those of `Experiment.log_audio`."""
        options = {"file_name": _with_suffix(name, audio), "step": row.step, **_with_caption(audio, row.media_kwargs)}
        self.check(name, audio, self.alive().log_audio(str(audio.path), **options))

    def store_video(self, name: str, video: Video, row: Row) -> None:
        """Log the file of a video; further arguments are those of `Experiment.log_video`."""
        options = {"name": _with_suffix(name, video), "step": row.step, **_with_caption(video, row.media_kwargs)}
        self.check(name, video, self.alive().log_video(str(video.path), **options))

    def store_html(self, name: str, page: Html, row: Row) -> None:
        """Add HTML to the experiment's, below a heading; further arguments are those of `Experiment.log_html`."""
        step = "" if row.step is None else f", step {row.step}"
        self.alive().log_html(f"<h4>{html.escape(name)}{step}</h4>\n{page.text}", **row.media_kwargs)

    def store_points(self, name: str, points: Points3D, row: Row) -> None:
        """Log points; further arguments are those of `Experiment.log_points_3d`."""
        options = _with_caption(points, row.media_kwargs)
        self.alive().log_points_3d(asset_name(name), scene(points.array()), step=row.step, **options)

    def store_confusion_matrix(self, name: str, matrix: ConfusionMatrix, row: Row) -> None:
        """Log a confusion matrix; further arguments are those of `Experiment.log_confusion_matrix`."""
        counts, labels = [[int(number) for number in line] for line in matrix.matrix], matrix.labels
        about = {"title": name, "file_name": f"{asset_name(name)}.json", "max_categories": len(labels)}
        options = {**about, "step": row.step, **row.media_kwargs}
        stored = self.alive().log_confusion_matrix(matrix=counts, labels=labels, **options)
        self.check(name, matrix, stored)

    def _log_asset(self, name: str, suffix: str, data: Any, medium: Medium, row: Row) -> None:
        options = {"file_name": f"{asset_name(name)}{suffix}", "step": row.step}
        stored = self.alive().log_asset(data, **{**options, **_with_caption(medium, row.media_kwargs)})
        self.check(name, medium, stored)


def _with_caption(medium: Medium, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    caption = {"caption": medium.caption} if medium.caption else {}
    return {**kwargs, "metadata": {**caption, **(kwargs.get("metadata") or {})}}


def _with_suffix(name: str, medium: Medium) -> str:
    return asset_name(name) + ("" if medium.path is None else medium.path.suffix)


def _are_counts(numbers: Any) -> bool:
    return all(number >= 0 and float(number).is_integer() for number in numbers)
