"""The source of DVCLive's folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from accel_track.errors import NotReadableError
from accel_track.importers.source import Source
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.walks import quick_look


class DVCLiveSource(Source):
    """The folders of `dvclive.Live` below a place."""

    name = "dvclive"
    what = "DVCLive's folders (plots/metrics, params.yaml, metrics.json)"
    cannot_give = (
        "DVCLive keeps no status, no captions and, unless asked to, no time, for which that of the files stands; of "
        "plots the last ones, and nothing that is in Git or in DVC's cache alone."
    )

    @classmethod
    def recognises(cls, place: str) -> bool:
        """Whether there is a folder with tables of metrics, or with a summary beside parameters or plots."""
        from accel_track.trackers.dvclive.reading import is_run

        return os.path.isdir(place) and any(is_run(folder, names) for folder, names in quick_look(Path(place)))

    def runs(self) -> Iterator[BackendRun]:
        """Yield the runs in the order of their folders' names."""
        from accel_track.trackers.dvclive.reading import runs_below

        if not Path(self.place).is_dir():
            message = f"{self.name}: there is no folder {self.place}."
            raise NotReadableError(message)
        yield from runs_below(Path(self.place))
