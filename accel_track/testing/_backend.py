"""The backend under test: its description by a tracker's test, and the suites' common tools."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from accel_track.trackers.base import GeneralTracker


class Seen(NamedTuple):
    """One medium, as the backend's own reader gives it.

    Attributes:
        what: The content: for an image, an array of uint8 and shape (height, width, channels); for a video, the frames,
            with a dimension before these; for points, an array of floats; a text; for a file, its bytes; for a folder,
            a dictionary of bytes by path; for a table, `Columns`; for a histogram, `Bins`.
        step: The step in the backend, or None.
        caption: The caption in the backend, or "".
    """

    what: Any
    step: int | None = None
    caption: str = ""


class Columns(NamedTuple):
    """A table that was read back.

    Attributes:
        columns: Names of the columns.
        rows: Rows of cells, which are texts if the backend stores texts.
    """

    columns: list[str]
    rows: list[list[Any]]


class Bins(NamedTuple):
    """A histogram that was read back.

    Attributes:
        counts: The count of each bin.
        edges: The edges of the bins, one more than `counts`; None if the backend does not have them.
    """

    counts: list[float]
    edges: list[float] | None = None


@dataclass
class Readback:
    """The content of one run in a backend, read without the code under test."""

    metrics: dict[str, list[tuple[int | None, float]]] = field(default_factory=dict)
    """Points `(step, value)` by the backend's name, in the order in which they are stored."""

    times: dict[str, list[float]] = field(default_factory=dict)
    """The times of the points' calls by name, in seconds since 1970-01-01 UTC; only if `keeps_time` is true."""

    config: dict[str, Any] = field(default_factory=dict)
    """Hyperparameters by the backend's name, nested if the backend keeps nesting."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    """Texts by name."""

    images: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """Sizes `(height, width)` of the stored images, by the user's name."""

    tables: dict[str, list[list[Any]]] = field(default_factory=dict)
    """Rows of tables by name; a cell is a text if the backend stores texts."""

    media: dict[str, list[Seen]] = field(default_factory=dict)
    """Media by the user's name, in the order of their calls; also artifacts and models."""

    project: str | None = None
    """The project (or experiment) of the run."""

    run_name: str | None = None
    """The name of the run."""

    runs: int = 1
    """The number of runs that the backend has in this place, empty ones included."""


class Backend:
    """The backend under test: how to make its tracker, and how to read back the stored content."""

    tracker_class: ClassVar[type[GeneralTracker]]
    """The class under test."""

    def make(self, folder: Path) -> GeneralTracker:
        """Return a new tracker in the SDK's local mode.

        Args:
            folder: The folder for the tracker's data.
        """
        raise NotImplementedError

    def read(self, folder: Path) -> Readback:
        """Read the content of the run in a folder, with the SDK's own reader or from its files.

        Args:
            folder: The folder of `make`.
        """
        raise NotImplementedError

    def init_kwargs(self, folder: Path) -> dict[str, Any]:
        """Return the constructor arguments that a front door needs for the same local mode; the default is none.

        Args:
            folder: The folder for the tracker's data.
        """
        return {}

    def stored_name(self, name: str) -> str:
        """Return the backend's name of a metric; the default is the same name.

        Args:
            name: The user's name.
        """
        return name

    def points(self, stored: Readback, name: str) -> list[tuple[int | None, float]]:
        """Return the points of a metric by the name that the user gave."""
        assert self.stored_name(name) in stored.metrics, f"{name} is not among {sorted(stored.metrics)}"
        return stored.metrics[self.stored_name(name)]

    def close(self, value: float, other: float) -> bool:
        """Compare numbers at the backend's precision; NaN equals NaN."""
        if math.isnan(other) or math.isinf(other):
            return str(value) == str(other)
        return math.isclose(value, other, rel_tol=self.tracker_class.precision, abs_tol=0.0)

    def written(self, folder: Path, *calls: tuple[dict[str, Any], int | None]) -> tuple[GeneralTracker, Readback]:
        """Start a tracker, log the calls, finish it, and read back."""
        tracker = self.make(folder)
        tracker.start()
        for values, step in calls:
            tracker.log(values, step=step)
        tracker.finish()
        return tracker, self.read(folder)


def same(stored: Any, given: Any) -> bool:
    """Compare hyperparameters: numbers as numbers, the rest as text without quotes, which is all that many store."""
    if isinstance(stored, (int, float)) and isinstance(given, (int, float)):
        return float(stored) == float(given)
    texts = [str(value).replace("'", '"').replace(" ", "").strip('"').lower() for value in (stored, given)]
    return texts[0] == texts[1]
