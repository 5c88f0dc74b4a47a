"""The source of ClearML's offline sessions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from accel_track.errors import NotReadableError
from accel_track.importers.source import Source
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.walks import folders, quick_look

_BEGIN, _ARCHIVE = "offline-", ".zip"


class ClearMLSource(Source):
    """The offline sessions below a place: folders, and archives where the folder is gone."""

    name = "clearml"
    what = "ClearML's offline sessions (folders offline-…, archives offline-….zip)"
    cannot_give = (
        "ClearML's offline sessions have no status and no captions; titles and series are joined with '/', and "
        "what was printed is left out."
    )

    @classmethod
    def recognises(cls, place: str) -> bool:
        """Whether there is a session."""
        return any(True for folder, names in quick_look(Path(place)) for _ in _sessions(folder, names))

    def runs(self) -> Iterator[BackendRun]:
        """Yield the runs in the order of their names."""
        from accel_track.trackers.clearml.reading import ClearMLRun
        from accel_track.trackers.clearml.session import Session

        path = Path(self.place)
        if not path.exists():
            message = f"{self.name}: there is no {self.place}."
            raise NotReadableError(message)
        for folder, names in folders(path):
            for session in _sessions(folder, names):
                yield ClearMLRun(Session(session))


def _sessions(folder: Path, names: list[str]) -> Iterator[Path]:
    """Yield a folder if it is a session, and the archives in it that no folder stands beside."""
    from accel_track.trackers.clearml.session import EVENTS, TASK, is_session

    if TASK in names and (EVENTS in names or folder.name.startswith(_BEGIN)) and is_session(folder):
        yield folder
    archives = [folder / name for name in names if name.startswith(_BEGIN) and name.endswith(_ARCHIVE)]
    yield from (one for one in archives if not one.with_suffix("").is_dir() and is_session(one))
