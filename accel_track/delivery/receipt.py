"""The receipt: what a backend has of a run, compared with the run's journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from accel_track.delivery.comparing.comparison import compare_rank
from accel_track.delivery.comparing.lacking import Lacking
from accel_track.delivery.comparing.tallies import Places, Tally
from accel_track.delivery.sync import Sync
from accel_track.journal.directory import RunDirectory


@dataclass
class Receipt:
    """What a backend has of a run.

    Attributes:
        name: Name of the tracker.
        values: Numbers and texts.
        media: Images and the other kinds.
        artifacts: Files and folders.
        settings: Hyperparameters.
        pending: Records that are not delivered yet.
        quarantined: Records that the backend refused.
        dropped: Values that the tracker has counted as dropped when it was given them.
        by_design: How many values are otherwise there, or not at all, as the tracker declares; by a phrase.
        uncompared: How many things could not be compared, and may be there or not; by a phrase.
        unread: How often something of the backend's could not be read, by a phrase.
        error: Why the backend could not be read, or None.
        lacking: What is to be delivered to make it whole, by rank.
    """

    name: str
    values: Tally = field(default_factory=lambda: Tally("values"))
    media: Tally = field(default_factory=lambda: Tally("media"))
    artifacts: Tally = field(default_factory=lambda: Tally("artifacts"))
    settings: Tally = field(default_factory=lambda: Tally("hyperparameters"))
    pending: int = 0
    quarantined: int = 0
    dropped: Places = field(default_factory=Places)
    by_design: Counter[str] = field(default_factory=Counter)
    uncompared: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)
    error: str | None = None
    lacking: dict[int, Lacking] = field(default_factory=dict, repr=False)

    @property
    def tallies(self) -> tuple[Tally, ...]:
        """All that is counted."""
        return self.values, self.media, self.artifacts, self.settings

    @property
    def whole(self) -> bool:
        """Whether the backend could be read, has all that it is to have as it was sent, and nothing is left to deliver.

        It may have more, and what is `uncompared` may be there or not.
        """
        lacking = any(tally.missing.count or tally.differing.count for tally in self.tallies)
        return not (lacking or self.pending or self.quarantined or self.error)

    def lines(self) -> Iterator[str]:
        """Yield the receipt as lines for people; all but the first begin with two spaces."""
        if self.error is not None:
            yield f"{self.name}: not compared: {self.error}"
        else:
            yield f"{self.name}: {self.values}"
            for tally in self.tallies[1:]:
                if tally.sent or tally.extra.count:
                    yield f"  {tally}"
        if self.pending:
            yield f"  pending: {self.pending:,} records, which `accel-track sync` delivers"
        if self.quarantined:
            yield f"  quarantined: {self.quarantined:,} records, which `accel-track sync --quarantined` tries again"
        if self.dropped.count:
            yield f"  dropped when they were delivered: {self.dropped.count:,} values{self.dropped}"
        for title, counts in (("by design", self.by_design), ("not compared", self.uncompared)):
            if counts:
                yield f"  {title}: {_listed(counts)}"
        if self.unread:
            yield f"  could not be read there: {_listed(self.unread)}"

    def __str__(self) -> str:
        """Return the lines as one text."""
        return "\n".join(self.lines())

    def document(self) -> dict[str, Any]:
        """Return the receipt for JSON."""
        return {
            "name": self.name,
            "whole": self.whole,
            "error": self.error,
            **{tally.what: tally.document() for tally in self.tallies},
            "pending": self.pending,
            "quarantined": self.quarantined,
            "dropped": self.dropped.document(),
            "by_design": dict(self.by_design),
            "not_compared": dict(self.uncompared),
            "unread": dict(self.unread),
        }


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{what} ({count:,})" for what, count in counts.items())


def compare(run: RunDirectory, name: str, arguments: Mapping[str, Any] | None = None) -> Receipt:
    """Compare what a backend has of a run with the run's journal; nothing is changed.

    Args:
        run: The run.
        name: Name of the tracker.
        arguments: Constructor arguments of the tracker; they win over those that the run stored.

    Raises:
        JournalError: `run.json`, a cursor or a segment is damaged.
        OSError: The run directory cannot be read.
    """
    receipt = Receipt(name)
    sync = Sync(run, [name], {name: dict(arguments or {})})
    ranks = sync.ranks(name)
    for rank in ranks:
        compare_rank(receipt, sync, rank)
    if others := len(run.ranks()) - len(ranks):
        receipt.by_design["other ranks, whose records it does not get"] = others
    receipt.by_design, receipt.uncompared = +receipt.by_design, +receipt.uncompared
    return receipt
