"""The media of an MLflow run: images in its grid, tables, and files that its page shows."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from accel_track.media.content import Content
from accel_track.media.fallbacks import converted
from accel_track.media.folder import MediaFolder
from accel_track.media.kinds import Figure, File, Histogram, Image, Medium, Table
from accel_track.media.pages import plotly_page
from accel_track.media.sums import sha256
from accel_track.media.ways import Way, by, native, otherwise
from accel_track.trackers.mlflow.answers import checked_run, served
from accel_track.trackers.mlflow.artifacts import MLflowArtifacts
from accel_track.trackers.mlflow.checkpoints import MLflowCheckpoints
from accel_track.trackers.mlflow.files import safe_path
from accel_track.trackers.mlflow.images import ImagesPath, image_key, small, stem
from accel_track.trackers.mlflow.params import store_texts
from accel_track.trackers.mlflow.tables import TABLES, with_table
from accel_track.trackers.rows import Row

_FOLDER = "media"
"""The artifact folder of all media but images, which have MLflow's own."""

_OF_NO_ACCOUNT = "synchronous"
"""Argument of the calls for values that may come with media; MLflow's threads would tell of no failure."""


class MLflowMedia(MLflowArtifacts, MLflowCheckpoints):
    """The part of the tracker that stores media.

    A medium's file is `media/<name>/step-<step>-<milliseconds>-<hash of its bytes>`, so what is delivered again
    replaces itself. A histogram is numbers, too: MLflow's page draws metrics over the steps and compares them between
    runs, and has nothing of that kind for pictures.
    """

    media: ClassVar[Mapping[str, Way]] = {
        "image": native("image grid, PNG; several: `name/0`, `name/1`, …; captions are left out; GIF: a file"),
        "figure": by("image", "image grid, PNG; Plotly's: a page in HTML, `media/<name>/….html`"),
        "table": native("table view of `media/<name>/….json`; the newest hundred or so"),
        "histogram": otherwise(
            "metrics `name/p05` … `name/p95`, `name/min`, `name/max`; counts: `media/<name>/….json`"
        ),
        "text": native("`media/<name>/….md`"),
        "audio": by("file", "player of `media/<name>/….wav`; captions are left out"),
        "video": by("file", "player or picture of `media/<name>/….gif`; captions are left out"),
        "html": native("frame of `media/<name>/….html`; captions are left out"),
        "points": by("file", "`media/<name>/….npy`, in NumPy's format"),
        "confusion_matrix": by("image", "image grid, a drawing"),
        "artifact": native("artifact folder of its name, described in `<name>.accel_track.json`"),
        "model": native("a model of the run's, with the step"),
    }

    _has_images: bool
    """Whether the run has the tag by which the page knows that there are images."""

    def log_figure(
        self,
        name: Any = None,
        figure: Any = None,
        step: int | None = None,
        *,
        artifact_file: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Log a figure as `MediaCalls.log_figure` does; or store it as `MlflowClient.log_figure` does.

        Args:
            name: Name of the figure; or the figure, if a path follows.
            figure: The figure; or the path of an artifact, such as "plots/line.png".
            step: Training step.
            artifact_file: The path, by the name that MLflow gives it.
            **kwargs: With a path: for the figure's own method that saves it.
        """
        if isinstance(name, str) and artifact_file is None:
            super().log_figure(name, figure, step, **kwargs)
            return
        whole = figure if name is None else name
        path = artifact_file if artifact_file is not None else figure
        run_id: str = self.tracker.info.run_id
        if served(self.client):
            # MLflow's client keeps for good where an answer of another server's says that the run's artifacts belong.
            checked_run(self.client.get_run(run_id), run_id=run_id)
        self.client.log_figure(run_id, whole, path, save_kwargs=kwargs)

    def way(self, medium: Medium) -> Way | None:
        """Return the way of a medium: a figure of Plotly's is a page, and a picture that may move a file."""
        if isinstance(medium, Figure) and medium.is_plotly:
            return native("a page")
        if isinstance(medium, Image) and medium.path is not None and medium.path.suffix == ".gif":
            return by("file", "a file")
        return super().way(medium)

    def sort_media(self, row: Row) -> Iterator[tuple[str, Medium]]:
        """Put the quantiles of histograms among a row's values, too."""
        for name, medium in super().sort_media(row):
            if isinstance(medium, Histogram):
                self._quantiles(row, name, medium)
            yield name, medium

    def store_image(self, name: str, image: Image, row: Row) -> None:
        """Write an image to the run's image grid: its file's bytes, if they are a PNG."""
        key, milliseconds = image_key(name), int(row.time * 1000)
        more = {argument: value for argument, value in row.kwargs.items() if argument != _OF_NO_ACCOUNT}
        if more or not self.fast(ImagesPath).use(ImagesPath.fits):
            where = {"key": key, "step": row.step or 0, "timestamp": milliseconds, _OF_NO_ACCOUNT: True}
            self.client.log_image(self.tracker.info.run_id, image.pil(), **{**where, **more})
            return
        file = image.path
        if file is None or file.suffix != ".png":
            file = self._kept(Content({}, ".png", pixels=image.array()))
        place, preview = stem(key, row.step or 0, milliseconds, sha256(file)), small(image.pil())
        self.put(file, f"{place}.png")
        self.put(self._kept(Content({}, ".webp", data=preview)), f"{place}+compressed.webp")
        if not self._has_images:
            self._tag({ImagesPath.tag: "True"})
            self._has_images = True

    def store_figure(self, name: str, figure: Figure, row: Row) -> None:
        """Write a figure of Plotly's as a page."""
        self._put(name, self._kept(Content({}, ".html", data=plotly_page(figure.plotly()).encode())), ".html", row)

    def store_table(self, name: str, table: Table, row: Row) -> None:
        """Write a table, and list it among the run's."""
        file = table.path
        if file is None or any(type(cell) is float and not math.isfinite(cell) for one in table.rows for cell in one):
            file = self._kept(Content({}, ".json", data=_json(table)))
        target = self._put(name, file, ".json", row)
        run_id: str = self.tracker.info.run_id
        tags = checked_run(self.client.get_run(run_id), run_id=run_id).data.tags
        self._tag({TABLES: with_table(tags.get(TABLES), target, f"{_FOLDER}/")})

    def store_text(self, name: str, text: Medium, row: Row) -> None:
        """Write a text."""
        self._store_as_file(name, text, row)

    def store_html(self, name: str, html: Medium, row: Row) -> None:
        """Write a page."""
        self._store_as_file(name, html, row)

    def store_histogram(self, name: str, histogram: Medium, row: Row) -> None:
        """Write a histogram's counts; its quantiles are among the row's values."""
        self._store_as_file(name, histogram, row)

    def store_file(self, name: str, file: File, row: Row) -> None:
        """Write a file."""
        assert file.path is not None  # noqa: S101 - a file has one
        self._put(name, file.path, file.suffix, row)

    def _store_as_file(self, name: str, medium: Medium, row: Row) -> None:
        file = converted(medium, "file", self.passing.folder)
        assert isinstance(file, File)  # noqa: S101 - as asked for
        self.store_file(name, file, row)

    def _put(self, name: str, file: Path, suffix: str, row: Row) -> str:
        """Store a medium's file, and return its path there."""
        if more := sorted(row.kwargs.keys() - {_OF_NO_ACCOUNT}):
            message = f"mlflow: there is no argument {more[0]!r} for {name!r}; only images take some."
            raise TypeError(message)
        moment = f"step-{row.step or 0}-{int(row.time * 1000)}-{sha256(file)[:8]}"
        target = f"{_FOLDER}/{safe_path(name)}/{moment}{suffix}"
        self.put(file, target)
        return target

    def _kept(self, content: Content) -> Path:
        """Return the path of a new file with this content, which lasts until the tracker's end."""
        files = MediaFolder(self.passing.folder)
        path = files.file(files.keep(content))
        assert path is not None  # noqa: S101 - it was stored in the line before
        return path

    def _tag(self, tags: Mapping[str, str]) -> None:
        store_texts(self.client, self.tracker.info.run_id, tags=tags)


def _json(table: Table) -> bytes:
    """Return a table as MLflow's page can read it: NaN is null, as pandas has it, and infinities are texts."""

    def cell(value: Any) -> Any:
        if type(value) is not float or math.isfinite(value):
            return value
        return None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"

    rows = [[cell(value) for value in row] for row in table.rows]
    return json.dumps({"columns": table.columns, "data": rows}, ensure_ascii=False).encode(errors="backslashreplace")
