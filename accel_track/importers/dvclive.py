"""The source of DVCLive's folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from accel_track.importers.below import SourceBelow
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.dvclive.reading import run_folders, run_in


class DVCLiveSource(SourceBelow):
    """The folders of `dvclive.Live` below a place."""

    name = "dvclive"
    what = "DVCLive's folders (plots/metrics, params.yaml, metrics.json)"
    none = "no folder of DVCLive's"
    cannot_give = (
        "No status, no captions, of plots only the last ones, and the times of the files, unless DVCLive was "
        "asked to keep times. Not read: data that is in Git or in DVC's cache alone."
    )

    @classmethod
    def found(cls, place: Path, *, quick: bool = False) -> Iterator[Path]:
        """Yield the folders with tables of metrics, or with a summary beside parameters or plots."""
        return run_folders(place, quick=quick) if place.is_dir() else iter(())

    def runs_in(self, found: Sequence[Path]) -> Iterator[BackendRun]:
        """Yield the runs in the order of their folders' names."""
        return (run_in(folder, Path(self.place)) for folder in found)
