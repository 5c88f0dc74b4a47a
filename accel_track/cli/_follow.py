"""Mirrors in `accel-track sync`: the following of all runs of one, and the completion of a run's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from accel_track.alerts.gone import GoneRuns
from accel_track.cli._common import fail, say
from accel_track.delivery.fleet import POOL, Fleet
from accel_track.delivery.sync import Sync
from accel_track.errors import AccelTrackError
from accel_track.journal.directory import RunDirectory
from accel_track.mirror.addresses import mirrored_at
from accel_track.mirror.complete import complete
from accel_track.mirror.layout import RUN
from accel_track.mirror.runs import MirroredRun, mirrored_runs
from accel_track.mirror.store import Store
from accel_track.progress import progress_bar
from accel_track.registry import tracker_class
from accel_track.texts import clean, counted
from accel_track.trackers.sole import SoleTracker

if TYPE_CHECKING:
    from accel_track.journal.info import RunInfo

_VARIABLE = "ACCEL_TRACK_MIRROR"

_LAST_ALERTS = 10.0
"""Seconds that services get for the last alerts."""


def only_mirror(texts: Sequence[str]) -> str | None:
    """Return the URL of the mirror that a command is given; None if it is given something else.

    Raises:
        typer.Exit: A mirror and something else.
    """
    found = [mirrored_at(text) for text in texts]
    if len(found) > 1 and any(found):
        fail("--follow takes one mirror, or runs of this machine.")
    return found[0] if found else None


def follow_mirror(url: str, deliver: Callable[[RunDirectory], Sync], timeout: float) -> bool:
    """Deliver the runs of a mirror as they come, go on and end; say whether all that have ended are delivered.

    Args:
        url: A URL of many runs, which are followed until Ctrl-C, or of one, which is until it ends.
        deliver: Makes the delivery of a run.
        timeout: How long a tracker may make no progress, in seconds.
    """
    store = Store(url)
    alone = store.mark(RUN) is not None
    with progress_bar() as bars:
        task = bars.add_task(f"following {clean(url)}", total=None)

        def tell(line: str) -> None:
            bars.console.print(clean(line), markup=False, highlight=False, soft_wrap=True)

        gone = GoneRuns(store.shown)
        fleet = Fleet(partial(mirrored_runs, store), deliver, timeout, tell, _pool(deliver), gone.look)

        def watch() -> None:
            runs = list(fleet.followed.values())
            ended = sum(bool(one.ended) for one in runs)
            records = sum(one.delivered for one in runs)
            bars.update(task, description=f"{records:,} records; runs ended", completed=ended, total=len(runs))

        tell(f"following the runs of {url}; Ctrl-C stops" if not alone else f"following {url} until it ends")
        try:
            fleet.follow(watch, until_ended=alone)
        except KeyboardInterrupt:
            tell("stopped")
        gone.close(_LAST_ALERTS)
        runs = list(fleet.followed.values())
        ended = [one for one in runs if one.ended]
        failed = [one for one in runs if one.error is not None or (one.ended and not one.complete)]
        tell(
            f"{counted(len(runs), 'run')}, {len(ended)} ended; "
            f"{counted(sum(one.delivered for one in runs), 'record')} delivered"
            + (f"; {len(failed)} not in full" if failed else "")
        )
    return not failed and (not alone or bool(ended))


def _pool(deliver: Callable[[RunDirectory], Sync]) -> int:
    """Return the number of runs that may be delivered at once: one if an SDK has one run per process."""
    names = getattr(deliver, "keywords", {}).get("to") or []
    return 1 if not names or any(issubclass(tracker_class(name), SoleTracker) for name in names) else POOL


def finish_mirror(run: RunDirectory) -> bool:
    """Bring the mirror of an ended run of this machine up to date; say whether it is.

    Its URL is that of `run.json`; where that held credentials, the one of the variable `ACCEL_TRACK_MIRROR`.
    """
    info: RunInfo = run.load()
    if info.mirror is None or isinstance(run, MirroredRun) or run.is_live():
        return True
    given = os.environ.get(_VARIABLE, "").strip()
    url = given if given and clean(given) == info.mirror else info.mirror
    try:
        complete(run, url)
    except (AccelTrackError, ValueError, OSError) as error:
        say(f"  mirror: {clean(error)}; what is in the run's folder is not all there")
        return False
    say(f"  mirror: {info.mirror} has everything")
    return True
