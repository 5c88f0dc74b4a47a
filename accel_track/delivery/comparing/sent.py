"""The sent: the records of one rank's journal, as a tracker's backend is to have them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from accel_track.delivery.artifacts import deliverable, name_of
from accel_track.delivery.comparing.points import Points, State, hashed
from accel_track.delivery.comparing.records import RecordsFor
from accel_track.delivery.comparing.sent_media import SentMedia
from accel_track.journal.cursor import Cursor
from accel_track.media import sums
from accel_track.records import AnyRecord, Artifact, Checkpoint, Config, Metrics, Rewind
from accel_track.trackers.base import GeneralTracker
from accel_track.trackers.sdk import SDKTracker
from accel_track.values.plain import flat_config, is_number, leaves

_SAFE = 2**53
_WORDS = {sign + word: float(sign + word) for sign in ("", "+", "-") for word in ("nan", "inf", "infinity")}
"""The numbers that some backends keep as texts."""


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


class Sent(SentMedia):
    """The values that a tracker was to get, by one rank's journal.

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
        super().__init__(folder, tracker, scratch)
        self.numbers: dict[str, Points] = {}
        """Numbers by the name under which the backend has them."""
        self.texts: dict[str, Points] = {}
        """Texts likewise, as hashes."""
        self.artifacts: list[SentArtifact] = []
        self.settings: dict[str, Setting] = {}
        """Hyperparameters by name, "/" between the parts."""
        self.pending = self.aside = 0
        """Records that are not delivered yet, and those in the quarantine."""
        self.again = 0
        """Values that the backend keeps as one with an equal one."""
        self._moments: dict[str, tuple[int, set[Any]]] = {}
        self._cursor, self._aside = cursor, aside
        records = RecordsFor(folder, (name, tracker.name), cursor.rules)
        for record, counts in records:
            self._add(record, self._state(record) if counts else State.UNDONE)
        self.damaged, self.left_out = records.damaged, records.left_out
        """Bytes of the journal that were skipped, and values that the tracker's rules leave out."""
        self._keep_of_a_step()
        self._excuses = Counter(cursor.dropped) - self.known_drops

    def excused(self, name: str, count: int) -> int:
        """Return how many of a name's missing values the tracker has dropped; each counts once.

        Not those that `refused` counts, and none where it may be a hyperparameter of that name that was dropped.

        Args:
            name: The user's name of the values.
            count: How many are missing.
        """
        found = 0 if name in self.settings else min(count, self._excuses[name])
        self._excuses[name] -= found
        return found

    def setting_dropped(self, name: str) -> bool:
        """Return whether the tracker has counted a hyperparameter as dropped, such as one that cannot change now."""
        return self._excuses[name] > 0

    def _keep_of_a_step(self) -> None:
        if self.tracker.keeps_of_a_step != "all":
            for name, points in (*self.numbers.items(), *self.texts.items()):
                points.keep_of_a_step(self.tracker.keeps_of_a_step)
                self.known_drops[self.names[name]] += points.states.count(State.UNKEPT)

    def _state(self, record: AnyRecord) -> State:
        if record.seq >= self._cursor.seq:
            self.pending += not isinstance(record, Rewind)
            return State.PENDING
        if record.seq in self._aside:
            self.aside += 1
            return State.ASIDE
        return State.DUE

    def _add(self, record: AnyRecord, state: State) -> None:
        if isinstance(record, Metrics) and record.alert is not None and self.tracker.keeps_alerts:
            self.uncompared["alerts"] += state is State.DUE
        elif isinstance(record, Metrics):
            if state in (State.DUE, State.UNDONE):
                self.known_drops.update(record.unread.keys())
            for name, value in dict(leaves(record.values)).items():
                self._add_value(name, value, record, state)
        elif state is not State.DUE:
            return
        elif isinstance(record, Config):
            self._add_config(record)
        elif isinstance(record, Artifact):
            self._add_artifact(record)
        elif isinstance(record, Checkpoint) and record.path:
            keeps = type(self.tracker).log_checkpoint is not GeneralTracker.log_checkpoint
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
                self.known_drops[name] += 1
                self.refused[what] += state is State.DUE
        else:
            self.add_object(name, value, record, state)

    def _point(self, where: dict[str, Points], name: str, value: Any, record: Metrics, state: State) -> None:
        stored_name = self.stored_name(name)
        if state is State.DUE and not self.tracker.keeps_equal and self._is_again(stored_name, value, record):
            self.again += 1
            return
        if (points := where.get(stored_name)) is None:
            points = where[stored_name] = Points("d" if where is self.numbers else "q")
        points.add(record.step, value, record.seq, state)

    def _is_again(self, name: str, value: Any, record: Metrics) -> bool:
        """Return whether an equal value of the same name, step and millisecond was added before."""
        moment, known = self._moments.get(name, (0, set[Any]()))
        if moment != int(record.time * 1000):
            moment, known = int(record.time * 1000), set()
            self._moments[name] = moment, known
        one = (record.step, "NaN" if value != value else value)  # noqa: PLR0124
        found = one in known
        known.add(one)
        return found

    def _refusal(self, value: Any) -> str | None:
        """Return the name of the kind of value that the backend does not take, or None for another value."""
        tracker = self.tracker
        if isinstance(value, str):
            return None if tracker.takes_text else "texts"
        if isinstance(value, float) and math.isnan(value):
            return None if tracker.takes_nan else "NaN"
        if isinstance(value, float) and math.isinf(value):
            return None if tracker.takes_inf else "infinities"
        return "long integers" if isinstance(tracker, SDKTracker) and tracker.refusal(value) is not None else None

    def _add_artifact(self, record: Artifact) -> None:
        name = name_of(record.name, record.path)
        kind = "model" if record.type == "model" else "artifact"
        way = self.tracker.media.get(kind)
        keeps = type(self.tracker).log_artifact is not GeneralTracker.log_artifact
        if not keeps or (way is not None and way.how == "none"):
            self.known_drops[name] += 1
            self.refused["artifacts"] += 1
            return
        path = deliverable(self.folder, record)
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
