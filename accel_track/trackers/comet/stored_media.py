"""The media of a Comet experiment, as they were logged: of the files that were uploaded, or are to be."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from accel_track import media
from accel_track.trackers.comet.names import literal
from accel_track.trackers.reading.lost import LostError
from accel_track.trackers.reading.media import read_medium, whole
from accel_track.trackers.reading.values import json_file

_HEADING = re.compile(r"<h4>(.*?)(?:, step (\d+))?</h4>\n(.*)", re.DOTALL)
_VIDEOS = (".gif", ".mp4", ".webm", ".ogg", ".mov", ".mkv", ".avi", ".wmv")
_COLOURS = 6


def stored_value(kind: str, path: Path, about: Mapping[str, Any]) -> media.Medium | str | None:
    """Return the value as which an uploaded file was logged; None for a file.

    Args:
        kind: Comet's type of the upload.
        path: A copy of the file, with the suffix that it had.
        about: The upload's metadata.
    """
    make = _KINDS.get(kind, _by_suffix)
    try:
        return make(path, about)
    except (LostError, OSError, ValueError, TypeError, LookupError, AttributeError):
        return None


def without_suffix(name: str) -> str:
    """Return a name without the suffix of a file."""
    return re.sub(r"(\.plotly)?\.[A-Za-z]\w{0,4}$", "", name) or name


def page(text: str) -> tuple[str, int | None, media.Html]:
    """Return name, step and content of what was added to the HTML tab; it is called "html" where nothing tells more."""
    found = _HEADING.fullmatch(text)
    if found is None:
        return "html", None, media.Html(text)
    name, step, content = found.groups()
    return html.unescape(name), None if step is None else int(step), media.Html(content)


def points(path: Path) -> media.Points3D:
    """Return the points of a file, with colours of 0 to 255.

    Raises:
        LostError: They are damaged.
    """
    import numpy as np

    try:
        with path.open() as file:
            array = np.array([json.loads(line) for line in file], np.float32)
    except (OSError, ValueError) as error:
        message = "points that are damaged"
        raise LostError(message) from error
    if array.ndim == 2 and array.shape[1] == _COLOURS:  # noqa: PLR2004 - rows of numbers
        array[:, 3:] *= 255
    return whole(media.Points3D(array))


def _of_file(make: Callable[..., media.Medium], path: Path, about: Mapping[str, Any]) -> media.Medium:
    return whole(make(path, caption=about.get("caption")))


def _text(path: Path, _: Mapping[str, Any]) -> str:
    text = path.read_bytes().decode(errors="replace")
    return text[1:] if text.startswith("\n") and literal(text[1:]) == text else text


def _histogram(path: Path, about: Mapping[str, Any]) -> media.Medium:
    if "counts" in about and "edges" in about:
        return whole(media.Histogram(counts=about["counts"], edges=about["edges"]))
    from comet_ml import Histogram as Bins

    content = json_file(path)
    counts = {int(index): float(count) for index, count in content["index_values"]}
    bins: Any = Bins(content["start"], content["stop"], content["step"], content["offset"])
    low, high = min(counts), max(counts) + 1
    edges = [float(bins.values[index]) for index in range(low, high + 1)]
    return whole(media.Histogram(counts=[counts.get(index, 0) for index in range(low, high)], edges=edges))


def _matrix(path: Path, _: Mapping[str, Any]) -> media.Medium:
    content = json_file(path)
    return whole(media.ConfusionMatrix(matrix=content["matrix"], labels=content["labels"]))


def _curve(path: Path, _: Mapping[str, Any]) -> media.Medium:
    content = json_file(path)
    return whole(media.Table(list(zip(content["x"], content["y"], strict=True)), ["x", "y"]))


def _by_suffix(path: Path, about: Mapping[str, Any]) -> media.Medium | None:
    suffix = path.suffix.lower()
    if path.name.endswith(".plotly.json"):
        return media.Figure.of_stored({}, path)
    if suffix in (".csv", ".npy"):
        return read_medium(path, about.get("caption", ""))
    return _of_file(media.Video, path, about) if suffix in _VIDEOS else None


_KINDS: dict[str, Callable[[Path, Mapping[str, Any]], media.Medium | str | None]] = {
    "visualization": partial(_of_file, media.Image),
    "audio": partial(_of_file, media.Audio),
    "video": partial(_of_file, media.Video),
    "text-sample": _text,
    "histogram3d": _histogram,
    "confusion-matrix": _matrix,
    "curve": _curve,
}
