"""The media of a wandb run, as they were logged: of what its rows say of them, and the files beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from accel_track import media
from accel_track.trackers.reading.lost import LostError
from accel_track.trackers.reading.media import whole
from accel_track.trackers.reading.places import file_within
from accel_track.trackers.reading.values import json_file

TYPE = "_type"
"""The field of a dictionary in a row that says that it is not a dictionary of the user's."""

_LISTS = {"images/separated": "filenames", "videos": "videos", "audio": "audio", "html": "html", "object3D": "objects"}
_FILES: Mapping[str, Callable[..., media.Medium]] = {
    "image-file": media.Image,
    "audio-file": media.Audio,
    "video-file": media.Video,
    "html-file": media.Html,
}
_TABLES = ("table-file", "incremental-table-file")
_NOT_LOGGED = "a value of a kind of wandb's that no other tracker has"


class StoredMedia:
    """The media of a run, made of the files and entries that wandb has stored.

    Args:
        folder: The folder of the run, in which `files` is.
        charts: What the run's configuration says of charts of wandb's own, by their names.
        lost: Counts, by a sentence, what cannot be read.
    """

    def __init__(self, folder: Path, charts: Mapping[str, Any], lost: Counter[str]) -> None:
        """Know where the files are."""
        self._folder, self._lost = folder, lost
        self._charts = {f"{name}_table": (name, chart) for name, chart in charts.items()}

    def of_row(self, row: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Path]]:
        """Return a row's values with media in place of what stands for them, and files of other kinds by name."""
        files: dict[str, Path] = {}
        try:
            return self._dictionary(row, "", files), files
        except RecursionError:
            self._lost["a row that is nested too deeply"] += 1
            return {}, {}

    def _dictionary(self, row: dict[str, Any], prefix: str, files: dict[str, Path]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in row.items():
            if type(value) is not dict:
                if value is not None:
                    found[key] = value
                continue
            if TYPE not in value:
                if inner := self._dictionary(value, f"{prefix}{key}/", files):
                    found[key] = inner
                continue
            try:
                name, medium = self._named(key, value)
            except LostError as error:
                self._lost[str(error)] += 1
            except (ValueError, TypeError, LookupError, AttributeError, OverflowError, OSError):
                self._lost["a medium whose description in the run is damaged"] += 1
            else:
                if isinstance(medium, Path):
                    files[f"{prefix}{name}"] = medium
                else:
                    found[name] = medium
        return found

    def _named(self, key: str, fields: Mapping[str, Any]) -> tuple[str, media.Medium | list[media.Medium] | Path]:
        """Return the name that the user gave, and what was logged."""
        name, chart = self._charts.get(key, (key, None))
        table = self._of(fields)
        if isinstance(table, media.Table) and chart is not None and "/confusion_matrix/" in str(chart):
            return name, _matrix(table)
        return name, table

    def _of(self, fields: Mapping[str, Any]) -> media.Medium | list[media.Medium] | Path:
        kind = fields[TYPE]
        if kind in _LISTS:
            return self._list(kind, fields)
        if kind == "histogram":
            return whole(media.Histogram(counts=fields["values"], edges=fields["bins"]))
        if kind in _TABLES:
            return self._table(json_file(self._file(fields)))
        if not str(kind).endswith("-file") or "path" not in fields:
            raise LostError(_NOT_LOGGED)
        return self._of_file(str(kind), self._file(fields), fields.get("caption"))

    def _of_file(self, kind: str, path: Path, caption: Any) -> media.Medium | Path:
        if kind in _FILES:
            return whole(_FILES[kind](path, caption=caption))
        if kind == "plotly-file" and path.name.endswith(".json"):
            return media.Figure.of_stored({}, path)
        if kind == "object3D-file" and path.name.endswith(".pts.json"):
            points = json_file(path)
            return whole(media.Points3D(points["points"] if isinstance(points, dict) else points, caption))
        return path

    def _list(self, kind: str, fields: Mapping[str, Any]) -> list[media.Medium]:
        """Return the media of a list; without those that cannot be read."""
        parts = fields[_LISTS[kind]]
        if kind == "images/separated":
            captions = fields.get("captions") or [None] * len(parts)
            parts = [
                {TYPE: "image-file", "path": path, "caption": caption or None}
                for path, caption in zip(parts, captions, strict=True)
            ]
        found = [one for one in map(self._listed, parts) if one is not None]
        if not found:
            message = "a list of media of which none can be read"
            raise LostError(message)
        return found

    def _listed(self, fields: Mapping[str, Any]) -> media.Medium | None:
        try:
            one = self._of(fields)
        except LostError as error:
            self._lost[str(error)] += 1
            return None
        if isinstance(one, media.Medium):
            return one
        self._lost[_NOT_LOGGED] += 1
        return None

    def _table(self, content: Any) -> media.Table:
        rows = [[self._cell(cell) for cell in row] for row in content["data"]]
        return whole(media.Table(rows, [str(name) for name in content["columns"]]))

    def _cell(self, cell: Any) -> Any:
        if type(cell) is dict and TYPE in cell:
            self._lost["a medium in a cell of a table, of which the path is kept"] += 1
            return cell.get("path")
        return cell

    def _file(self, fields: Mapping[str, Any]) -> Path:
        return stored_file(fields["path"], self._folder)


def stored_file(place: Any, folder: Path) -> Path:
    """Return the path of a file that wandb keeps with a run.

    Raises:
        LostError: It is not there, or `files` or something in there is a link to another folder.
    """
    return file_within(f"files/{place}", folder)


def _matrix(cells: media.Table) -> media.ConfusionMatrix:
    """Return the confusion matrix of which wandb has each cell in a row of its own."""
    counts = {(actual, predicted): count for actual, predicted, count in cells.rows}
    labels = list(dict.fromkeys(label for pair in counts for label in pair))
    matrix = [[counts.get((actual, predicted), 0) for predicted in labels] for actual in labels]
    return whole(media.ConfusionMatrix(matrix=matrix, labels=labels))
