"""The media of SwanLab's files as what was logged."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from accel_track import media
from accel_track.trackers.reading.lost import LostError
from accel_track.trackers.reading.media import picture, text_of, whole
from accel_track.trackers.reading.places import file_within

_EDGES = re.compile(r"(\S+) to (\S+)")
_GREEN = [0.0, 255.0, 0.0]
"""The colour of points that were logged without one."""


def medium_of(folder: Path, kind: str, item: Any) -> media.Medium | str | Path:
    """Return the value of one item of SwanLab's; the path of its file if it is of no kind here.

    Args:
        folder: The folder of the run's media.
        kind: SwanLab's name of the kind, such as "image".
        item: Name and size of the file, and the caption, as SwanLab's protocol buffers have them.

    Raises:
        LostError: It cannot be read.
    """
    file = file_within(item.filename, folder / kind)
    if item.size and file.stat().st_size != item.size:
        message = "a medium whose file is cut off"
        raise LostError(message)
    try:
        make = _MAKERS.get(kind)
        found: Any = file if make is None else make(file, item.caption)
    except Exception as error:  # what a chart says may be anything
        message = f"a medium of the kind {kind} that is damaged"
        raise LostError(message) from error
    return whole(found) if isinstance(found, media.Medium) else found


def _text(file: Path) -> str:
    return file.read_bytes().decode(errors="replace")


def _points(file: Path, caption: str) -> media.Medium | str | Path:
    if not file.name.endswith(".pts.json"):
        return file
    scene = msgspec.json.decode(file.read_bytes())
    if scene.get("boxes") or scene.get("lasers"):
        return file
    points = scene["points"]
    if all(point[3:] == _GREEN for point in points):
        points = [point[:3] for point in points]
    return media.Points3D(points, caption)


def _chart(file: Path) -> media.Medium | str | Path:
    """Return the table, histogram or confusion matrix that a chart is; the path of any other one's file."""
    options = msgspec.json.decode(file.read_bytes())
    if options.get("_swanLab") == "table":
        columns = [one["field"] for one in options["colDefs"]]
        return media.Table([[row.get(name) for name in columns] for row in options["rowData"]], columns)
    series = options.get("series") or [{}]
    if len(series) == 1 and series[0].get("type") == "bar":
        return _histogram(options) or file
    if len(series) == 1 and series[0].get("type") == "heatmap":
        return _matrix(options) or file
    return file


def _histogram(options: Mapping[str, Any]) -> media.Histogram | None:
    """Return the histogram that bars are, if each is named by the edges of its bin."""
    bins = [_EDGES.fullmatch(str(label)) for label in options["xAxis"][0]["data"]]
    if not bins or None in bins:
        return None
    limits = [(float(one[1]), float(one[2])) for one in bins if one]
    if any(one[1] != following[0] for one, following in pairwise(limits)):
        return None
    counts = options["series"][0]["data"]
    return media.Histogram(counts=counts, edges=[limits[0][0], *(high for _, high in limits)])


def _matrix(options: Mapping[str, Any]) -> media.ConfusionMatrix | None:
    """Return the confusion matrix that a heat map is, if it has the same names in both directions."""
    labels, targets = options["xAxis"][0]["data"], options["yAxis"][0]["data"]
    if labels != targets:
        return None
    matrix = [[0] * len(labels) for _ in labels]
    for column, row, count in options["series"][0]["data"]:
        matrix[row][column] = math.nan if count is None else count
    return media.ConfusionMatrix(matrix=matrix, labels=labels)


_MAKERS: Mapping[str, Callable[[Path, str], media.Medium | str | Path]] = {
    "image": picture,
    "video": picture,
    "audio": lambda file, caption: media.Audio(file, caption=caption),
    "text": lambda file, _: text_of(_text(file)),
    "html": lambda file, caption: media.Html(_text(file), caption),
    "object3d": _points,
    "echarts": lambda file, _: _chart(file),
}
