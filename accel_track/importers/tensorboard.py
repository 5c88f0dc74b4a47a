"""The source of TensorBoard's event files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from accel_track.errors import NotReadableError
from accel_track.importers.source import Source
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.reading.walks import walked


class TensorBoardSource(Source):
    """The runs below a folder: each folder with event files is one, named by its path.

    The folders that `SummaryWriter.add_scalars` makes, and that of a single `add_hparams`, belong to the run above
    them.
    """

    name = "tensorboard"
    what = "TensorBoard's event files (a file, or a folder of runs)"
    sdk = "tensorboard"
    install = "tensorboard>=2.18"
    cannot_give = "32-bit numbers, no captions and no files; how a run ended only where an HParams session has an end."

    @classmethod
    def recognises(cls, place: str) -> bool:
        """Return whether an event file is there: its name says so, and it begins as one."""
        from accel_track.trackers.tensorboard.frames import begins
        from accel_track.trackers.tensorboard.reading import is_event_file

        places = walked(Path(place), quick=True)
        return any(begins(folder / name) for folder, _, names in places for name in names if is_event_file(name))

    def runs(self) -> Iterator[BackendRun]:
        """Yield the runs, oldest first."""
        from accel_track.trackers.tensorboard.reading import runs_below

        if not Path(self.place).exists():
            message = f"{self.name}: there is no {self.place}."
            raise NotReadableError(message)
        yield from runs_below(Path(self.place))
