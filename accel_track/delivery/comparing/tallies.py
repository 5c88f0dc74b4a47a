"""Tallies: how much of what a run has logged is in a backend, and where the rest belongs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from accel_track.delivery.comparing.points import NO_STEP

_SHOWN = 5


@dataclass
class Places:
    """Values of a run, with the names and steps of the first few.

    Attributes:
        count: How many there are.
        first: Name and step of the first few; the step is None for a value that was logged without one.
    """

    count: int = 0
    first: list[tuple[str, int | None]] = field(default_factory=list)

    def add(self, name: str, steps: Iterable[int | None], count: int | None = None) -> None:
        """Add values of one name, of which `steps` may be the first few."""
        steps = list(steps)
        self.count += len(steps) if count is None else count
        room = _SHOWN - len(self.first)
        self.first += [(name, None if step == NO_STEP else step) for step in steps[: max(0, room)]]

    def __str__(self) -> str:
        """Return the places as a phrase."""
        names = list(dict.fromkeys(name for name, _ in self.first))
        steps = list(dict.fromkeys(step for _, step in self.first if step is not None))
        more = ", …" if self.count > len(self.first) else ""
        where = f" at step {steps[0]}" if len(steps) == 1 else f" at the steps {', '.join(map(str, steps))}{more}"
        return f"{where if steps else ''} ({', '.join(names)}{more})"

    def document(self) -> dict[str, Any]:
        """Return the places as JSON values."""
        return {"count": self.count, "first": [{"name": name, "step": step} for name, step in self.first]}


@dataclass
class Tally:
    """The count of one kind of content.

    Attributes:
        what: What is counted, such as "values".
        sent: How many the backend is to have.
        missing: Those of them that it has not.
        differing: Those of them in whose place it has another value.
        extra: Those that it has beside them: twice, or unknown to the journal.
    """

    what: str
    sent: int = 0
    missing: Places = field(default_factory=Places)
    differing: Places = field(default_factory=Places)
    extra: Places = field(default_factory=Places)

    @property
    def there(self) -> int:
        """The number of sent values that are there."""
        return self.sent - self.missing.count - self.differing.count

    def __str__(self) -> str:
        """Return the tally as a phrase."""
        text = f"{self.there:,} of {self.sent:,} {self.what}"
        text += f", {self.missing.count:,} missing{self.missing}" if self.missing.count else ""
        text += f", {self.differing.count:,} other than sent{self.differing}" if self.differing.count else ""
        return text + (f", {self.extra.count:,} more than sent{self.extra}" if self.extra.count else "")

    def document(self) -> dict[str, Any]:
        """Return the tally as JSON values."""
        places = {name: getattr(self, name).document() for name in ("missing", "differing", "extra")}
        return {"sent": self.sent, "there": self.there, **places}
