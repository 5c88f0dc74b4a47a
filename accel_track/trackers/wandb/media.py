"""The media of a wandb run: values of its rows, each of wandb's own kind, and artifacts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from accel_track.media import Audio, ConfusionMatrix, Figure, File, Histogram, Html, Image, Medium, Points3D, Table
from accel_track.media.kinds import Text, Video
from accel_track.media.tables import distinct
from accel_track.media.ways import Way, by, native
from accel_track.trackers.files import artifact_files, checkpoint_files, lasting
from accel_track.trackers.rows import Row
from accel_track.trackers.wandb.living import WandBLiving
from accel_track.trackers.wandb.names import MOST, artifact_name, artifact_type

_ROWS = 200_000
"""The most rows of a table that wandb keeps."""
_CLASSES = 100
"""The most classes of a confusion matrix whose cells are few enough for a chart."""
_KEYS = 100
"""The most names in an artifact's metadata."""
_NAME_LENGTH = 128  # of artifacts and aliases


class WandBMedia(WandBLiving):
    """The part of the tracker that stores media and files."""

    lists = frozenset(("image", "video", "html", "points"))
    most = MOST
    media: ClassVar[Mapping[str, Way]] = {
        "image": native("Media panel, PNG, JPEG and GIF as they are, with captions; several in one panel, 108 at most"),
        "figure": native("Media panel, as PNG; Plotly's: interactive"),
        "table": native("Tables, and versions of an artifact; with more than 200,000 rows: CSV in an artifact"),
        "histogram": native("histogram over the steps"),
        "text": native("a text in the row"),
        "audio": native("Media panel, any sound file, with caption"),
        "video": native("Media panel, GIF, MP4, WebM and Ogg, with caption; others: file in an artifact"),
        "html": native("Media panel; captions are left out"),
        "points": native("Media panel, 3D with colours"),
        "confusion_matrix": native("wandb's own chart; of more than 100 classes: a table"),
        "artifact": native("versions of an artifact, with type and metadata"),
        "model": native("versions of an artifact of the type `model`"),
    }

    def way(self, medium: Medium) -> Way | None:
        """Return the way of a medium: one that wandb would cut or refuse is stored in another form."""
        if isinstance(medium, Figure) and not medium.is_plotly:
            return by("image", "")
        if isinstance(medium, Table) and medium.info["rows"] > _ROWS:
            return by("file", "")
        if isinstance(medium, ConfusionMatrix) and len(medium.labels) > _CLASSES:
            return by("table", "")
        if isinstance(medium, Video) and _path(medium).endswith((".mov", ".mkv", ".avi", ".wmv")):
            return by("file", "")
        return super().way(medium)

    def make_image(self, image: Image, row: Row) -> Any:
        """Return a `wandb.Image` of the file."""
        # With "" for none: of a list whose first image has None, wandb leaves out all captions.
        return self.import_sdk().Image(_path(image), caption=image.caption)

    def make_figure(self, figure: Figure, row: Row) -> Any:
        """Return a `wandb.Plotly`; Plotly is not needed, wandb knows its figures by the name of their class."""
        content = figure.plotly()
        stand_in = type("Figure", (), {"__module__": "plotly", "to_plotly_json": lambda _: content})
        return self.import_sdk().Plotly(stand_in())

    def make_table(self, table: Table, row: Row) -> Any:
        """Return a `wandb.Table`, whose columns have types where each is of one."""
        return self.made(table, lambda: self._table(distinct(table.columns), table.rows))

    def _table(self, columns: list[str], rows: list[list[Any]]) -> Any:
        kind = self.import_sdk().Table
        try:
            return kind(columns=columns, data=rows)
        except TypeError:
            return kind(columns=columns, data=rows, allow_mixed_types=True)

    def make_histogram(self, histogram: Histogram, row: Row) -> Any:
        """Return a `wandb.Histogram`."""
        return self.import_sdk().Histogram(np_histogram=(histogram.counts, histogram.edges))

    def make_text(self, text: Text, row: Row) -> Any:
        """Return the text."""
        return text.text

    def make_audio(self, audio: Audio, row: Row) -> Any:
        """Return a `wandb.Audio` of the file."""
        return self.import_sdk().Audio(_path(audio), sample_rate=audio.sample_rate, caption=audio.caption)

    def make_video(self, video: Video, row: Row) -> Any:
        """Return a `wandb.Video` of the file."""
        return self.import_sdk().Video(_path(video), caption=video.caption)

    def make_html(self, html: Html, row: Row) -> Any:
        """Return a `wandb.Html` of the very text, without wandb's stylesheet."""
        return self.import_sdk().Html(html.text, inject=False, data_is_not_path=True)

    def make_points(self, points: Points3D, row: Row) -> Any:
        """Return a `wandb.Object3D`."""
        return self.import_sdk().Object3D(points.array(), caption=points.caption)

    def make_confusion_matrix(self, matrix: ConfusionMatrix, row: Row) -> Any:
        """Return the chart that `wandb.plot.confusion_matrix` makes, of the counts."""
        return self.made(matrix, lambda: self._chart(distinct(matrix.labels), matrix.matrix))

    def _chart(self, labels: list[str], matrix: list[list[float]]) -> Any:
        fields = ("Actual", "Predicted", "nPredictions")
        cells = [
            [actual, predicted, count]
            for actual, counts in zip(labels, matrix, strict=True)
            for predicted, count in zip(labels, counts, strict=True)
        ]
        wandb = self.import_sdk()
        table = wandb.Table(columns=list(fields), data=cells)
        names, title = dict(zip(fields, fields, strict=True)), {"title": "Confusion Matrix"}
        return wandb.plot_table("wandb/confusion_matrix/v1", table, names, title)

    def store_file(self, name: str, file: File, row: Row) -> None:
        """Add a version to an artifact of the type "media", which is the run's own."""
        run = self.alive()
        artifact = self._artifact(artifact_name(name, f"media-{run.id}-"), "media", {"name": name}, row.step)
        artifact.add_file(_path(file), name=f"{artifact_name(name)}{file.suffix}")
        run.log_artifact(artifact)

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
        """Add a version to the artifact of a name; wandb copies the files."""
        run, own = self.alive(), os.path.basename(os.path.normpath(path)) if name is None else name
        artifact = self._artifact(artifact_name(own), type or "artifact", metadata or {}, step)
        for file, part in artifact_files(path):
            artifact.add_file(file, name=part)
        run.log_artifact(artifact)

    def _artifact(self, name: str, kind: str, metadata: Mapping[str, Any], step: int | None) -> Any:
        known = dict(metadata) if step is None else {"step": step, **metadata}
        if len(known) > _KEYS:
            known = {"metadata": known}
        return self.import_sdk().Artifact(name, type=artifact_type(kind), metadata=known)

    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Add a version to the run's artifact of type "model"; `values` are its metadata."""
        run = self.alive()
        artifact = self.import_sdk().Artifact(
            f"model-{run.id}"[:_NAME_LENGTH], type="model", metadata={**lasting(values), "name": name, "step": step}
        )
        for file, stored_name in checkpoint_files(name, path):
            artifact.add_file(file, name=stored_name)
        own = re.sub("[/:]", "-", name)[:_NAME_LENGTH]
        run.log_artifact(artifact, aliases=[own, *(alias for alias in ("best", "last") if values.get(alias))])


def _path(medium: Medium) -> str:
    return os.fspath(medium.path or "")
