"""The source Aim: the runs of its repositories, with their artifacts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from accel_track.errors import NotReadableError
from accel_track.importers.source import Source
from accel_track.trackers.aim.reading import AimRun, check_installed, repositories, run_hashes

if TYPE_CHECKING:
    from accel_track.trackers.backend_run import BackendRun


class AimSource(Source):
    """The runs in a repository of Aim's, or in all below a folder."""

    name: ClassVar[str] = "aim"
    what: ClassVar[str] = "Aim's repositories on this computer (folders .aim)"
    sdk: ClassVar[str | None] = "aim"
    install: ClassVar[str | None] = "aim>=3.29"
    cannot_give: ClassVar[str] = (
        "Aim keeps the last value of a step, no epochs but beside values, where they are not read, and of how a run "
        "ended only whether it reported a good end; artifacts outside of the folder that has the repository, the "
        "terminal's output and the machine's metrics are not read."
    )

    @classmethod
    def recognises(cls, place: str) -> bool:
        """Whether a folder is a repository of Aim's, or there is one below it."""
        return next(repositories(Path(place), quick=True), None) is not None

    def runs(self) -> Iterator[BackendRun]:
        """Yield the runs, oldest first in each repository."""
        found = list(repositories(Path(self.place)))
        if not found:
            message = f"aim: {self.place} has no repository of Aim's."
            raise NotReadableError(message)
        check_installed()
        for repository in found:
            for own in run_hashes(repository):
                yield AimRun(repository, own)
