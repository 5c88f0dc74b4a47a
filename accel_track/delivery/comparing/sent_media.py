"""The media that a tracker was sent, in each of the forms that its backend may have them in."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from accel_track.delivery.comparing.likeness import Look, look_of_all
from accel_track.delivery.comparing.points import State
from accel_track.delivery.media import KeptMedia
from accel_track.media.fallbacks import QUANTILES, converted, stored
from accel_track.media.kinds import Histogram, Medium
from accel_track.records import Metrics, Stored, WithoutForm
from accel_track.trackers.base import GeneralTracker
from accel_track.trackers.media import StoresMedia, media_of
from accel_track.trackers.sdk import SDKTracker
from accel_track.values.arrays import is_array

_OF_A_HISTOGRAM = (*(f"p{round(100 * share):02d}" for share in QUANTILES), "min", "max")
"""The endings of the names of the numbers that stand for a histogram."""

_PLURALS = {"audio": "sounds", "html": "pages", "points": "points in space", "confusion_matrix": "confusion matrices"}


class SentMedium(NamedTuple):
    """One medium.

    Attributes:
        name: Its name, "/" between the parts.
        place: Its place in a list of several; None if it is alone.
        step: Training step, or None.
        seq: Number of its record.
        kind: Its kind.
        look: What there is to compare of it; None if it is not due.
    """

    name: str
    place: int | None
    step: int | None
    seq: int
    kind: str
    look: Look | None


class SentMedia:
    """The part of what was sent that is media, and what is counted of all parts.

    Args:
        folder: The rank's folder.
        tracker: The tracker; it need not be started.
        scratch: An empty folder for files that are made of media.
    """

    def __init__(self, folder: Path, tracker: GeneralTracker, scratch: Path) -> None:
        """Begin without media."""
        self.folder, self.tracker = folder, tracker
        self.media: list[SentMedium] = []
        self.refused: Counter[str] = Counter()
        """The number of media that the backend does not take, as its tracker declares."""
        self.uncompared: Counter[str] = Counter()
        """The number of media that nothing can be compared by."""
        self.free: set[str] = set()
        """Names under which the backend may have more than is known here."""
        self.of_histograms: set[str] = set()
        """Names of numbers that a backend may store beside a histogram, or in its place."""
        self.names: dict[str, str] = {}
        """The user's names by the backend's."""
        self.known_drops: Counter[str] = Counter()
        """The number of values by name that the tracker must have counted as dropped, as far as it is known here."""
        self._files, self._scratch = KeptMedia(folder), scratch
        self._stored: dict[str, str] = {}

    def stored_name(self, name: str) -> str:
        """Return the name under which the backend has a value."""
        known = self._stored.get(name)
        if known is None:
            known = self._stored[name] = self.tracker.stored_name(name)
            self.names.setdefault(known, name)
        return known

    def add_object(self, name: str, value: Any, record: Metrics, state: State) -> None:
        """Add a value that is neither a number nor a text: a medium, several, or another object."""
        if is_array(value) and isinstance(self.tracker, StoresMedia):
            self._add_array(name, value, record, state)
        else:
            self._add_media(name, value, record, state)

    def _add_array(self, name: str, value: Any, record: Metrics, state: State) -> None:
        try:
            histogram = stored(Histogram(value), self._scratch)
        except (ValueError, TypeError):
            self.known_drops[name] += 1
            self.refused["arrays without numbers"] += state is State.DUE
        else:
            self._add_medium(name, None, histogram, record, state)

    def _add_media(self, name: str, value: Any, record: Metrics, state: State) -> None:
        some = value if isinstance(value, list) else [value]
        if not any(isinstance(one, Stored) for one in some):
            foreign = any(isinstance(one, WithoutForm) for one in some) or not isinstance(self.tracker, SDKTracker)
            if foreign or self.tracker.refusal(value) is None:  # type: ignore[attr-defined] # as in the line before
                self._free(name, "objects of other kinds", state)
            elif state in (State.DUE, State.UNDONE):
                self.known_drops[name] += 1
                self.refused["objects of other kinds"] += state is State.DUE
            return
        several = isinstance(value, list)
        left: list[Any] = []
        for one in some:
            medium = self._files.medium(one) if isinstance(one, Stored) else one
            if isinstance(medium, WithoutForm):
                what = "media whose files are gone" if isinstance(one, Stored) else "objects of other kinds"
                self._free(name, what, state)
            elif medium is not None:
                left.append(medium)
        if several and left and isinstance(self.tracker, StoresMedia) and media_of(left) is None:
            self.known_drops[name] += state in (State.DUE, State.UNDONE)
            self.refused["lists of media of several kinds, or with other values"] += state is State.DUE
            return
        for place, medium in enumerate(left):
            if isinstance(medium, Medium):
                self._add_medium(name, place if several else None, medium, record, state)
            else:
                self._free(name, "objects of other kinds", state)

    def _free(self, name: str, what: str, state: State) -> None:
        self.free.update((name, self.stored_name(name)))
        self.known_drops[name] += state in (State.DUE, State.UNDONE)
        self.uncompared[what] += state is State.DUE

    def _add_medium(self, name: str, place: int | None, medium: Medium, record: Metrics, state: State) -> None:
        look = None
        if medium.kind == "histogram":
            self.of_histograms.update(self.stored_name(f"{name}/{end}") for end in _OF_A_HISTOGRAM)
        if state is State.DUE:
            try:
                forms = self._forms(medium)
                if not forms:
                    self.known_drops[name] += 1
                    self.refused[plural(medium.kind)] += 1
                    return
                if None in forms:
                    self.uncompared["histograms, which are kept as a few numbers"] += 1
                    return
                look = look_of_all([one for one in forms if one is not None], self._scratch)
            except (OSError, ValueError, TypeError):
                self._free(name, "media that cannot be read", state)
                return
            self.uncompared["captions"] += bool(medium.caption)
        self.media.append(SentMedium(name, place, record.step, record.seq, medium.kind, look))

    def _forms(self, medium: Medium) -> list[Medium | None]:
        """Return a medium and as what it is stored, one made of the other; nothing if it is left out.

        None stands for numbers.
        """
        tracker, forms = self.tracker, list[Medium | None]()
        while True:
            forms.append(medium)
            if medium.kind == "file":
                return forms
            way = tracker.way(medium) if isinstance(tracker, StoresMedia) else tracker.media.get(medium.kind)
            if way is None or way.how == "none":
                return []
            if not way.by:
                return forms
            if way.by == "quantiles":
                return [*forms, None]
            medium = converted(medium, way.by, self._scratch)


def plural(kind: str) -> str:
    """Return the names of several media of a kind."""
    return _PLURALS.get(kind, f"{kind}s")
