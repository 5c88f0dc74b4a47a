"""The source SwanLab: the log files of its offline runs, with their media and saved files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from accel_track.errors import NotReadableError
from accel_track.importers.source import Source
from accel_track.trackers.swanlab.reading import log_files, runs_in

if TYPE_CHECKING:
    from accel_track.trackers.backend_run import BackendRun


class SwanLabSource(Source):
    """The runs in a folder of SwanLab's, or in all below a folder."""

    name: ClassVar[str] = "swanlab"
    what: ClassVar[str] = "SwanLab's local runs (folders run-TIME-ID, each with a file run-ID.swanlab)"
    sdk: ClassVar[str | None] = "swanlab"
    install: ClassVar[str | None] = "swanlab>=0.10"
    cannot_give: ClassVar[str] = (
        "SwanLab keeps the first value of a step, numbers as 64-bit floats, and links to files that were saved from "
        "elsewhere, which are not followed; molecules and other charts become artifacts, and the terminal's output and "
        "the machine's metrics are not read."
    )

    @classmethod
    def recognises(cls, place: str) -> bool:
        """Whether a file begins as SwanLab's log files do, or there is one below a folder."""
        return next(log_files(Path(place), quick=True), None) is not None

    def runs(self) -> Iterator[BackendRun]:
        """Yield the runs, oldest first; the folders of one that several processes have continued are one run."""
        found = list(log_files(Path(self.place)))
        if not found:
            message = f"swanlab: {self.place} has no log file of SwanLab's."
            raise NotReadableError(message)
        yield from runs_in(found)
