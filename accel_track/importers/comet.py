"""The source of Comet's offline experiments."""

from __future__ import annotations

from collections.abc import Iterator

from accel_track.errors import NotReadableError
from accel_track.importers.source import Source
from accel_track.trackers.backend_run import BackendRun


class CometSource(Source):
    """The offline experiments in a folder, at any depth, or the one whose archive is given.

    The archives of an experiment that was continued are one run. An archive may be unpacked; that of an experiment
    which was killed is the folder that Comet had begun, below the system's folder for temporary files.
    """

    name = "comet_ml"
    what = "Comet's offline archives (`<key>.zip`, or their folders)"
    sdk = "comet_ml"
    install = "comet-ml>=3.58"
    cannot_give = (
        "The status of a run and the exact bins of a histogram, except of this package's, and the names of raw texts; "
        '"Other" values, tags, source code, and console output are left out.'
    )

    @classmethod
    def recognises(cls, place: str) -> bool:
        """Look for an archive with messages and a description of an experiment."""
        from accel_track.trackers.comet.reading import archives

        return next(archives(place), None) is not None

    def runs(self) -> Iterator[BackendRun]:
        """Yield the experiments, oldest first."""
        from accel_track.trackers.comet.reading import archives, experiments_of

        found = list(archives(self.place))
        if not found:
            message = (
                f"comet_ml: there is no archive of an offline experiment in {self.place!r}, or none that is whole."
            )
            raise NotReadableError(message)
        yield from experiments_of(found)
