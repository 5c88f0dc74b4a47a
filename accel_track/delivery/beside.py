"""A run seen from beside: its journal is read where it is, and all that a delivery writes is in another folder."""

from __future__ import annotations

from pathlib import Path

from accel_track.journal.directory import RunDirectory
from accel_track.journal.info import RunInfo


class Beside(RunDirectory):
    """A run directory with cursors, locks and a `run.json` of its own, of the journal and the media of another.

    A delivery from here leaves the run as it is: neither its trackers nor its cursors are touched.

    Args:
        run: The run.
        path: The folder, `<logging directory>/.accel_track/<project>/<run id>`, where trackers keep local files in the
            logging directory.
        name: Name of the run there.
    """

    def __init__(self, run: RunDirectory, path: Path, name: str) -> None:
        """Touch nothing yet."""
        super().__init__(path)
        self._run, self._name = run, name

    def load(self) -> RunInfo:
        """Return the content of the run's `run.json`, with the trackers of this directory.

        Raises:
            JournalError: One of the two is damaged.
        """
        info = self._run.load()
        info.trackers = super().load().trackers if (self.path / "run.json").exists() else {}
        info.name, info.mirror = self._name, None
        return info

    def rank(self, number: int = 0) -> Path:
        """Return the folder of the run's journal."""
        return self._run.rank(number)

    def ranks(self) -> list[int]:
        """Return the ranks that have a journal."""
        return self._run.ranks()

    def deliveries(self, number: int = 0) -> Path:
        """Return the folder of this one's cursors."""
        return super().rank(number)

    @property
    def shown(self) -> str:
        """The place of the run, for people."""
        return self._run.shown

    @property
    def lacking(self) -> list[str]:
        """Sentences about what of the run should be in its folder and is not."""
        return self._run.lacking

    def refresh(self, *, media: bool = True) -> bool:
        """Bring the run up to date, where it is a copy."""
        return self._run.refresh(media=media)

    def is_live(self) -> bool:
        """Return whether the process that trains is there."""
        return self._run.is_live()
