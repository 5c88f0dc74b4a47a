"""The media of a DVCLive run: images, plots, and files for each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from accel_track.media import ConfusionMatrix, File, Histogram, Image, Medium, Table, Text
from accel_track.media.fallbacks import converted
from accel_track.media.ways import Way, by, native, otherwise
from accel_track.trackers.dvclive.artifacts import DVCLiveArtifacts
from accel_track.trackers.dvclive.charts import of_histogram, of_table, samples
from accel_track.trackers.dvclive.fast import LivePath
from accel_track.trackers.dvclive.steps import IMAGES, OTHERS, fitting, kept, replaced
from accel_track.trackers.rows import Row

_LONGEST = 131_072
"""Characters of the longest text in a table: the limit of Python's `csv`, with which DVC reads tables."""


class DVCLiveMedia(DVCLiveArtifacts):
    """The part of the tracker that stores media."""

    media: ClassVar[Mapping[str, Way]] = {
        "image": native("`plots/images/<name>/<step>.png`, a slider; captions are left out"),
        "figure": by("image", "PNG; Plotly's: its JSON in `plots/media`"),
        "table": otherwise("a plot, `plots/custom/<name>.json`; all steps: `plots/media/<name>/<step>.json`"),
        "histogram": otherwise("a plot of bars; all steps: `plots/media/<name>/<step>.json`"),
        "text": native("`plots/metrics/<name>.tsv`; beyond 131,072 characters `plots/media/<name>/<step>.md`"),
        "audio": by("file", "`plots/media/<name>/<step>.wav`, which DVC does not show"),
        "video": by("image", "GIF; others: a file in `plots/media`"),
        "html": by("file", "`plots/media/<name>/<step>.html`, which DVC does not show"),
        "points": by("file", "`plots/media/<name>/<step>.npy`, which DVC does not show"),
        "confusion_matrix": native("a plot; all steps: `plots/media/<name>/<step>.csv`"),
        "artifact": native("a copy in `artifacts`, listed in `dvc.yaml`; in a DVC repository added to DVC"),
        "model": native('like an artifact, of the type "model"'),
    }

    def refusal(self, value: Any) -> str | None:
        """Return why DVCLive does not take a value; of texts, those that nobody could read back."""
        if isinstance(value, str) and len(value) > _LONGEST:
            return (
                f"DVC reads no text of more than {_LONGEST:,} characters in a table; log a `Text`, which is a file then"
            )
        return super().refusal(value)

    def way(self, medium: Medium) -> Way | None:
        """Return the way of a medium: a figure or video without a picture is a file, and so is a long text."""
        if isinstance(medium, Text) and len(medium.text) > _LONGEST:
            return by("file", "")
        pictures = (".png", ".gif")
        if medium.kind in ("figure", "video") and medium.path is not None and medium.path.suffix not in pictures:
            return by("file", "")
        found: Way | None = super().way(medium)
        return found

    def store_media(self, row: Row, media: Sequence[tuple[str, Medium]]) -> None:
        """Store media with the step of their call; one without a step, and without values, counts one."""
        if row.step is not None:
            self.tracker.step = row.step
        super().store_media(row, media)
        if row.step is None and media and not row.values:
            self.taken.part("next step", self._count)

    def _count(self) -> None:
        self.tracker.step += 1

    def store_image(self, name: str, image: Image, row: Row) -> None:
        """Store the file of an image as it is, where `Live.log_image` would make one of its first frame."""
        assert image.path is not None  # noqa: S101 - images are files
        live, own = self.tracker, fitting(name)
        stored = kept(image.path, Path(live.plots_dir, IMAGES, own), live.step, image.path.suffix)
        if not self.fast(LivePath).use(lambda fast: fast.show_image(f"{own}/{stored.name}")):
            self._show_publicly(f"{own}/{stored.name}", stored, image.path)

    def _show_publicly(self, name: str, stored: Path, source: Path) -> None:
        from PIL import Image as Pil

        with Pil.open(source) as picture:
            self.tracker.log_image(name, picture)
        replaced(source, stored)

    def make_text(self, text: Text, row: Row) -> str:
        """Return a text, which goes into a table as other texts do."""
        return text.text

    def store_table(self, name: str, table: Table, row: Row) -> None:
        """Plot a table, in place of the one before, and keep it with its step; one without rows is kept only."""
        if table.rows and table.columns:
            self._plot(name, *of_table(table))
            return
        self._forget(fitting(name))
        file = converted(table, "file", self.passing.folder)
        assert isinstance(file, File)  # noqa: S101 - as asked for
        self.store_file(name, file, row)

    def store_histogram(self, name: str, histogram: Histogram, row: Row) -> None:
        """Plot a histogram, in place of the one before, and keep it with its step."""
        self._plot(name, *of_histogram(histogram))

    def store_confusion_matrix(self, name: str, matrix: ConfusionMatrix, row: Row) -> None:
        """Plot a confusion matrix, in place of the one before, and keep it with its step."""
        file = converted(matrix, "file", self.passing.folder)
        assert isinstance(file, File)  # noqa: S101 - as asked for
        own, found = fitting(name), samples(matrix)
        self._forget(own)
        if found is not None:
            self.tracker.log_sklearn_plot("confusion_matrix", *found, name=own)
        self.store_file(name, file, row)

    def store_file(self, name: str, file: File, row: Row) -> None:
        """Keep a file with its step."""
        assert file.path is not None  # noqa: S101 - as its kind says
        live = self.tracker
        kept(file.path, Path(live.plots_dir, OTHERS, fitting(name)), live.step, file.suffix)

    def _plot(self, name: str, rows: list[dict[str, Any]], options: dict[str, Any]) -> None:
        live, own = self.tracker, fitting(name)
        self._forget(own)
        live.log_plot(own, rows, **options)
        kept(Path(live.plots_dir, "custom", f"{own}.json"), Path(live.plots_dir, OTHERS, own), live.step, ".json")

    def _forget(self, name: str) -> None:
        """Forget the plot before, which may have other columns."""
        self.fast(LivePath).use(lambda fast: fast.forget_plots([name]))
