"""ClearML's plots, which are in the form of Plotly's, as the media that they were."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accel_track.media import ConfusionMatrix, Figure, Histogram, Points3D, Table
from accel_track.media.fallbacks import stored
from accel_track.media.kinds import Medium
from accel_track.trackers.reading.media import file_of


def plotted(text: str, scratch: Path) -> Medium:
    """Return the content of a plot: a table, a histogram, points or a confusion matrix; any other is a figure.

    Args:
        text: The plot as JSON.
        scratch: Where to make files.

    Raises:
        ValueError: It is not a JSON.
        TypeError: It is no plot.
        OSError: No file can be made.
    """
    plot = json.loads(text)
    traces = plot["data"] if isinstance(plot, dict) else None
    if not isinstance(traces, list):
        message = "a plot has traces"
        raise TypeError(message)
    if len(traces) == 1 and isinstance(traces[0], dict):
        make = _TRACES.get(traces[0].get("type"))
        try:
            found = None if make is None else make(traces[0])
            if found is not None:
                return stored(found, scratch)
        except (ValueError, TypeError, KeyError, IndexError):  # a plot of that type that shows something else
            pass
    return Figure.of_stored({}, file_of(text.encode(), ".plotly.json", scratch))


def _table(trace: Mapping[str, Any]) -> Medium:
    columns = trace["cells"]["values"]
    names = trace["header"]["values"]
    return Table([list(row) for row in zip(*columns, strict=True)], [str(name) for name in names])


def _histogram(trace: Mapping[str, Any]) -> Medium | None:
    """Return the histogram of bars with middles and widths; None for bars without."""
    widths = trace.get("width")
    if not isinstance(widths, list):
        return None
    edges = [middle - width / 2 for middle, width in zip(trace["x"], widths, strict=True)]
    return Histogram(counts=trace["y"], edges=[*edges, trace["x"][-1] + widths[-1] / 2])


def _points(trace: Mapping[str, Any]) -> Medium:
    import numpy as np

    places = np.stack([np.asarray(trace[axis], np.float64) for axis in "xyz"], axis=1)
    colours = (trace.get("marker") or {}).get("color")
    if isinstance(colours, list) and len(colours) == len(places):
        extra = [_rgb(one) if isinstance(one, str) else [float(one)] for one in colours]
        places = np.concatenate([places, np.asarray(extra, np.float64)], axis=1)
    return Points3D(places)


def _rgb(colour: str) -> Sequence[float]:
    return [float(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]


def _matrix(trace: Mapping[str, Any]) -> Medium | None:
    """Return the confusion matrix of a square whose rows and columns have the same names; None for others."""
    if trace.get("x") != trace.get("y") or not trace.get("x"):
        return None
    return ConfusionMatrix(matrix=trace["z"], labels=trace["x"])


_TRACES: dict[Any, Any] = {"table": _table, "bar": _histogram, "scatter3d": _points, "heatmap": _matrix}
