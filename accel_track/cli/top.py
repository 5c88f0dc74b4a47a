"""`accel-track top`: the running runs of a directory, live."""

from __future__ import annotations

import contextlib
import time
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accel_track.cli._common import (
    DirArgument,
    Json,
    console,
    one_line_errors,
    print_json,
    say,
)
from accel_track.cli._place import place
from accel_track.errors import AccelTrackWarning
from accel_track.journal.plain import check_plain

if TYPE_CHECKING:
    from rich.live import Live

    from accel_track.views.running.activity import Activity, Watched

_LOOKS_AT_SIZE = 0.25
"""Seconds after which a change of the terminal's size is seen."""
_SHARE = 10
"""A look comes after so many times as long as the one before took, if that is later than the interval."""
_WIDEST = 120
"""Cells of a line that is printed once; what has no end of its own would take all that a pipe has."""
_SAID = 5
"""The number of alerts and texts of a run in JSON."""
_MOVES = {"up": -1, "k": -1, "down": 1, "j": 1}
_TURNS = {"m": 1, "M": -1}


def top(
    directory: DirArgument = None,
    metric: Annotated[
        str | None,
        typer.Option("--metric", "-m", metavar="NAME", help="Draw this metric of each run, such as train/loss."),
    ] = None,
    ended: Annotated[bool, typer.Option("--ended", help="Also show runs that ended within the last hour.")] = False,
    interval: Annotated[
        float, typer.Option(min=0.1, max=3600, metavar="SECONDS", help="Time between two looks.")
    ] = 1.0,
    once: Annotated[
        bool, typer.Option("--once", help="Print the list once, and exit; without a terminal, top always does.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Watch the running runs below a directory: curves, steps per second, load, delivery. Press ? for the keys.

    Example: accel-track top runs --metric val/loss
    """
    with one_line_errors():
        from accel_track.cli._terminal import is_interactive
        from accel_track.views.running.activity import Activity

        activity = Activity(place() if directory is None else directory, check_plain, ended=ended, wanted=metric)
        if not (once or as_json) and is_interactive():
            _watch(activity, interval)
            return
        for _ in activity.refresh():
            pass
        if as_json:
            print_json([_document(one, activity) for one in activity.runs])
        else:
            _print(activity)
        for path, error in activity.damaged.items():
            say(f"{path}: {error}", err=True)


def _watch(activity: Activity, interval: float) -> None:
    """Fill the screen until `q`, Ctrl-C, or the terminal's end; then tell what there was to warn of."""
    from rich.live import Live

    from accel_track.cli._terminal import keys_at_once

    with warnings.catch_warnings(record=True) as told, contextlib.suppress(KeyboardInterrupt), keys_at_once():
        warnings.simplefilter("always", AccelTrackWarning)
        with Live(
            console=console(), screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        ) as live:
            _Screen(activity, live, interval).show()
    for warning in told:
        say(f"warning: {warning.message}", err=True)


class _Screen:
    """The screen, what is to be seen on it, and the keys.

    Args:
        activity: The runs.
        live: What draws them.
        interval: Seconds between two looks.
    """

    def __init__(self, activity: Activity, live: Live, interval: float) -> None:
        """Draw nothing yet."""
        from accel_track.cli._top_screen import View

        self._activity, self._live, self._interval = activity, live, interval
        self._view = View()
        self._size = (0, 0)
        self._quits = False

    def show(self) -> None:
        """Look and draw until a key or the terminal's end says that it is over."""
        self._draw()
        while not self._quits:
            begun, worked = time.monotonic(), time.process_time()
            for _ in self._activity.refresh():
                self._obey(0)
                if self._quits:
                    return
            self._draw()
            pause = max(self._interval, _SHARE * (time.process_time() - worked))
            while not self._quits and (left := begun + pause - time.monotonic()) > 0:
                if self._obey(min(left, _LOOKS_AT_SIZE)):
                    break

    def _draw(self) -> None:
        from rich.text import Text

        from accel_track.cli._top_screen import screen

        self._size = width, height = self._live.console.size
        lines = screen(self._activity, self._view, width, height)
        self._live.update(Text("\n", no_wrap=True, overflow="crop", end="").join(lines), refresh=True)

    def _obey(self, seconds: float) -> bool:
        """Obey the keys that are pressed within some seconds; return whether runs must be read anew for them."""
        from accel_track.cli._terminal import pressed

        keys = pressed(seconds)
        before = self._activity.wanted, self._activity.ended
        for key in ["q"] if keys is None else keys:
            self._press(key)
        if keys or self._size != self._live.console.size:
            self._draw()
        return before != (self._activity.wanted, self._activity.ended)

    def _press(self, key: str) -> None:
        view, runs = self._view, self._activity.runs
        if key == "q":
            self._quits = True
        elif key in _MOVES:
            self._view = view.moved(runs, _MOVES[key])
        elif key == "enter":
            self._view = replace(view, alone=not view.alone, helps=False)
        elif key == "?":
            self._view = replace(view, helps=not view.helps)
        elif key == "a":
            self._activity.ended = not self._activity.ended
            self._activity.search_soon()
        elif key in _TURNS:
            self._activity.wanted = self._next_metric(_TURNS[key])

    def _next_metric(self, by: int) -> str | None:
        """Return the metric behind the one that is shown, or before it, of all runs; None: each run's own."""
        from accel_track.cli._top_run import metric_names

        names = [None, *metric_names(self._activity.runs)]
        wanted = self._activity.wanted
        return names[(names.index(wanted) + by) % len(names)] if wanted in names else None


def _document(one: Watched, activity: Activity) -> dict[str, Any]:
    from accel_track.views.running.said import newest_said

    info, name = one.info, one.metric(activity.wanted)
    last = None if name is None else one.content.metrics[name].last
    return {
        "path": one.run.shown,
        **{field: getattr(info, field) for field in ("run_id", "project", "name", "created", "host", "pid")},
        "status": "running" if one.outcome is None else one.outcome.status,
        "reason": None if one.outcome is None else one.outcome.reason,
        "step": one.step,
        "total_steps": one.total,
        "pace": one.pace._asdict(),
        "seconds_left": one.seconds_left,
        "quiet": one.quiet(activity.now),
        "metric": name,
        "last": None if last is None else last._asdict(),
        "load": None if one.load is None else one.load._asdict(),
        "said": [said._asdict() for said in newest_said(one.content, _SAID)],
        "trackers": {tracker: status.counts for tracker, status in one.trackers.items()},
        "error": one.error,
    }


def _print(activity: Activity) -> None:
    """Print the screen's list once."""
    from accel_track.cli._top_screen import snapshot

    out = console()
    if not activity.runs:
        say(f"no run is running below {activity.directory}")
    for line in snapshot(activity, min(out.width, _WIDEST)):
        out.print(line, soft_wrap=True)
