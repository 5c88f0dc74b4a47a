"""The tracker for the terminal: a table of each metric's last value, now and then."""

from __future__ import annotations

import math
import os
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import starmap
from typing import TYPE_CHECKING, Any, ClassVar

from accel_track.media.kinds import Text
from accel_track.media.ways import KINDS, Way, native, none
from accel_track.noop import NoOp
from accel_track.records import Metrics
from accel_track.state import process_index
from accel_track.texts import printable
from accel_track.trackers.base import GeneralTracker, on_main_process
from accel_track.trackers.media import media_of
from accel_track.values.plain import is_number, leaves

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from typing_extensions import Self

    from accel_track.media import Medium

_BARS = "▁▂▃▄▅▆▇█"
_POINTS = 12
"""The number of a metric's last values in its trend."""

_SHOWN = 24
"""The number of characters that are shown of a text: more would leave the names of metrics no room."""

_LONG = 10**12
"""The integer from which on its first digits are shown."""


@dataclass
class _Series:
    """The line of a metric."""

    last: Any = None
    step: int | None = None
    least: float = math.inf
    greatest: float = -math.inf
    trend: deque[float] = field(default_factory=lambda: deque(maxlen=_POINTS))

    def add(self, value: Any, step: int | None) -> None:
        self.last, self.step = value, step
        if is_number(value) and math.isfinite(value):
            self.least, self.greatest = min(self.least, value), max(self.greatest, value)
            self.trend.append(float(value))


class ConsoleTracker(GeneralTracker):
    """A table on the standard error output, at most every few seconds and at the end; it scrolls like other lines.

    It shows the metrics that were logged last: the last value and its step, the least and the greatest value since the
    program began, and the last 12 values as bars. Texts are shown in one line. A line below the table tells which media
    and artifacts there were, such as "not shown: 3 images, 1 table"; they are counted as dropped without a warning,
    other objects with one. It stays in the program's process, also with `delivery="process"`.

    Args:
        run_name: Title of the table.
        every: Seconds from one table to the next, at least.
        rows: How many metrics a table shows, at most.
    """

    name = "console"
    requires_logging_directory = False
    in_all = False
    needs_terminal = True
    batch_size = 1000
    thread_bound = False
    media: ClassVar[Mapping[str, Way]] = {
        **{kind: none("a terminal shows numbers and texts; a line below the table counts it") for kind in KINDS},
        "text": native("its beginning, in one line"),
    }

    def __init__(self, run_name: str, every: float = 10.0, rows: int = 20) -> None:
        """Keep the arguments; nothing is printed before the first value."""
        super().__init__()
        self.run_name, self.every, self.rows = run_name, every, rows
        self._console: Console | None = None
        self._metrics: dict[str, _Series] = {}
        self._others: Counter[str] = Counter()
        self._shown = -math.inf
        self._changed = False

    @classmethod
    def for_run(
        cls, project: str, run_name: str | None, directory: str | os.PathLike[str] | None, init_kwargs: dict[str, Any]
    ) -> Self:
        """Use `<project>/<run_name>` as the title."""
        title = project if run_name is None else f"{project}/{run_name}"
        return cls(**{"run_name": title, **init_kwargs})

    @property
    def tracker(self) -> Any:
        """The `rich.console.Console`; an object that does nothing off the main process."""
        if process_index():
            return NoOp()
        if self._console is None:
            from rich.console import Console

            self._console = Console(stderr=True)
        return self._console

    @on_main_process
    def start(self) -> None:
        """Begin with no metrics."""
        self._metrics, self._others, self._shown, self._changed = {}, Counter(), time.monotonic(), False

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Take the values in, and show the table where it is time."""
        self._add(values, step)
        self._show(self.every)

    @on_main_process
    def log_batch(self, records: Sequence[Metrics]) -> None:
        """Take the values of several calls in, and show the table where it is time."""
        for record in records:
            self._add(record.values, record.step)
        self._show(self.every)

    def _add(self, values: dict[str, Any], step: int | None) -> None:
        self._changed = True
        for key, given in leaves(values):
            media = media_of(given)
            value = _beginning(media.text) if isinstance(media, Text) else given
            if is_number(value) or isinstance(value, str):
                series = self._metrics.pop(key, None) or _Series()  # the last ones are at the end
                series.add(value, step)
                self._metrics[key] = series
            elif media is not None:
                self._count(key, media)
            else:
                self.drop(key, value)

    def _count(self, key: str, media: Medium | list[Medium]) -> None:
        """Count media, which the line below the table tells of."""
        several = media if isinstance(media, list) else [media]
        self._others[several[0].kind] += len(several)
        self.dropped[key] += 1

    @on_main_process
    def log_artifact(self, path: str | os.PathLike[str], name: str | None = None, **about: Any) -> None:
        """Count an artifact or a model, as media."""
        self._others["model" if about.get("type") == "model" else "artifact"] += 1
        self.dropped[name or os.path.basename(os.path.normpath(path))] += 1
        self._changed = True

    @on_main_process
    def flush(self) -> None:
        """Show the table where it is time."""
        self._show(self.every)

    @on_main_process
    def finish(self) -> None:
        """Show the table with the last values."""
        self._show(0.0)

    def _show(self, pause: float) -> None:
        now = time.monotonic()
        if self._changed and now - self._shown >= pause:
            self._shown, self._changed = now, False
            self.tracker.print(self._table())

    def _table(self) -> Table:
        from rich.table import Table

        hidden = max(0, len(self._metrics) - self.rows)
        notes = [f"and {hidden} more"] if hidden else []
        notes += [f"not shown: {', '.join(starmap(_counted, self._others.items()))}"] if self._others else []
        table = Table(title=_escaped(self.run_name), caption="\n".join(notes) or None)
        for heading in ("metric", "step", "last", "least", "greatest", "trend"):
            text = heading in ("metric", "trend")
            table.add_column(heading, justify="left" if text else "right", overflow="fold", no_wrap=heading != "metric")
        for key, one in sorted(list(self._metrics.items())[hidden:]):
            step = "" if one.step is None else str(one.step)
            bounds = (_number(one.least), _number(one.greatest)) if one.trend else ("", "")
            table.add_row(_escaped(key), step, _number(one.last), *bounds, _bars(one.trend))
        return table


def _escaped(text: object) -> str:
    """Return a text on one line, in which "[" begins no markup."""
    return printable(text).replace("[", r"\[")


def _beginning(text: str) -> str:
    """Return the beginning of a text."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _counted(kind: str, count: int) -> str:
    """Return a number of media in words."""
    words = {"audio": "sound", "html": "page", "points": "point cloud", "confusion_matrix": "confusion matrix"}
    word = words.get(kind, kind)
    return f"{count} {word}" if count == 1 else f"{count} {word.replace('matrix', 'matrice')}s"


def _number(value: Any) -> str:
    short = isinstance(value, float) or (isinstance(value, int) and abs(value) >= _LONG)
    return f"{value:.5g}" if short else _escaped(_beginning(str(value)))


def _bars(values: Sequence[float]) -> str:
    """Return a bar for each value, its height between the least and the greatest of them."""
    if not values:
        return ""
    least, span = min(values), max(values) - min(values)
    return "".join(_BARS[round((one - least) / span * 7) if 0 < span < math.inf else 3] for one in values)
