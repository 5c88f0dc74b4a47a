"""The media of a SwanLab run: values of its rows, each of SwanLab's own kind, or files in its folder."""

from __future__ import annotations

import importlib.util
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from accel_track.media import Audio, ConfusionMatrix, Figure, Histogram, Html, Image, Medium, Points3D, Table
from accel_track.media.fallbacks import converted
from accel_track.media.kinds import Text, Video
from accel_track.media.pages import plotly_page
from accel_track.media.ways import Way, by, native, otherwise
from accel_track.trackers.media import Own
from accel_track.trackers.rows import Row
from accel_track.trackers.swanlab import charts
from accel_track.trackers.swanlab.saved import SwanLabFiles
from accel_track.trackers.swanlab.series import LARGEST, MOST, size_of

_OF_IMAGES = frozenset(("caption", "file_type", "mode", "size"))
"""Arguments of `swanlab.Image` that `log_images` takes."""


class _UnfitError(Exception):
    """SwanLab takes a medium only as a file: it is too large, or no sound that can be read."""


class SwanLabMedia(SwanLabFiles):
    """The part of the tracker that stores media."""

    lists = frozenset(("image", "text", "audio", "video", "html", "points"))
    most = MOST
    media: ClassVar[Mapping[str, Way]] = {
        "image": native("image chart, as PNG, with caption; several in one chart, 108 at most; a GIF as a video"),
        "figure": native("image chart, as PNG; Plotly's: a page that fetches Plotly's code"),
        "table": native("ECharts table"),
        "histogram": otherwise("ECharts bars, one for each bin"),
        "text": native("text chart"),
        "audio": native("audio chart, WAV with caption; others need the package `soundfile`, else saved file"),
        "video": native("GIF in an image chart, with caption; others: saved file"),
        "html": native("HTML chart, with caption"),
        "points": native("3D chart, with colours and caption"),
        "confusion_matrix": native("ECharts heat map"),
        "artifact": otherwise("saved files `artifacts/<name>/<time>/files/…`, with a description beside"),
        "model": otherwise("like an artifact"),
    }

    def check_arguments(self, step: int | None, kwargs: Mapping[str, Any]) -> None:
        """Leave the arguments of images to their calls; `write_row` rejects them without images."""
        super().check_arguments(step, {name: one for name, one in kwargs.items() if name not in _OF_IMAGES})

    @staticmethod
    def kwargs_of_log(row: Row) -> dict[str, Any]:
        """Return the further arguments of a call without those of its images."""
        return {name: one for name, one in row.kwargs.items() if not (row.media and name in _OF_IMAGES)}

    def way(self, medium: Medium) -> Way | None:
        """Return the way of a medium: files of kinds that SwanLab does not take are saved unchanged."""
        if isinstance(medium, Figure) and not medium.is_plotly:
            return by("image", "")
        if medium.kind == "image" and _path(medium).endswith(".gif"):
            return native("a video")
        if isinstance(medium, Video) and not _path(medium).endswith(".gif"):
            return by("file", "")
        if isinstance(medium, Audio) and not (_path(medium).endswith(".wav") or importlib.util.find_spec("soundfile")):
            return by("file", "")
        return super().way(medium)

    def _placed(self, row: Row, name: str, media: Medium | Sequence[Medium]) -> Iterator[tuple[str, Medium]]:
        try:
            yield from super()._placed(row, name, media)
        except _UnfitError:
            for place, one in enumerate([media] if isinstance(media, Medium) else media):
                own = name if isinstance(media, Medium) else f"{name}/{place}"
                if isinstance(one, Own):
                    self.add_values(row, {own: one.native})
                else:
                    yield own, converted(one, "file", self.passing.folder)

    def make_image(self, image: Image, row: Row) -> Any:
        """Return a `swanlab.Image` of the pixels, or a `swanlab.Video` of a GIF, which SwanLab takes for no image."""
        if _path(image).endswith(".gif"):
            return self._fitting(self.import_sdk().Video(_path(image), caption=image.caption or None))
        more = {name: one for name, one in row.kwargs.items() if name in _OF_IMAGES}
        more["caption"] = image.caption or more.get("caption")
        picture = image.pil()
        if picture.mode == "RGBA" and str(more.get("file_type")).lower() in ("jpg", "jpeg"):
            picture = picture.convert("RGB")
        return self._fitting(self.import_sdk().Image(picture, **more))

    def make_figure(self, figure: Figure, row: Row) -> Any:
        """Return a figure of Plotly's as a `swanlab.Html`."""
        return self._page(plotly_page(figure.plotly()), figure.caption)

    def make_table(self, table: Table, row: Row) -> Any:
        """Return an ECharts table."""
        return self._fitting(charts.table(self.import_sdk(), table.columns, table.rows))

    def make_histogram(self, histogram: Histogram, row: Row) -> Any:
        """Return bars."""
        return charts.histogram(self.import_sdk(), histogram.counts, histogram.edges)

    def make_text(self, text: Text, row: Row) -> Any:
        """Return a `swanlab.Text`."""
        return self._fitting(self.import_sdk().Text(text.text))

    def make_audio(self, audio: Audio, row: Row) -> Any:
        """Return a `swanlab.Audio`, of a WAV file's very bytes."""
        kind = self.import_sdk().Audio
        if not _path(audio).endswith(".wav"):
            try:
                return self._fitting(kind(_path(audio), caption=audio.caption or None))
            except RuntimeError as error:  # soundfile's
                raise _UnfitError from error
        sound = kind.__new__(kind)  # its `__init__` would read and write the file anew, and needs soundfile for that
        sound.buffer, sound.sample_rate = io.BytesIO(audio.data()), audio.sample_rate
        sound.caption = audio.caption or None
        return self._fitting(sound)

    def make_video(self, video: Video, row: Row) -> Any:
        """Return a `swanlab.Video` of a GIF."""
        return self._fitting(self.import_sdk().Video(_path(video), caption=video.caption or None))

    def make_html(self, html: Html, row: Row) -> Any:
        """Return a `swanlab.Html`."""
        return self._page(html.text, html.caption)

    def make_points(self, points: Points3D, row: Row) -> Any:
        """Return a `swanlab.Object3D`."""
        return self._fitting(self.import_sdk().Object3D(points.array(), caption=points.caption or None))

    def make_confusion_matrix(self, matrix: ConfusionMatrix, row: Row) -> Any:
        """Return a heat map."""
        return self._fitting(charts.confusion_matrix(self.import_sdk(), matrix.labels, matrix.matrix))

    def _page(self, text: str, caption: str) -> Any:
        page = self.import_sdk().Html(io.StringIO(text), caption=caption or None)  # a text may be taken for a path
        return self._fitting(page)

    def _fitting(self, made: Any) -> Any:
        if size_of(made) > LARGEST:
            raise _UnfitError
        return made


def _path(medium: Medium) -> str:
    return os.fspath(medium.path or "")
