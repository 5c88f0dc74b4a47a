"""The backend under test: its description by a tracker's test, and the suites' common tools."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from accel_track.trackers.base import GeneralTracker


class Seen(NamedTuple):
    """One medium as the backend's own reader gives it.

    Attributes:
        what: An array of shape (height, width, channels), uint8, of an image, or with one dimension more of a video's
            frames; an array of floats of points; a text; the bytes of a file, or a dictionary of them by their paths in
            a folder; the columns and rows of a table; or the counts and edges of a histogram.
        step: The step that the backend has with it, or None.
        caption: The caption that the backend has with it, or "".
    """

    what: Any
    step: int | None = None
    caption: str = ""


class Columns(NamedTuple):
    """A table that was read back: cells as text where the backend stores text."""

    columns: list[str]
    rows: list[list[Any]]


class Bins(NamedTuple):
    """A histogram that was read back; edges are None where the backend does not have them."""

    counts: list[float]
    edges: list[float] | None = None


@dataclass
class Readback:
    """The content of one run in a backend, read without the code under test."""

    metrics: dict[str, list[tuple[int | None, float]]] = field(default_factory=dict)
    """Points `(step, value)` by the name under which the backend stores them, in the order stored."""

    times: dict[str, list[float]] = field(default_factory=dict)
    """When the points were logged, in seconds since 1970-01-01 UTC, by name; only where `keeps_time` is true."""

    config: dict[str, Any] = field(default_factory=dict)
    """Hyperparameters by the name under which the backend stores them (nested where it keeps nesting)."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    """Texts by name."""

    images: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """Sizes `(height, width)` of the stored images, by the name that the user logged them under."""

    tables: dict[str, list[list[Any]]] = field(default_factory=dict)
    """Rows by name; cells as text where the backend stores text."""

    media: dict[str, list[Seen]] = field(default_factory=dict)
    """Media by the name that the user logged them under, in the order logged; artifacts and models too."""

    project: str | None = None
    """The project (or experiment) that the run belongs to."""

    run_name: str | None = None
    """The run's name."""

    runs: int = 1
    """How many runs the backend has in this place, also empty ones."""


class Backend:
    """How a test makes the tracker, and how it reads back what the backend stored."""

    tracker_class: ClassVar[type[GeneralTracker]]
    """The class under test."""

    def make(self, folder: Path) -> GeneralTracker:
        """Return a new tracker, in the SDK's local mode, that keeps its data in `folder`."""
        raise NotImplementedError

    def read(self, folder: Path) -> Readback:
        """Read what the backend stored in `folder`, with the SDK's own reader or from its files."""
        raise NotImplementedError

    def init_kwargs(self, folder: Path) -> dict[str, Any]:
        """Return the constructor arguments that a front door needs for the same local mode (default: none)."""
        return {}

    def stored_name(self, name: str) -> str:
        """Return the name under which the backend stores the metric `name` (default: the same)."""
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
