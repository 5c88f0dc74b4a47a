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
from accel_track.texts import counted


@dataclass
class Receipt:
    """The comparison of a run with its backend run.

    Attributes:
        name: Name of the tracker.
        values: The count of numbers and texts.
        media: The count of images and other media.
        artifacts: The count of files and folders.
        settings: The count of hyperparameters.
        pending: Number of records that are not delivered yet.
        quarantined: Number of records that the backend refused for good.
        dropped: The values that the tracker has counted as dropped at their delivery.
        by_design: Number of values that the backend has in another form, or not at all, as the tracker declares; by a
            phrase.
        uncompared: Number of values that could not be compared, and may be there or not; by a phrase.
        unread: Number of entries of the backend that could not be read, by a phrase.
        error: The reason why the backend could not be read, or None.
        lacking: The records that make the backend run whole, by rank.
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
        """The four counts: `values`, `media`, `artifacts` and `settings`."""
        return self.values, self.media, self.artifacts, self.settings

    @property
    def whole(self) -> bool:
        """Whether the backend could be read and has everything as it was sent, and no record is pending or quarantined.

        The backend may have more than the journal. Values that are `uncompared` may be there or not.
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
            yield f"  pending: {counted(self.pending, 'record')}, which `accel-track sync` delivers"
        if self.quarantined:
            again = "`accel-track sync --quarantined` tries again"
            yield f"  quarantined: {counted(self.quarantined, 'record')}, which {again}"
        if self.dropped.count:
            yield f"  dropped when they were delivered: {counted(self.dropped.count, 'value')}{self.dropped}"
        for title, counts in (("by design", self.by_design), ("not compared", self.uncompared)):
            if counts:
                yield f"  {title}: {_listed(counts)}"
        if self.unread:
            yield f"  could not be read there: {_listed(self.unread)}"

    def __str__(self) -> str:
        """Return the lines as one text."""
        return "\n".join(self.lines())

    def document(self) -> dict[str, Any]:
        """Return the receipt as JSON values by name, as `accel-track verify --json` prints it."""
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
    """Compare a run's journal with its backend run, without a change to either.

    Args:
        run: The run directory, from [`find_runs`][accel_track.journal.directory.find_runs].
        name: Name of the tracker.
        arguments: Constructor arguments of the tracker, which win over those that the run stored.

    Returns:
        The receipt. A backend that cannot be read is an `error` in the receipt, and no exception.

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
