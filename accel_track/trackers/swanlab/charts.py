"""SwanLab's charts: tables, histograms and confusion matrices, as ECharts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from accel_track.media.tables import distinct


def table(swanlab: Any, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    """Return a table, in which columns of one name would be one and JSON has no number that is not finite.

    Args:
        swanlab: The SDK's module.
        columns: Names of the columns.
        rows: Cells as JSON values.
    """
    return swanlab.ECharts(swanlab.echarts.Table().add(distinct(columns), [list(map(_cell, row)) for row in rows]))


def histogram(swanlab: Any, counts: Sequence[float], edges: Sequence[float]) -> Any:
    """Return a bar for each bin, named by its edges."""
    digits = next((few for few in (6, 9, 12) if len({f"{edge:.{few}g}" for edge in edges}) == len(edges)), 17)
    labels = [f"{low:.{digits}g} to {high:.{digits}g}" for low, high in pairwise(edges)]
    bars = swanlab.echarts.Bar().add_xaxis(labels).add_yaxis("count", list(counts), category_gap="5%")
    return swanlab.ECharts(bars)


def confusion_matrix(swanlab: Any, labels: Sequence[str], matrix: Sequence[Sequence[float]]) -> Any:
    """Return a heat map of the counts, predictions to the right and targets upwards, as in SwanLab's own."""
    options = swanlab.echarts.options
    finite = [count for counts in matrix for count in counts if math.isfinite(count)]
    cells = [
        [column, row, count if math.isfinite(count) else None]  # JSON has no other number
        for row, counts in enumerate(matrix)
        for column, count in enumerate(counts)
    ]
    named = {"type_": "category", "splitarea_opts": options.SplitAreaOpts(is_show=True)}
    chart = swanlab.echarts.HeatMap().add_xaxis(list(labels))
    chart.add_yaxis("count", list(labels), cells, label_opts=options.LabelOpts(is_show=True, position="inside"))
    chart.set_global_opts(
        legend_opts=options.LegendOpts(is_show=False),
        xaxis_opts=options.AxisOpts(name="predicted", **named),
        yaxis_opts=options.AxisOpts(name="target", **named),
        visualmap_opts=options.VisualMapOpts(min_=0, max_=max(finite, default=0) or 1, pos_right="right"),
    )
    return swanlab.ECharts(chart)


def _cell(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
