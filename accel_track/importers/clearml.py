"""The source of ClearML's offline sessions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from accel_track.importers.below import SourceBelow
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.clearml.reading import ClearMLRun
from accel_track.trackers.clearml.session import EVENTS, TASK, Session, is_session
from accel_track.trackers.reading.places import is_regular
from accel_track.trackers.reading.walks import walked

_BEGIN, _ARCHIVE = "offline-", ".zip"


class ClearMLSource(SourceBelow):
    """The offline sessions below a place: folders, and archives where the folder is gone."""

    name = "clearml"
    what = "ClearML's offline sessions (folders offline-…, archives offline-….zip)"
    none = "no offline session of ClearML's"
    cannot_give = "No status and no captions; names are titles and series, joined with '/'. Not read: printed output."

    @classmethod
    def found(cls, place: Path, *, quick: bool = False) -> Iterator[Path]:
        """Yield the folders and archives of sessions."""
        if is_regular(place):  # an archive that was named is meant, also beside its folder
            yield from [place] if is_session(place) else []
            return
        for folder, _, names in walked(place, quick=quick):
            yield from _sessions(folder, names)

    def runs_in(self, found: Sequence[Path]) -> Iterator[BackendRun]:
        """Yield the runs in the order of their names."""
        return (ClearMLRun(Session(session)) for session in found)


def _sessions(folder: Path, names: list[str]) -> Iterator[Path]:
    """Yield a folder if it is a session, and the archives in it that no folder stands beside."""
    if TASK in names and (EVENTS in names or folder.name.startswith(_BEGIN)) and is_session(folder):
        yield folder
    archives = [folder / name for name in names if name.startswith(_BEGIN) and name.endswith(_ARCHIVE)]
    yield from (one for one in archives if is_regular(one) and not one.with_suffix("").is_dir() and is_session(one))
