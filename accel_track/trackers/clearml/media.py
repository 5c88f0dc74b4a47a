"""The media of a ClearML task: debug samples and plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from itertools import pairwise
from typing import Any, ClassVar

from accel_track.media import ConfusionMatrix, Figure, File, Histogram, Image, Medium, Points3D, Table
from accel_track.media.tables import distinct
from accel_track.media.ways import Way, by, native, otherwise
from accel_track.trackers.clearml.artifacts import ClearMLArtifacts
from accel_track.trackers.clearml.drawings import scatter, titled
from accel_track.trackers.clearml.fast import Scalars
from accel_track.trackers.clearml.samples import Samples, place
from accel_track.trackers.rows import Row
from accel_track.values.plain import finite

_MOST_POINTS = 100_000
"""Points of the largest plot; more are a file."""


class ClearMLMedia(ClearMLArtifacts):
    """The part of the tracker that stores media."""

    media: ClassVar[Mapping[str, Way]] = {
        "image": native("Debug Samples, the file as it is; several: series `name/0`, …; captions are left out"),
        "figure": native("PNG in Debug Samples; Plotly's: Plots"),
        "table": native("Plots"),
        "histogram": native("Plots, as bars"),
        "text": by("file", "a `.md` file in Debug Samples"),
        "audio": native("Debug Samples"),
        "video": native("Debug Samples"),
        "html": native("Debug Samples"),
        "points": native("Plots, with colours; over 100,000: a file in Debug Samples"),
        "confusion_matrix": native("Plots"),
        "artifact": native("Artifacts, a folder as an archive"),
        "model": otherwise('an artifact of the type "model"; ClearML makes no models offline'),
    }

    samples: Samples
    """The files that wait for their upload; new when the task is opened."""

    def store_media(self, row: Row, media: Sequence[tuple[str, Medium]]) -> None:
        """Report media; the run makes way for no other one meanwhile."""
        with self.place.using(self):
            scalars = self.fast(Scalars)
            scalars.use(Scalars.check)
            with scalars.use(lambda parts: parts.at(row.time)) or nullcontext():
                super().store_media(row, media)

    def way(self, medium: Medium) -> Way | None:
        """Return the way of a medium; very many points become a file."""
        if isinstance(medium, Points3D) and len(medium.array()) > _MOST_POINTS:
            return by("file", "")
        found: Way | None = super().way(medium)
        return found

    def store_image(self, name: str, image: Image, row: Row) -> None:
        """Report the file of an image; further arguments are those of `Logger.report_image`.

        Without `max_image_history`, all images are kept.
        """
        self._report_file("report_image", "max_image_history", name, image, row)

    def store_figure(self, name: str, figure: Figure, row: Row) -> None:
        """Report a figure of Plotly's as a plot, another one as an image."""
        if figure.is_plotly:
            plot = titled(figure.plotly())
            self._logger.report_plotly(*place(name), plot, row.step, **row.media_kwargs)
        else:
            self.store_image(name, figure, row)

    def store_file(self, name: str, file: File, row: Row) -> None:
        """Report a file; further arguments are those of `Logger.report_media`. Without `max_history`, all are kept."""
        self._report_file("report_media", "max_history", name, file, row)

    store_audio = store_video = store_html = store_file

    def store_table(self, name: str, table: Table, row: Row) -> None:
        """Report a table; further arguments are those of `Logger.report_table`."""
        # A browser reads no NaN in JSON.
        cells = [
            [str(cell) if isinstance(cell, float) and not finite(cell) else cell for cell in one] for one in table.rows
        ]
        self._logger.report_table(*place(name), row.step, [table.columns, *cells], **row.media_kwargs)

    def store_histogram(self, name: str, histogram: Histogram, row: Row) -> None:
        """Report a histogram's counts as bars; further arguments are those of `Logger.report_histogram`."""
        edges = histogram.edges
        bins = list(pairwise(edges))
        options = {"data_args": {"width": [high - low for low, high in bins]}, **row.media_kwargs}
        middles = [(low + high) / 2 for low, high in bins]
        self._logger.report_histogram(*place(name), histogram.counts, row.step, xlabels=middles, **options)

    def store_points(self, name: str, points: Points3D, row: Row) -> None:
        """Report points as a plot."""
        self._logger.report_plotly(*place(name), scatter(points.array()), row.step, **row.media_kwargs)

    def store_confusion_matrix(self, name: str, matrix: ConfusionMatrix, row: Row) -> None:
        """Report a confusion matrix; further arguments are those of `Logger.report_confusion_matrix`."""
        labels = distinct(matrix.labels)
        names = {"xaxis": "predicted", "yaxis": "target", "xlabels": labels, "ylabels": labels, "yaxis_reversed": True}
        options = {**names, **row.media_kwargs}
        self._logger.report_confusion_matrix(*place(name), matrix.matrix, row.step, **options)

    @property
    def _logger(self) -> Any:
        return self.tracker.get_logger()

    def _report_file(self, call: str, history: str, name: str, medium: Medium, row: Row) -> None:
        options = {history: -1, "delete_after_upload": True, **row.media_kwargs}
        assert medium.path is not None  # noqa: S101 - these kinds are files
        suffix = medium.suffix if isinstance(medium, File) else "".join(medium.path.suffixes)
        all_stay = options[history] is not None and options[history] < 0
        file = self.samples.file(medium.path, suffix, lasting=all_stay)
        getattr(self._logger, call)(*place(name), row.step, local_path=file, **options)
