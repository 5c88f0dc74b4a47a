"""The sources of files and folders below a place on this computer: which are found first, and then read."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from accel_track.errors import NotReadableError
from accel_track.importers.source import Source
from accel_track.trackers.backend_run import BackendRun


class SourceBelow(Source):
    """Runs in files or folders of one kind, at any depth below a folder; or in the one that a place is."""

    none: ClassVar[str]
    """The phrase for a place without such runs, such as "no offline run of wandb's"."""

    @classmethod
    @abstractmethod
    def found(cls, place: Path, *, quick: bool = False) -> Iterator[Path]:
        """Yield the files or folders that hold runs; imports no SDK, and never raises.

        Args:
            place: The folder, or the file.
            quick: Whether to end after 20,000 files and folders.
        """

    @abstractmethod
    def runs_in(self, found: Sequence[Path]) -> Iterator[BackendRun]:
        """Yield the runs in all that was found, which is something.

        Raises:
            NotReadableError: They cannot be read; the message says why.
        """

    @classmethod
    def recognises(cls, place: str) -> bool:
        """Return whether there is one."""
        return next(cls.found(Path(place), quick=True), None) is not None

    def runs(self) -> Iterator[BackendRun]:
        """Yield the runs."""
        found = list(self.found(Path(self.place)))
        if not found:
            message = f"{self.name}: there is {self.none} in {self.place!r}."
            raise NotReadableError(message)
        yield from self.runs_in(found)
