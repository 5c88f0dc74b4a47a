"""The media of a Trackio run: values of its rows, each of Trackio's own kind, and artifacts."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from accel_track.media import Audio, Figure, File, Histogram, Html, Image, Medium, Points3D, Table
from accel_track.media.kinds import Text, Video
from accel_track.media.pages import plotly_page
from accel_track.media.tables import distinct
from accel_track.media.ways import Way, by, native
from accel_track.texts import storable_texts
from accel_track.trackers.files import artifact_files, lasting
from accel_track.trackers.names import flat_name
from accel_track.trackers.rows import Row
from accel_track.trackers.sdk import SDKTracker
from accel_track.values.plain import long_integers_as_text

_NOT_IN_ARTIFACTS = r"[^A-Za-z0-9._-]"
_NAME_LENGTH = 120
_POINTS = 300_000
"""The most points that Trackio keeps."""


class TrackioMedia(SDKTracker):
    """The part of the tracker that stores media and files."""

    media: ClassVar[Mapping[str, Way]] = {
        "image": native(
            "image of the row, PNG, JPEG and GIF as they are, with caption; several: `name/0`, `name/1`, …"
        ),
        "figure": native("image of the row, as PNG; Plotly's: a page that fetches Plotly's code"),
        "table": native("table of the row"),
        "histogram": native("histogram over the steps"),
        "text": native("Markdown report"),
        "audio": native("sound of the row, any sound file, with caption"),
        "video": native("GIF: image of the row, which moves; other files: video of the row; with caption"),
        "html": native("page of the row, with caption"),
        "points": native("3D object of the row, with colours; more than 300,000 points: `.npy` file in an artifact"),
        "confusion_matrix": by("table", "table of the row"),
        "artifact": native("versions of an artifact, with type and metadata; equal contents are one version"),
        "model": native("versions of an artifact of the type `model`"),
    }

    def way(self, medium: Medium) -> Way | None:
        """Return the way of a medium: drawn figures are images, and Trackio would thin out too many points.

        So are GIFs, which no browser's player of videos plays.
        """
        drawn = isinstance(medium, Figure) and not medium.is_plotly
        if drawn or (isinstance(medium, Video) and medium.path is not None and medium.path.suffix == ".gif"):
            return by("image", "")
        if isinstance(medium, Points3D) and len(medium.array()) > _POINTS:
            return by("file", "")
        return super().way(medium)

    def make_image(self, image: Image, row: Row) -> Any:
        """Return a `trackio.Image` of the file."""
        return self._of_file("Image", image)

    def make_figure(self, figure: Figure, row: Row) -> Any:
        """Return a figure of Plotly's as a `trackio.Html`."""
        return self.made(figure, lambda: self._page(plotly_page(figure.plotly()), figure.caption))

    def make_table(self, table: Table, row: Row) -> Any:
        """Return a `trackio.Table`, in which columns of one name would be one."""
        rows = long_integers_as_text(table.rows)
        return self.import_sdk().Table(columns=distinct(table.columns), data=storable_texts(rows))

    def make_histogram(self, histogram: Histogram, row: Row) -> Any:
        """Return a `trackio.Histogram`."""
        return self.import_sdk().Histogram(np_histogram=(histogram.counts, histogram.edges))

    def make_text(self, text: Text, row: Row) -> Any:
        """Return a `trackio.Markdown`."""
        return self.import_sdk().Markdown(text.text)

    def make_audio(self, audio: Audio, row: Row) -> Any:
        """Return a `trackio.Audio` of the file."""
        return self._of_file("Audio", audio)

    def make_video(self, video: Video, row: Row) -> Any:
        """Return a `trackio.Video` of the file."""
        return self._of_file("Video", video)

    def make_html(self, html: Html, row: Row) -> Any:
        """Return a `trackio.Html`; a part of a page becomes the body of one in UTF-8."""
        return self.made(html, lambda: self._page(html.text, html.caption))

    def make_points(self, points: Points3D, row: Row) -> Any:
        """Return a `trackio.Object3D`, whose colours are whole numbers."""
        return self.made(points, lambda: self._object(points))

    def _of_file(self, kind: str, medium: Medium) -> Any:
        """Return an object of Trackio's for a medium's file, the same one in each try: it stores the file once."""
        cls: Callable[..., Any] = getattr(self.import_sdk(), kind)
        return self.made(medium, lambda: cls(os.fspath(medium.path or ""), caption=medium.caption or None))

    def _page(self, text: str, caption: str) -> Any:
        return self.import_sdk().Html(io.StringIO(text), caption=caption or None)  # a text may be taken for a path

    def _object(self, points: Points3D) -> Any:
        array = points.array()
        array[:, 3:] = array[:, 3:].round().clip(0, 255)
        return self.import_sdk().Object3D(array, caption=points.caption or None)

    def store_file(self, name: str, file: File, row: Row) -> None:
        """Add a version to an artifact of the type "media", which is the run's own."""
        stored = f"{flat_name(name, _NOT_IN_ARTIFACTS, _NAME_LENGTH)}-{self.tracker.id[:8]}"
        metadata = {"name": name} if row.step is None else {"name": name, "step": row.step}
        artifact = self._artifact(stored, "media", metadata)
        artifact.add_file(os.fspath(file.path or ""), name=f"{flat_name(name, _NOT_IN_ARTIFACTS, 100)}{file.suffix}")
        self.tracker.log_artifact(artifact)

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
        """Add a version to the artifact of a name, which all runs of the project share; Trackio copies the files."""
        own = os.path.basename(os.path.normpath(path)) if name is None else name
        known = dict(metadata or {}) if step is None else {"step": step, **(metadata or {})}
        artifact = self._artifact(flat_name(own, _NOT_IN_ARTIFACTS, _NAME_LENGTH), type or "artifact", known)
        for file, part in artifact_files(path):
            artifact.add_file(file, name=part)
        self.tracker.log_artifact(artifact)

    def _artifact(self, name: str, kind: str, metadata: Mapping[str, Any]) -> Any:
        known = storable_texts(long_integers_as_text(dict(metadata)))
        return self.import_sdk().Artifact(name, type=kind, metadata=known)

    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Copy a checkpoint into Trackio's store of artifacts; step and values are its metadata."""
        self._log_checkpoint(name, path, lasting(values, step))

    def delete_checkpoint(self, name: str) -> None:
        """Replace a checkpoint by a line of text."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "deleted.txt")
            file.write_text("The training program deleted this checkpoint.\n", encoding="utf-8")
            self._log_checkpoint(name, str(file), {"deleted": True})

    def _log_checkpoint(self, name: str, path: str, metadata: dict[str, Any]) -> None:
        run = self.tracker
        stored = f"{flat_name(name, _NOT_IN_ARTIFACTS, _NAME_LENGTH)}-{run.id[:8]}"
        artifact = self.import_sdk().Artifact(stored, type="model", metadata=metadata)
        (artifact.add_dir if Path(path).is_dir() else artifact.add_file)(path)
        run.log_artifact(artifact, overwrite=True)
