"""The source Aim: the runs of its repositories, with their artifacts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from accel_track.importers.below import SourceBelow
from accel_track.trackers.aim.reading import AimRun, check_installed, repositories, run_hashes
from accel_track.trackers.backend_run import BackendRun


class AimSource(SourceBelow):
    """The runs in a repository of Aim's, or in all below a folder."""

    name = "aim"
    what = "Aim's repositories on this computer (folders .aim)"
    none = "no repository of Aim's"
    sdk = "aim"
    install = "aim>=3.29"
    cannot_give = (
        "Only the last value of each step, and only whether a run ended well. Not read: epochs, artifacts outside "
        "of the repository's folder, the terminal's output and the machine's metrics."
    )

    @classmethod
    def found(cls, place: Path, *, quick: bool = False) -> Iterator[Path]:
        """Yield the folders of repositories."""
        return repositories(place, quick=quick)

    def runs_in(self, found: Sequence[Path]) -> Iterator[BackendRun]:
        """Yield the runs, oldest first in each repository."""
        check_installed()
        for repository in found:
            for own in run_hashes(repository):
                yield AimRun(repository, own)
