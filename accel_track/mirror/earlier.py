"""The earlier run in a store: it is fetched to a machine on which it is to be continued."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from accel_track.errors import JournalError, warn
from accel_track.files import make_private
from accel_track.journal.directory import PARENT, RunDirectory
from accel_track.journal.info import RunInfo
from accel_track.mirror.claims import Claim
from accel_track.mirror.download import Download
from accel_track.mirror.layout import CLAIMS, State, plain_path, started_folders, stored_name
from accel_track.mirror.runs import Lively
from accel_track.mirror.store import Store, StoreError

SUPERSEDED = ".superseded"
"""Folder beside the projects, for copies of runs that went on elsewhere meanwhile: no run is looked for in it."""

FETCHED = ".fetched"
"""Folder beside the projects, for runs on their way here: no run is looked for in it either."""


def fetch_earlier(
    url: str,
    place: Path,
    project: str,
    wanted: tuple[str | None, str | None],
    rating: Callable[[RunInfo], tuple[bool, float] | None],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Fetch the run of a project that is to be continued, unless this machine has it as it is in the store.

    A store that cannot be reached is a warning.

    Args:
        url: The mirror.
        place: The folder of the project's runs here.
        project: The project.
        wanted: Name and cluster job of the run; None if there is none.
        rating: Says how well a run suits; None if it does not.
        sleep: Waits so many seconds.
    """
    try:
        store = Store(url)
        found: list[tuple[tuple[bool, float], str, RunInfo]] = []
        for folder in {name for one in started_folders(project, *wanted) for name in store.sizes(one)}:
            info = Download(store, f"{stored_name(project)}/{folder}", RunDirectory(place)).info()
            if info is not None and info.run_id == plain_path(folder) and (rated := rating(info)) is not None:
                found.append((rated, folder, info))
        if found:
            _, folder, info = max(found, key=lambda one: one[0])
            _fetch(store, f"{stored_name(project)}/{folder}", RunDirectory(place / info.run_id), info, sleep)
    except (StoreError, JournalError) as error:
        warn(f"mirror: {error}; no run is looked for in it, and what is continued is what this machine has.")


def _fetch(store: Store, name: str, run: RunDirectory, info: RunInfo, sleep: Callable[[float], None]) -> None:
    """Fetch a run, unless it is here, or goes on elsewhere."""
    here = (run.path / "run.json").is_file()
    if here and run.load().starts >= info.starts:
        return
    download = Download(store, name, run)
    if (state := download.state()) is not None and _goes_on(download, state, sleep):
        warn(f"{name} in {store.shown} is not continued, since another process is logging to it.")
        return
    if not Claim(store, download.path(f"{CLAIMS}/start-{info.starts + 1}.json")).take():
        warn(f"{name} in {store.shown} is not continued, since another process is just about to.")
        return
    if here:
        aside = run.path.parents[1] / SUPERSEDED / run.path.parent.name
        make_private(aside)
        run.path.rename(aside / f"{run.path.name}-{secrets.token_hex(3)}")
        warn(f"{run.path}: the run went on elsewhere; what this machine had of it is in {aside} now.")
    _bring(download, run, info)


def _bring(download: Download, run: RunDirectory, info: RunInfo) -> None:
    """Fetch all of a run into a new folder, which gets its name once it is complete."""
    new = RunDirectory(run.path.parents[1] / FETCHED / run.path.parent.name / f"{run.path.name}-{secrets.token_hex(3)}")
    whole = Download(download.store, download.name, new)
    try:
        whole.look(info)
        info = new.load()
        store = run.path.parents[1]
        info.directory = str(store.parent) if store.name == PARENT else None
        new.save(info)
        make_private(run.path.parent)
        new.path.rename(run.path)
    finally:
        shutil.rmtree(new.path, ignore_errors=True)
    for problem in whole.problems[:3]:
        warn(f"mirror: {problem}; the run is continued without.")


def _goes_on(download: Download, state: State, sleep: Callable[[float], None]) -> bool:
    """Return whether another process is logging to a run: wait for a sign of life, if the last one is not long ago."""
    lively, silence = Lively(), 3 * state.interval + 5
    lively.see(state)
    while lively.silent() < silence:
        sleep(min(1.0, silence - lively.silent()))
        now = download.state()
        if now is not None and now != state and not now.over:
            return True
        if now is not None:
            lively.see(now)
    return False


def fetch_rank(store: Store, run: RunDirectory, rank: int) -> None:
    """Fetch a rank's folder, where this machine has nothing of it; a store that cannot be reached is a warning."""
    if any(run.rank(rank).glob("*.seg")):
        return
    name = f"{stored_name(run.path.parent.name)}/{stored_name(run.path.name)}"
    download = Download(store, name, run)
    try:
        if (state := download.state(rank)) is not None:
            download.rank(rank, state)
    except (StoreError, JournalError) as error:
        warn(f"mirror: {error}; rank {rank} goes on without what it had logged before.")
