"""The plot: curves in the terminal, of any number of points, with a gap where there is no finite number."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from accel_track.cli._common import console, fail, module_missing, say
from accel_track.texts import printable

if TYPE_CHECKING:
    from accel_track.views.metric import Points

MOST = 12
"""The number of curves in a plot, at most: more cannot be told from each other."""

_WIDEST, _HEIGHT = 120, 20
_LARGEST = 1e307
"""Of larger numbers, the difference would be infinite."""

_MARKERS = "ox+*#@%&=~$^"
_COLORS = (4, 2, 1, 5, 6, 3, 12, 10, 9, 13, 14, 11)


class Curve(NamedTuple):
    """A curve and what it is called."""

    name: str
    points: Points


def check_plots(command: str) -> None:
    """Exit with code 2, and with the install command, if plots cannot be drawn.

    Raises:
        typer.Exit: The library is missing.
    """
    module_missing(command, ["plotext"], "accel-track[plot]")


def draw(title: str, curves: Sequence[Curve]) -> None:
    """Print a plot of curves by step, as wide as the terminal; say what is not drawn.

    Args:
        title: What they are.
        curves: The curves; the first `MOST` that have finite numbers are drawn.

    Raises:
        typer.Exit: There is no finite number.
    """
    import numpy as np
    import plotext

    drawn = [one for one in curves if np.isfinite(one.points.values).any()]
    if not drawn:
        fail(f"{', '.join(one.name for one in curves[:MOST])} has no finite number to draw.")
    out = console()
    colored, width = out.is_terminal and not out.no_color, min(out.width, _WIDEST)
    figure = plotext.figure
    figure.clear()
    figure.theme("simple")
    for number, one in enumerate(drawn[:MOST]):
        symbol = "hd" if colored or len(drawn) == 1 else _MARKERS[number]
        figure.draw(_signal(figure, plotext.marker(symbol, _COLORS[number]), one.points, width))
    figure.title(printable(title))
    figure.plot_size(width, _HEIGHT)
    # Its own `show` keeps the standard output of its first call.
    out.file.write(figure.build().string(colorless=not colored).rstrip("\n") + "\n")
    if len(drawn) > 1:
        _print_legend(drawn[:MOST], colored=colored)
    _tell_left_out(curves, drawn)


def _signal(figure: Any, marker: Any, points: Points, width: int) -> Any:
    """Return the curve as plotext has it, with a break where values are left out."""
    import numpy as np

    which = _thinned(points.values, 2 * width)
    finite = np.isfinite(points.values[which])
    steps, values = points.steps[which].astype(float), points.values[which].clip(-_LARGEST, _LARGEST)
    signal = figure.signal(steps[finite].tolist(), values[finite].tolist(), marker=marker).lines()
    for index, (before, place) in enumerate(pairwise(np.flatnonzero(finite).tolist()), start=1):
        if place - before > 1:
            signal.line(index, active=False)
    return signal


def _thinned(values: Any, most: int) -> Any:
    """Return the indices of what is drawn of many values: of each stretch the extremes, and a gap if there is one."""
    import numpy as np

    if len(values) <= 4 * most:
        return np.arange(len(values))
    found: set[int] = {0, len(values) - 1}
    for stretch in np.array_split(np.arange(len(values)), most):
        its = values[stretch]
        if (gaps := ~np.isfinite(its)).any():
            found.add(int(stretch[gaps.argmax()]))
        if not gaps.all():
            found.add(int(stretch[np.where(gaps, np.inf, its).argmin()]))
            found.add(int(stretch[np.where(gaps, -np.inf, its).argmax()]))
    return np.array(sorted(found))


def _print_legend(curves: Sequence[Curve], *, colored: bool) -> None:
    from rich.text import Text

    for number, one in enumerate(curves):
        line = Text(f"  {'━━' if colored else _MARKERS[number]} ", style=f"color({_COLORS[number]})")
        console().print(line.append(printable(one.name), style="default"), soft_wrap=True)


def _tell_left_out(curves: Sequence[Curve], drawn: Sequence[Curve]) -> None:
    import numpy as np

    if len(drawn) > MOST:
        say(f"  and {len(drawn) - MOST:,} more, which are not drawn; choose fewer")
    sys.stdout.flush()
    whole = sum(len(one.points.values) for one in curves)
    if left := whole - sum(int(np.isfinite(one.points.values).sum()) for one in curves):
        say(f"{left:,} points are NaN or infinite and not drawn")
