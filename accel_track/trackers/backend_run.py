"""The backend run: what a backend has of one run, as its own reader gives it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accel_track.outcome import Outcome
from accel_track.records import Artifact, Checkpoint, Metrics


class BackendRun:
    """One run in a backend, for `accel-track import` and `accel-track verify --against`.

    A backend's `reading.py` has a subclass, which fills in the attributes and `records`. Nothing in a source is
    executed to read it: no pickle, no YAML objects.

    Attributes:
        id: The backend's own name of the run, the same whenever it is read.
        project: Name of the project (or experiment); None where the backend has none.
        name: Name of the run in its project; None where it has none.
        created: When it began, in seconds since 1970-01-01 UTC; None where the backend does not know.
        outcome: How it ended; None where it is running or the backend does not know.
        config: Hyperparameters, nested where the backend keeps nesting.
        total: How many values `records` will yield, for a progress bar; None where that is not cheap to know.
        lacks: Why a kind of thing that the backend keeps is never among `records`, by the kind's name ("image" and the
            others of `accel_track.media`, "artifact", "model"); or why `config` is empty, by "config".
        lost: How often something could not be read, by a sentence that says what; complete once `records` is through.
    """

    def __init__(self, id: str) -> None:  # noqa: A002 - the word of the attribute
        """Know nothing but the run's id."""
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
        """Yield what was logged, in the order logged as far as the backend knows it; in memory that does not grow.

        Each `seq` is -1. `values` of metrics are numbers, texts and media (`accel_track.media`), under the names that
        the user gave where the backend's names tell them; those of one call are together where the backend's reader
        tells that. A `time` that the backend does not know is `created`, or 0.0. What cannot be read is counted in
        `lost`, and the rest goes on.

        Args:
            scratch: An empty folder for files that must be somewhere to be read. They stay until the caller, who is
                through with them, deletes the folder.
        """
        raise NotImplementedError
