"""The notebook's view of a run: its status and small curves, as HTML with inline SVG that needs no script."""

from __future__ import annotations

import html
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from accel_track.folders import shown_path
from accel_track.texts import printable
from accel_track.views.content import Content
from accel_track.views.downsampling import kept

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from accel_track.journal.directory import RunDirectory
    from accel_track.views.metric import Metric, Points

_MOST = 24
"""Curves that are shown."""
_LARGEST = 32 * 1024 * 1024
"""Bytes of a journal that is read for a look at a run: about a second."""
_WIDTH, _HEIGHT, _POINTS = 150, 36, 120
_BOX = "display:inline-block;vertical-align:top;width:166px;margin:0 10px 8px 0;font-size:12px;line-height:1.35"
_CUT = "overflow:hidden;text-overflow:ellipsis;white-space:nowrap"


class RunView:
    """The notebook's view of a run, again and again while it goes on; reads the records since the last look.

    Args:
        run: The run directory.
    """

    def __init__(self, run: RunDirectory) -> None:
        """Read nothing yet."""
        self._run, self._content = run, Content(run)
        self._has_read = False

    def html(self) -> str:
        """Return the view.

        Raises:
            JournalError: The run cannot be read.
            OSError: The run cannot be read.
        """
        info = self._run.load()
        outcome = self._run.outcome(info)
        state = "running" if outcome is None else outcome.text
        names = [info.project, info.name or info.run_id]
        command = f"accel-track report {shlex.quote(shown_path(self._run.path))}"
        if not self._has_read and _size(self._run) > _LARGEST:
            return overview(names, state, [], f"Its journal is long; all of it: <code>{_escaped(command)}</code>")
        self._content.update()
        self._has_read = True
        metrics = sorted(self._content.metrics.items())
        cards = [_card(name, metric) for name, metric in metrics[:_MOST]]
        more = f"{len(metrics) - _MOST} more metrics, zoom and media" if len(metrics) > _MOST else "Zoom and media"
        return overview(names, state, cards, f"{more}: <code>{_escaped(command)}</code>")


def overview(names: Sequence[str], state: str, cards: Sequence[str], hint: str) -> str:
    """Return the view of a run of that name and state.

    Args:
        names: The project's name and the run's.
        state: How it is, or went.
        cards: HTML of its metrics.
        hint: HTML that is shown below.
    """
    title = " / ".join(map(_escaped, names))
    head = f'<div style="margin:2px 0 6px"><strong>{title}</strong> · {_escaped(state)}</div>'
    foot = f'<div style="font-size:12px;opacity:.75">{hint}</div>'
    return f'<div style="max-width:1060px">{head}{"".join(cards)}{foot}</div>'


def _size(run: RunDirectory) -> int:
    return sum(path.stat().st_size for path in run.path.glob("rank-*/*.seg"))


def _card(name: str, metric: Metric) -> str:
    last = None if metric.last is None else metric.last.value
    text = f"{last:.6g}" if isinstance(last, float) else str(last)[:80] if isinstance(last, (int, str)) else ""
    bad = f' <span style="color:#d55e00">{metric.not_finite} not finite</span>' if metric.not_finite else ""
    title = f'<div style="{_CUT};opacity:.75" title="{_escaped(name)}">{_escaped(name)}</div>'
    return (
        f'<div style="{_BOX}">{title}{sparkline(metric.points())}<div style="{_CUT}">{_escaped(text)}{bad}</div></div>'
    )


def sparkline(points: Points) -> str:
    """Return a curve as SVG, with gaps where numbers are not finite; empty if none is finite."""
    import numpy as np

    where = kept(points.values, _POINTS)
    values, places = points.values[where], points.steps[where].astype(np.float64)
    is_finite = np.isfinite(values)
    if not is_finite.any():
        return ""
    x, y = _scaled(places, _WIDTH), _HEIGHT - _scaled(np.where(is_finite, values, np.nan), _HEIGHT)
    path, pen = [], "M"
    for across, down, good in zip(x.tolist(), y.tolist(), is_finite.tolist(), strict=True):
        if good:
            path.append(f"{pen}{across:.1f} {down:.1f}")
        pen = "L" if good else "M"
    line = "".join(path) + ("h.1" if len(path) == 1 else "")
    style = "fill:none;stroke:#4a90d9;stroke-width:1.5;stroke-linejoin:round;stroke-linecap:round"
    return (
        f'<svg width="{_WIDTH + 6}" height="{_HEIGHT + 6}" viewBox="-3 -3 {_WIDTH + 6} {_HEIGHT + 6}" '
        f'role="img" aria-label="curve" style="display:block"><path d="{line}" style="{style}"/></svg>'
    )


def _scaled(numbers: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Return numbers on a scale from 0 to a length; those that are all equal are in the middle."""
    import numpy as np

    halves = numbers / 2  # the span of the numbers themselves may be beyond all floats
    low, high = np.nanmin(halves), np.nanmax(halves)
    if low == high:
        return np.where(np.isnan(numbers), np.nan, length / 2)
    return (halves - low) / (high - low) * length


def _escaped(text: object) -> str:
    return html.escape(printable(text))
