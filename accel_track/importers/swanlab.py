"""The source SwanLab: the log files of its offline runs, with their media and saved files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from accel_track.importers.below import SourceBelow
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.swanlab.reading import log_files, runs_in


class SwanLabSource(SourceBelow):
    """The runs in a folder of SwanLab's, or in all below a folder."""

    name = "swanlab"
    what = "SwanLab's local runs (folders run-TIME-ID, each with a file run-ID.swanlab)"
    none = "no log file of SwanLab's"
    sdk = "swanlab"
    install = "swanlab>=0.10"
    cannot_give = (
        "Only the first value of each step, and numbers as 64-bit floats; molecules and other charts become "
        "artifacts. Not read: files that were saved as links, the terminal's output and the machine's metrics."
    )

    @classmethod
    def found(cls, place: Path, *, quick: bool = False) -> Iterator[Path]:
        """Yield the log files, which begin as such."""
        return log_files(place, quick=quick)

    def runs_in(self, found: Sequence[Path]) -> Iterator[BackendRun]:
        """Yield the runs, oldest first; the folders of one that several processes have continued are one run."""
        return runs_in(found)
