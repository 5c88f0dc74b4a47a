"""The journal's stand-in in a forked child, and after the end of a run."""

from __future__ import annotations

from typing import Any

from accel_track.errors import warn


class ForkedJournal:
    """A journal that keeps nothing, and says so once."""

    why = (
        "a forked process logs nothing: the run belongs to the process that started it. Log there, or start "
        "a run of this process's own."
    )
    next_seq = 0
    warned = False

    def config(self, values: Any, *, environment: bool = False, only: str = "") -> None:
        """Warn once."""
        self.metrics(values, None, {})

    def rewind(self, step: Any) -> None:
        """Do nothing: nothing is logged."""

    def again(self, values: Any, step: Any) -> bool:
        """Leave the call to `metrics`."""
        return False

    def metrics(
        self,
        values: Any,
        step: Any,
        kwargs: Any,
        moment: Any = None,
        unread: Any = None,
        only: str = "",
        alert: Any = None,
    ) -> None:
        """Warn once."""
        if not self.warned:
            self.warned = True
            warn(self.why, stacklevel=5)


class EndedJournal(ForkedJournal):
    """A stand-in for the journal of a run that has ended."""

    why = "log: the run has ended, and what is logged now is not kept. Log before the end, or to another run."
