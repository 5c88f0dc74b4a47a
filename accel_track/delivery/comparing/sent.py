"""What a tracker was sent: the records of one rank's journal, as that tracker's backend is to have them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from accel_track.delivery.artifacts import deliverable, name_of
from accel_track.delivery.comparing.likeness import Look, look_of_all
from accel_track.delivery.comparing.points import Points, State, hashed
from accel_track.delivery.comparing.records import RecordsFor
from accel_track.delivery.media import KeptMedia
from accel_track.journal.cursor import Cursor
from accel_track.media import sums
from accel_track.media.fallbacks import QUANTILES, converted, stored
from accel_track.media.kinds import Histogram, Medium
from accel_track.records import AnyRecord, Artifact, Checkpoint, Config, Metrics, Rewind, Stored, WithoutForm
from accel_track.trackers.base import GeneralTracker
from accel_track.trackers.media import StoresMedia
from accel_track.trackers.sdk import SDKTracker
from accel_track.values.arrays import is_array
from accel_track.values.plain import flat_config, is_number, leaves

_OF_A_HISTOGRAM = (*(f"p{round(100 * share):02d}" for share in QUANTILES), "min", "max")
"""What the names of the numbers that stand for a histogram end in."""

_SAFE = 2**53
_WORDS = {
    sign + word: float(sign + word[:3]) for sign in ("", "+", "-") for word in ("nan", "inf", "infinity") if sign + word
}


class SentMedium(NamedTuple):
    """One medium.

    Attributes:
        name: Its name, "/" between the parts.
        place: Its place in a list of several; None where it is alone.
        step: Training step, or None.
        seq: Number of its record.
        kind: Its kind.
        look: What there is to compare of it; None where it is not due.
    """

    name: str
    place: int | None
    step: int | None
    seq: int
    kind: str
    look: Look | None


class SentArtifact(NamedTuple):
    """One artifact or model, with the SHA-256 of its files by their paths in it; "" is that of a file."""

    kind: str
    name: str
    step: int | None
    seq: int
    files: dict[str, str]


class Setting(NamedTuple):
    """One hyperparameter, and the number of the record that has it."""

    value: Any
    seq: int


class Sent:
    """What one rank's journal says that a tracker was to be given.

    Args:
        folder: The rank's folder.
        name: Name of the tracker in the run.
        tracker: The tracker; it need not be started.
        cursor: How far it has got.
        aside: The numbers of the records in its quarantine.
        scratch: An empty folder for files that are made of media.

    Raises:
        JournalError: A segment is of a later version of the format.
        OSError: A segment cannot be read.
    """

    def __init__(
        self, folder: Path, name: str, tracker: GeneralTracker, cursor: Cursor, aside: Collection[int], scratch: Path
    ) -> None:
        """Read the journal."""
        self.numbers: dict[str, Points] = {}
        """Numbers by the name under which the backend has them."""
        self.texts: dict[str, Points] = {}
        """Texts likewise, as hashes."""
        self.media: list[SentMedium] = []
        self.artifacts: list[SentArtifact] = []
        self.settings: dict[str, Setting] = {}
        """Hyperparameters by name, "/" between the parts."""
        self.pending = self.aside = 0
        """Records that are not delivered yet, and those in the quarantine."""
        self.refused: Counter[str] = Counter()
        """How many of what the backend does not take, as its tracker declares."""
        self.uncompared: Counter[str] = Counter()
        """How many of what there is nothing to compare by."""
        self.free: set[str] = set()
        """Names under which the backend may have more than is known here."""
        self.of_histograms: set[str] = set()
        """Names of numbers that a backend may store beside a histogram, or in its place."""
        self.damaged = 0
        """Bytes of the journal that were skipped."""
        self.left_out = 0
        """Values that the tracker's rules leave out."""
        self.names: dict[str, str] = {}
        """The user's names by the backend's."""
        self._known_drops: Counter[str] = Counter()
        self._folder, self._name, self._tracker, self._cursor, self._aside = folder, name, tracker, cursor, aside
        self._files, self._scratch = KeptMedia(folder), scratch
        self._stored: dict[str, str] = {}
        self._read()

    def stored_name(self, name: str) -> str:
        """Return the name under which the backend has a value."""
        known = self._stored.get(name)
        if known is None:
            known = self._stored[name] = self._tracker.stored_name(name)
            self.names.setdefault(known, name)
        return known

    def dropped(self, name: str) -> int:
        """Return how many values of a name its tracker has counted as dropped for another reason than `refused`."""
        user = self.names.get(name, name)
        if user in self.settings:  # it may be the hyperparameter that was
            return 0
        return max(0, self._cursor.dropped.get(user, 0) - self._known_drops[user])

    def setting_dropped(self, name: str) -> bool:
        """Whether the tracker has counted a hyperparameter as dropped, such as one that cannot change any more."""
        return self._cursor.dropped.get(name, 0) > self._known_drops[name]

    def _read(self) -> None:
        records = RecordsFor(self._folder, (self._name, self._tracker.name), self._cursor.rules)
        for record, counts in records:
            self._add(record, self._state(record) if counts else State.UNDONE)
        self.damaged, self.left_out = records.damaged, records.left_out
        if self._tracker.keeps_of_a_step != "all":
            for name, points in (*self.numbers.items(), *self.texts.items()):
                points.keep_of_a_step(self._tracker.keeps_of_a_step)
                self._known_drops[self.names[name]] += points.states.count(State.UNKEPT)

    def _state(self, record: AnyRecord) -> State:
        if record.seq >= self._cursor.seq:
            self.pending += not isinstance(record, Rewind)
            return State.PENDING
        if record.seq in self._aside:
            self.aside += 1
            return State.ASIDE
        return State.DUE

    def _add(self, record: AnyRecord, state: State) -> None:
        if isinstance(record, Metrics):
            self._known_drops.update(record.unread)
            for name, value in dict(leaves(record.values)).items():
                self._add_value(name, value, record, state)
        elif state is not State.DUE:
            return
        elif isinstance(record, Config):
            self._add_config(record)
        elif isinstance(record, Artifact):
            self._add_artifact(record)
        elif isinstance(record, Checkpoint) and record.path:
            keeps = type(self._tracker).log_checkpoint is not GeneralTracker.log_checkpoint
            (self.uncompared if keeps else self.refused)["checkpoints"] += 1

    def _add_value(self, name: str, value: Any, record: Metrics, state: State) -> None:
        kind = type(value)
        if (kind is float and math.isfinite(value)) or (kind in (int, bool) and -_SAFE < value < _SAFE):
            self._point(self.numbers, name, float(value), record, state)
        elif kind is str or is_number(value):
            if (what := self._refusal(value)) is None:
                word = as_number(value)
                points = self.texts if word is None else self.numbers
                self._point(points, name, hashed(value) if word is None else word, record, state)
            elif state in (State.DUE, State.UNDONE):
                self._known_drops[name] += 1
                self.refused[what] += state is State.DUE
        elif is_array(value) and isinstance(self._tracker, StoresMedia):
            self._add_array(name, value, record, state)
        else:
            self._add_media(name, value, record, state)

    def _point(self, where: dict[str, Points], name: str, value: Any, record: Metrics, state: State) -> None:
        stored_name = self.stored_name(name)
        if (points := where.get(stored_name)) is None:
            points = where[stored_name] = Points("d" if where is self.numbers else "q")
        points.add(record.step, value, record.seq, state)

    def _refusal(self, value: Any) -> str | None:
        """Return what the backend takes none of, of which this is one; or None."""
        tracker = self._tracker
        if isinstance(value, str):
            return None if tracker.takes_text else "texts"
        if isinstance(value, float) and math.isnan(value):
            return None if tracker.takes_nan else "NaN"
        if isinstance(value, float) and math.isinf(value):
            return None if tracker.takes_inf else "infinities"
        return "long integers" if isinstance(tracker, SDKTracker) and tracker.refusal(value) is not None else None

    def _add_array(self, name: str, value: Any, record: Metrics, state: State) -> None:
        try:
            histogram = stored(Histogram(value), self._scratch)
        except (ValueError, TypeError):
            self._known_drops[name] += 1
            self.refused["arrays without numbers"] += state is State.DUE
        else:
            self._add_medium(name, None, histogram, record, state)

    def _add_media(self, name: str, value: Any, record: Metrics, state: State) -> None:
        some = value if isinstance(value, list) else [value]
        if not any(isinstance(one, Stored) for one in some):
            foreign = any(isinstance(one, WithoutForm) for one in some) or not isinstance(self._tracker, SDKTracker)
            if foreign or self._tracker.refusal(value) is None:  # type: ignore[attr-defined] # as in the line before
                self._free(name, "objects of other kinds", state)
            elif state in (State.DUE, State.UNDONE):
                self._known_drops[name] += 1
                self.refused["objects of other kinds"] += state is State.DUE
            return
        several = isinstance(value, list)
        for place, one in enumerate(some):
            medium = self._files.medium(one) if isinstance(one, Stored) else one
            if isinstance(medium, Medium):
                self._add_medium(name, place if several else None, medium, record, state)
            elif medium is not None:
                what = "media whose files are gone" if isinstance(one, Stored) else "objects of other kinds"
                self._free(name, what, state)

    def _free(self, name: str, what: str, state: State) -> None:
        self.free.update((name, self.stored_name(name)))
        self._known_drops[name] += state in (State.DUE, State.UNDONE)
        self.uncompared[what] += state is State.DUE

    def _add_medium(self, name: str, place: int | None, medium: Medium, record: Metrics, state: State) -> None:
        look = None
        if medium.kind == "histogram":
            self.of_histograms.update(self.stored_name(f"{name}/{end}") for end in _OF_A_HISTOGRAM)
        if state is State.DUE:
            try:
                forms = self._forms(medium)
                if not forms:
                    self._known_drops[name] += 1
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
        """Return a medium and as what it is stored, one made of the other; nothing where it is left out.

        None stands for numbers.
        """
        tracker, forms = self._tracker, list[Medium | None]()
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

    def _add_artifact(self, record: Artifact) -> None:
        name = name_of(record.name, record.path)
        kind = "model" if record.type == "model" else "artifact"
        way = self._tracker.media.get(kind)
        keeps = type(self._tracker).log_artifact is not GeneralTracker.log_artifact
        if not keeps or (way is not None and way.how == "none"):
            self._known_drops[name] += 1
            self.refused["artifacts"] += 1
            return
        path = deliverable(self._folder, record)
        try:
            files = None if path is None else file_hashes(Path(path))
        except OSError:
            files = None
        if files is None:
            self.uncompared["artifacts whose files are gone or have changed"] += 1
        else:
            self.artifacts.append(SentArtifact(kind, name, record.step, record.seq, files))

    def _add_config(self, record: Config) -> None:
        if record.environment:
            self.uncompared["the environment"] = 1
        else:
            self.settings.update({key: Setting(value, record.seq) for key, value in flat_config(record.values).items()})


_PLURALS = {"audio": "sounds", "html": "pages", "points": "points in space", "confusion_matrix": "confusion matrices"}


def plural(kind: str) -> str:
    """Return what several media of a kind are called."""
    return _PLURALS.get(kind, f"{kind}s")


def as_number(value: Any) -> float | None:
    """Return a number as one; also a text that says NaN or infinity, as which some backends keep these."""
    if not isinstance(value, str):
        return float(value)
    return _WORDS.get(value.strip().lower())


def file_hashes(path: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a folder by its path there, or of a file, by "".

    Raises:
        OSError: One cannot be read.
    """
    if not path.is_dir():
        return {"": sums.sha256(path)}
    files = (one for one in path.rglob("*") if one.is_file() and not one.is_symlink())
    return {one.relative_to(path).as_posix(): sums.sha256(one) for one in files}
