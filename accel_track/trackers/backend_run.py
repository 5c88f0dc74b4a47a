"""The backend run: one run in a backend, with its content, as the backend's own reader gives it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accel_track.outcome import Outcome
from accel_track.records import Artifact, Checkpoint, Metrics


class BackendRun:
    """One run in a backend, for `accel-track import` and `accel-track verify --against`.

    A subclass fills in the attributes and `records`. A reader executes nothing of what it reads: no pickle, no YAML
    objects.

    Args:
        id: The backend's own id of the run, the same at each reading.

    Attributes:
        id: The backend's own id of the run.
        project: Name of the project (or experiment); None if the backend has none.
        name: Name of the run in its project; None if it has none.
        created: Time of the run's beginning, in seconds since 1970-01-01 UTC; None if it is unknown.
        outcome: Outcome of the run; None if the run goes on, or if the outcome is unknown.
        config: Hyperparameters, nested if the backend keeps nesting.
        total: Number of values that `records` yields, for a progress bar; None if it is not cheap to know.
        lacks: Reasons by kind ("image" and the other kinds of `accel_track.media`, "artifact", "model") for kinds that
            the backend keeps and `records` never has; by "config", the reason for an empty `config`.
        lost: Number of entries that could not be read, by a sentence about them; complete after `records`.
    """

    def __init__(self, id: str) -> None:  # noqa: A002 - the word of the attribute
        """Begin with the run's id, and nothing else."""
        self.id = id
        self.project: str | None = None
        self.name: str | None = None
        self.created: float | None = None
        self.outcome: Outcome | None = None
        self.config: dict[str, Any] = {}
        self.total: int | None = None
        self.lacks: dict[str, str] = {}
        self.lost: Counter[str] = Counter()

    def records(self, scratch: Path) -> Iterator[Metrics | Artifact | Checkpoint]:
        """Yield the run's records in the order of their calls, as far as the backend knows it, in constant memory.

        Each `seq` is -1. The `values` of metrics are numbers, texts and media (`accel_track.media`), by the user's
        names if the backend's names tell them; the values of one call are in one record if the backend tells that. An
        unknown `time` is `created`, or 0.0. An entry that cannot be read is counted in `lost`, and the others follow.

        Args:
            scratch: An empty folder for files that are needed for reading. The caller deletes it after the last record.
        """
        raise NotImplementedError
