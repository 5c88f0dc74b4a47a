"""The source of wandb's offline runs."""

from __future__ import annotations

from collections.abc import Iterator

from accel_track.errors import NotReadableError
from accel_track.importers.source import Source
from accel_track.trackers.backend_run import BackendRun


class WandBSource(Source):
    """The offline runs in a folder, at any depth, or the one whose `.wandb` file is given.

    The files of a run that was resumed are one run. Runs that were interrupted or killed are read as far as wandb has
    written them.
    """

    name = "wandb"
    what = "wandb's offline runs (folders `offline-run-…` with a `.wandb` file)"
    sdk = "wandb"
    install = "wandb>=0.31"
    cannot_give = (
        "Values that wandb had not written when its process was killed, what is on its server alone, and artifacts by "
        "reference; machine metrics, console output, code, alerts, tags, notes, masks and boxes of images, and saved "
        "files that are links are left out."
    )

    @classmethod
    def recognises(cls, place: str) -> bool:
        """Look for a file that begins as wandb's do."""
        from accel_track.trackers.wandb.reading import run_files

        return next(run_files(place), None) is not None

    def runs(self) -> Iterator[BackendRun]:
        """Yield the runs, oldest first."""
        from accel_track.trackers.wandb.reading import run_files, runs_of

        files = list(run_files(self.place))
        if not files:
            message = f"wandb: there is no file of an offline run in {self.place!r}."
            raise NotReadableError(message)
        yield from runs_of(files)
