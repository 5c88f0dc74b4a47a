"""The source of Comet's offline experiments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from accel_track.importers.below import SourceBelow
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.comet.reading import archives, experiments_of


class CometSource(SourceBelow):
    """The offline experiments in a folder, at any depth, or the one whose archive is given.

    The archives of an experiment that was continued are one run. An archive may be unpacked; that of an experiment
    which was killed is the folder that Comet had begun, below the system's folder for temporary files.
    """

    name = "comet_ml"
    what = "Comet's offline archives (`<key>.zip`, or their folders)"
    none = "no archive of an offline experiment that is whole"
    sdk = "comet_ml"
    install = "comet-ml>=3.58"
    cannot_give = (
        "No status, no exact bins of histograms and no names of raw texts, unless this package has logged them. "
        'Not read: "Other" values, tags, source code and console output.'
    )

    @classmethod
    def found(cls, place: Path, *, quick: bool = False) -> Iterator[Path]:
        """Yield the archives, with messages and a description of an experiment."""
        return archives(place, quick=quick)

    def runs_in(self, found: Sequence[Path]) -> Iterator[BackendRun]:
        """Yield the experiments, oldest first."""
        return experiments_of(found)
