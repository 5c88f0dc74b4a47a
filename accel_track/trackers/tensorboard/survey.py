"""The survey of a folder's event files, before its values are read: when it began and ended, and with which values."""
# Modules of protobuf get their classes when they are imported.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from accel_track.outcome import Outcome
from accel_track.trackers.tensorboard.frames import frames
from accel_track.trackers.tensorboard.messages import parsed

_SESSION = b"_hparams_/session_"
_NEAR = 256
# An event's time and step, and the field of a session log.
_LOG = re.compile(rb"(?:\x09.{8})?(?:\x10[\x80-\xff]*[\x00-\x7f])?\x3a", re.DOTALL)
_EARLY = 64


class Survey:
    """The facts from one pass over the event files of a folder.

    Args:
        files: The files, in the order in which TensorBoard reads them.

    Attributes:
        created: The time of the first event, in seconds since 1970-01-01 UTC; None if there is none.
        config: The hyperparameters of the HParams tab's session.
        outcome: How the session ended, where its end is the last event and values came before it.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        """Read the files."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        self.created: float | None = None
        self.config: dict[str, Any] = {}
        self.outcome: Outcome | None = None
        self._restarts: list[tuple[tuple[int, int], int]] = []
        self._seen_start = False
        self._start = SessionLog.START
        self._values = 0
        for number, file in enumerate(files):
            for place, data in enumerate(frames(file, Counter())):
                self._values += 1
                is_log = _LOG.match(data) is not None
                is_session = _SESSION in data[:_NEAR]
                if self.created is None or is_log or is_session:
                    self._look_at(parsed(Event, data) or Event(), (number, place))
                if not is_session:
                    self.outcome = None

    def _look_at(self, event: Any, place: tuple[int, int]) -> None:
        if self.created is None and math.isfinite(event.wall_time) and event.wall_time > 0:
            self.created = event.wall_time
        if event.HasField("session_log") and event.session_log.status == self._start:
            if self._seen_start:
                self._restarts.append((place, event.step))
            self._seen_start = True
        for value in event.summary.value:
            if value.tag.startswith("_hparams_/"):
                self._look_at_session(value)

    def _look_at_session(self, value: Any) -> None:
        from tensorboard.plugins.hparams import api_pb2
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

        data = parsed(HParamsPluginData, value.metadata.plugin_data.content) or HParamsPluginData()
        if data.HasField("session_start_info"):
            self._values = 0
            found = {name: _plain(one) for name, one in data.session_start_info.hparams.items()}
            self.config = {**found, **self.config}  # TensorBoard shows the first session
        elif data.HasField("session_end_info") and self._values > 1:
            ends = {api_pb2.STATUS_SUCCESS: Outcome("finished"), api_pb2.STATUS_FAILURE: Outcome("failed")}
            self.outcome = ends.get(data.session_end_info.status)

    def limits(self) -> list[tuple[tuple[int, int], int]]:
        """Return the values that count for TensorBoard: a place, and the step from which those before it do not.

        After the first beginning of a session, each further one that is noted takes back what had its step or a later
        one. The places grow, and so do the steps.
        """
        found: list[tuple[tuple[int, int], int]] = []
        least: float = math.inf
        for place, step in reversed(self._restarts):
            least = min(least, step)
            found.append((place, int(least)))
        return found[::-1]


def first_time(files: Sequence[Path]) -> float:
    """Return the time of a folder's first event; 0.0 if there is none."""
    return next((event.wall_time for event in _events(files)), 0.0)


def first_tags(files: Sequence[Path]) -> list[str]:
    """Return the tags of a folder's first values."""
    return [value.tag for event in islice(_events(files), _EARLY) for value in event.summary.value]


def _events(files: Sequence[Path]) -> Iterator[Any]:
    from tensorboard.compat.proto.event_pb2 import Event

    for file in files:
        for data in frames(file, Counter()):
            if (event := parsed(Event, data)) is not None:
                yield event


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "list_value":
        return [_plain(one) for one in value.list_value.values]
    if kind == "number_value":
        number: float = value.number_value
        return int(number) if number.is_integer() and abs(number) < 2**53 else number
    return getattr(value, kind) if kind in ("string_value", "bool_value") else None
