"""The found: the content of a backend run, by the names that are looked for."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from accel_track.delivery.comparing.likeness import Look, look
from accel_track.delivery.comparing.points import NO_STEP, Points, hashed
from accel_track.delivery.comparing.sent import Sent, as_number, file_hashes, texts_of
from accel_track.media.fallbacks import stored
from accel_track.media.kinds import Medium, Text
from accel_track.records import Artifact, Checkpoint, Metrics
from accel_track.trackers.backend_run import BackendRun
from accel_track.values.plain import flat_config, is_number, leaves


class FoundMedium(NamedTuple):
    """One medium: its name, its step and what there is to compare of it; or a text, which may be one."""

    name: str
    step: int | None
    look: Look
    is_text: bool = False


class Found:
    """The content of a backend run.

    Args:
        run: The backend run.
        scratch: An empty folder for files.
    """

    def __init__(self, run: BackendRun, scratch: Path) -> None:
        """Read the backend run."""
        self.numbers: dict[str, Points] = {}
        """Numbers by the backend's names."""
        self.texts: dict[str, Points] = {}
        """Texts likewise, as hashes."""
        self.media: list[FoundMedium] = []
        self.artifacts: list[tuple[str, dict[str, str]]] = []
        """Names, and the SHA-256 of files by their paths in there."""
        self.settings = flat_config(run.config)
        """Hyperparameters by name, "/" between the parts."""
        self.lacks = run.lacks
        """Why a kind of thing is not among these."""
        self.lost = run.lost
        """The number of entries that could not be read, by a sentence about them."""
        self._scratch = scratch
        for record in run.records(scratch):
            if isinstance(record, Metrics):
                for name, value in leaves(record.values):
                    self._add(name, value, record.step)
            elif isinstance(record, (Artifact, Checkpoint)):
                self._add_artifact(record)

    def known_as(self, sent: Sent) -> None:
        """Call values as those that were sent are called: a reader may give the user's names."""
        self.numbers = _renamed(self.numbers, sent.numbers, sent.stored_name)
        self.texts = _renamed(self.texts, sent.texts, sent.stored_name)
        for name in (self.numbers.keys() & sent.texts.keys()) - sent.numbers.keys():
            self._take_as_texts(name, sent.texts[name])

    def _take_as_texts(self, name: str, sent: Points) -> None:
        """Call numbers of a name that has texts alone texts: DVCLive's tables do not tell "0.5" from 0.5."""
        numbers, points = self.numbers.pop(name), self.texts.setdefault(name, Points("q"))
        known = set(zip(sent.steps, sent.values, strict=True))
        for step, number in zip(numbers.steps, numbers.values, strict=True):
            hashes = [hashed(text) for text in texts_of(number)]
            points.add(step, next((one for one in hashes if {(step, one), (NO_STEP, one)} & known), hashes[0]))

    def _add(self, name: str, value: Any, step: int | None) -> None:
        if is_number(value):
            self._point(self.numbers, name, float(value), step)
        elif isinstance(value, str):
            word = as_number(value)
            if word is None:
                self._point(self.texts, name, hashed(value), step)
            else:
                self._point(self.numbers, name, word, step)
        elif isinstance(value, Text) and (text := self._text(value)) is not None:
            self._add(name, text, step)
        elif isinstance(value, (list, Medium)):
            some = value if isinstance(value, list) else [value]
            self.media += [FoundMedium(name, step, self._look(one)) for one in some if isinstance(one, Medium)]

    def _point(self, where: dict[str, Points], name: str, value: float, step: int | None) -> None:
        if (points := where.get(name)) is None:
            points = where[name] = Points("d" if where is self.numbers else "q")
        points.add(step, value)

    def _text(self, medium: Text) -> str | None:
        """Return a text that a reader has made or found the file of; None if that cannot be read."""
        try:
            whole = stored(medium, self._scratch)
            return whole.text if isinstance(whole, Text) else None
        except (OSError, ValueError):  # `_look` counts it
            return None

    def _look(self, medium: Medium) -> Look:
        try:
            return look(medium, self._scratch)
        except Exception as error:  # noqa: BLE001 - anything may be in a file that somebody has changed
            self.lost[f"a {medium.kind} that is damaged ({error})"] += 1
            return Look()

    def _add_artifact(self, record: Artifact | Checkpoint) -> None:
        try:
            self.artifacts.append((record.name, file_hashes(Path(record.path))))
        except OSError as error:
            self.lost[f"an artifact whose files cannot be read ({error.strerror})"] += 1


def _renamed(found: Mapping[str, Points], sent: Container[str], stored_name: Callable[[str], str]) -> dict[str, Points]:
    renamed: dict[str, Points] = {}
    for name, points in found.items():
        known = name if name in sent or (other := stored_name(name)) not in sent else other
        if known in renamed:
            renamed[known].extend(points)
        else:
            renamed[known] = points
    return renamed
