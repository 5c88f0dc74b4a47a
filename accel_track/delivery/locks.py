"""The locks of a run: what a process holds of the directory while it may log to it; an idle run holds nothing."""

from __future__ import annotations

from filelock import BaseFileLock

from accel_track.errors import JournalError, ResumeError, warn
from accel_track.journal.directory import RunDirectory
from accel_track.journal.info import RunInfo


class Locks:
    """The lock that says that the run is alive, and one for the cursor of each tracker.

    Args:
        run: The run directory.
        rank: Number of this process.
        alive: The lock that says that the run is alive, where it is held.
    """

    def __init__(self, run: RunDirectory, rank: int, alive: BaseFileLock | None) -> None:
        """Hold no cursor yet."""
        self._run, self._rank = run, rank
        self._alive = alive
        self._had_alive = alive is not None
        self._claims: dict[str, BaseFileLock] = {}
        self._left: RunInfo | None = None

    def claim(self, name: str) -> bool:
        """Take a tracker's cursor; False if another process has it."""
        if name in self._claims:
            return True
        try:
            lock = self._run.claim(name, self._rank)
        except OSError:  # a disk that takes nothing was warned about
            return True
        if lock is not None:
            self._claims[name] = lock
        return lock is not None

    def release(self, name: str) -> None:
        """Give a tracker's cursor back."""
        if (lock := self._claims.pop(name, None)) is not None:
            lock.release()

    def release_run(self) -> None:
        """Let go of the lock that says that the run is alive."""
        if self._alive is not None:
            self._alive.release()
            self._alive = None

    def take_in_new_folder(self) -> None:
        """Lock in a folder that was made again what was locked in the one that is gone."""
        if self._alive is not None:
            self.release_run()
            self._alive = self._run.claim_run()
        for name in list(self._claims):
            self.release(name)
            self.claim(name)

    def rest(self, *, alive: bool) -> None:
        """Give back what an idle run does not need.

        Args:
            alive: Whether to go on saying that the run is alive: nobody has noted how it ended.
        """
        try:
            self._left = self._run.load()
        except JournalError:  # a disk that takes nothing was warned about
            self._left = None
        for name in list(self._claims):
            self.release(name)
        if not alive:
            self.release_run()

    def take_again(self) -> None:
        """Go on after a rest, in the folder as it was left; the cursors are for `claim`.

        Raises:
            ResumeError: Another process, or another logger of this one, has continued the run.
        """
        left = self._left
        if left is None:
            return
        gone = f"{self._run.path}: the run was continued elsewhere while it was idle here; log to a new one."
        try:
            if not (self._run.path / "run.json").exists():
                self._run.make()
                warn(f"{self._run.path} was deleted while the run was idle; what follows goes to a new folder there.")
            if self._had_alive and self._alive is None:
                self._alive = self._run.claim_run()
                if self._alive is None:
                    raise ResumeError(gone)
            if self._run.load().starts != left.starts:
                self.release_run()
                raise ResumeError(gone)
        except JournalError:  # damaged since, which is no reason not to log
            return
        except OSError:  # a disk that takes nothing: the journal says it
            return
