"""The stored run of MLflow: what each of its stores tells of one, whatever keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

Point = tuple[str, float | None, int, int]
"""Name, value, time in milliseconds since 1970-01-01 UTC, and step of a value; None for one that is damaged."""


class StoredModel(NamedTuple):
    """A logged model.

    Attributes:
        name: Its name.
        address: Where its files are.
        step: The step, or None.
    """

    name: str
    address: str
    step: int | None


class StoredRun(NamedTuple):
    """A run.

    Attributes:
        id: Its id.
        experiment: Name of its experiment.
        name: Its name, or None.
        status: One of MLflow's words, such as "FINISHED".
        began: When it began, in milliseconds since 1970-01-01 UTC, or None.
        address: Where its artifacts are, or None.
        params: Its params.
        tags: Its tags.
        total: How many values it has, or None if that is not cheap to know.
    """

    id: str
    experiment: str
    name: str | None
    status: str
    began: int | None
    address: str | None
    params: dict[str, Any]
    tags: dict[str, str]
    total: int | None = None


class Store(Protocol):
    """A place in which MLflow keeps runs."""

    folders: Sequence[str] | None
    """The folders in which a run's files may be; None: wherever it says."""

    def runs(self, experiment: str | None, run_id: str | None = None) -> Iterator[StoredRun]:
        """Yield the runs that are not deleted, oldest first: of one experiment, or of all; or the one of an id.

        Raises:
            NotReadableError: The place cannot be read.
        """

    def points(self, run: StoredRun) -> Iterator[Point]:
        """Yield the values of a run, in the order of their times where they are stored by name."""

    def models(self, run: StoredRun) -> Iterator[StoredModel]:
        """Yield the models that a run has logged."""
