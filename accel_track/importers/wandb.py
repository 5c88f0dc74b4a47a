"""The source of wandb's offline runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from accel_track.importers.below import SourceBelow
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.wandb.reading import run_files, runs_of


class WandBSource(SourceBelow):
    """The offline runs in a folder, at any depth, or the one whose `.wandb` file is given.

    The files of a run that was resumed are one run. Runs that were interrupted or killed are read as far as wandb has
    written them.
    """

    name = "wandb"
    what = "wandb's offline runs (folders `offline-run-…` with a `.wandb` file)"
    none = "no offline run of wandb's"
    sdk = "wandb"
    install = "wandb>=0.31"
    cannot_give = (
        "No values that wandb had not written when its process was killed, and nothing that is on wandb's server "
        "alone. Not read: artifacts by reference, machine metrics, console output, code, alerts, tags, notes, "
        "masks and boxes of images, and saved files that are links."
    )

    @classmethod
    def found(cls, place: Path, *, quick: bool = False) -> Iterator[Path]:
        """Yield the files of runs, which begin as such."""
        return run_files(place, quick=quick)

    def runs_in(self, found: Sequence[Path]) -> Iterator[BackendRun]:
        """Yield the runs, oldest first."""
        return runs_of(found)
