"""The reader of ClearML's offline sessions: the scalars, plots, samples and artifacts of one task."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast, get_args

from accel_track.outcome import Outcome, Status
from accel_track.records import Artifact, Metrics
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.clearml.plots import joined
from accel_track.trackers.clearml.session import EVENTS, TASK, Session
from accel_track.trackers.clearml.stored_plots import plotted
from accel_track.trackers.reading.calls import OF_ONE_CALL, Point, calls
from accel_track.trackers.reading.media import read_medium, with_file
from accel_track.trackers.reading.values import step_of

_MONITOR = ":monitor:"
_ENVIRONMENT = re.compile(r"environment(_\d+)?")
_LARGEST_UNPACKED = 2**34


class ClearMLRun(BackendRun):
    """One task of ClearML's offline mode.

    Args:
        session: Its session.
    """

    def __init__(self, session: Session) -> None:
        """Read the task's description."""
        super().__init__(session.place.name.removesuffix(".zip"))
        self._session = session
        self._task: Mapping[str, Any] = {}
        try:
            task = json.loads(b"".join(session.lines(TASK)))
            self._read(task)
            self._task = task
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            self.lost[f"{TASK} cannot be read: {error}"] += 1
        try:
            first: dict[str, Any] = next(iter(json.loads(next(session.lines(EVENTS), b"[]"))), {})
            self.created = first["timestamp"] / 1000
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            self.created = None

    def _read(self, task: Mapping[str, Any]) -> None:
        self.id = str(task.get("id", self.id))
        self.project, self.name = (str(task[key]) if task.get(key) else None for key in ("project_name", "name"))
        for section, parameters in (task.get("hyperparams") or {}).items():
            values = {name: _parameter(one) for name, one in parameters.items()}
            if section == "properties":
                self.outcome = _outcome(values)
            elif section == "General":
                self.config.update(values)
            elif not (_ENVIRONMENT.fullmatch(section) and "python" in values):
                self.config[section] = values
        for name, one in (task.get("configuration") or {}).items():
            self.config.setdefault(name, one.get("value"))

    def records(self, scratch: Path) -> Iterator[Metrics | Artifact]:
        """Yield scalars, plots and samples, and then artifacts; not what ClearML itself reports of the machine."""
        yield from calls(self._points(scratch), OF_ONE_CALL)
        artifacts = (self._task.get("execution") or {}).get("artifacts") or []
        for entry in artifacts if isinstance(artifacts, list) else ():
            try:
                yield self._artifact(entry, scratch)
            except Exception:  # noqa: BLE001, PERF203 - as above; they are few
                self.lost["an artifact is not in the session or cannot be read"] += 1

    def _points(self, scratch: Path) -> Iterator[Point]:
        for event in self._events():
            try:
                kind, title, series, step = event["type"], event["metric"], event["variant"], event["iter"]
                time = event["timestamp"] / 1000
                if kind == "log" or title.startswith(_MONITOR):
                    continue
                name, value = self._value(kind, title, str(series), event, scratch)
            except Exception:  # noqa: BLE001 - anything may be in a file that somebody else wrote
                self.lost["a value cannot be read"] += 1
                continue
            yield time, step_of(step), name, value

    def _events(self) -> Iterator[Mapping[str, Any]]:
        try:
            for line in self._session.lines(EVENTS):
                yield from self._parsed(line)
        except OSError as error:
            self.lost[f"the session's events cannot be read: {error}"] += 1

    def _parsed(self, line: bytes) -> list[Mapping[str, Any]]:
        try:
            events = json.loads(line)
        except (ValueError, RecursionError):
            events = None
        if isinstance(events, list):
            return events
        self.lost["a line of the session's events is damaged"] += 1
        return []

    def _value(self, kind: str, title: str, series: str, event: Mapping[str, Any], scratch: Path) -> tuple[str, Any]:
        if kind == "training_stats_scalar":
            return joined(title, series), float(event["value"])
        if kind == "plot":
            return series, plotted(event["plot_str"], scratch)
        if kind == "training_debug_image":
            file = self._session.file(f"data/{event['key']}", scratch)
            if file is None:
                message = "there is no such file in the session"
                raise OSError(message)
            medium = read_medium(file)
            time = event["timestamp"] / 1000
            if medium is not None:
                return series, with_file(medium, scratch)
            return series, Artifact(-1, time, {}, name=series, path=str(file))
        message = f"an event of the type {kind!r} is not known"
        raise ValueError(message)

    def _artifact(self, entry: Mapping[str, Any], scratch: Path) -> Artifact:
        """Return an artifact, whose address is that of a file where the session was when it was written."""
        root = os.path.normpath(self._task["offline_folder"])
        name = os.path.relpath(entry["uri"], root).replace(os.sep, "/")
        file = self._session.file(name, scratch)
        if file is None:
            raise FileNotFoundError(name)
        if entry["type"] == "archive":
            file = _unpacked(file, scratch)
        about = {str(key): value for key, value in entry.get("display_data") or []}
        kind, step = str(about.pop("type", entry["type"])), str(about.pop("step", ""))
        number = int(step) if step.isdecimal() else None
        time = float(entry.get("timestamp") or self.created or 0.0)
        return Artifact(-1, time, about, name=str(entry["key"]), path=str(file), type=kind, step=number)


def _unpacked(file: Path, scratch: Path) -> Path:
    """Return a folder with the files of an archive.

    Raises:
        ValueError: They are too large.
    """
    with zipfile.ZipFile(file) as archive:
        if sum(one.file_size for one in archive.infolist()) > _LARGEST_UNPACKED:
            message = "the archive would take over 16 GiB"
            raise ValueError(message)
        target = scratch / "artifacts" / str(sum(1 for _ in (scratch / "artifacts").glob("*")))
        for one in archive.infolist():  # `extract` leaves out "..", and makes files of links
            archive.extract(one, target)
    return target


def _parameter(entry: Mapping[str, Any]) -> Any:
    """Return a hyperparameter, which is stored as a text and a type."""
    text, kind = entry.get("value"), entry.get("type")
    if text == "" and not kind:
        return None
    try:
        if kind in ("int", "float"):
            return int(text) if kind == "int" else float(text)  # type: ignore[arg-type] # or an error
        if kind == "bool":
            return text == "True"
        return json.loads(text) if kind and not kind.startswith("str") else text  # type: ignore[arg-type] # as above
    except (ValueError, TypeError, RecursionError):
        return text


def _outcome(properties: Mapping[str, Any]) -> Outcome | None:
    """Return the outcome of the run, as the tracker has it in a task's properties."""
    status = properties.get("status")
    if status not in get_args(Status):
        return None
    return Outcome(cast("Status", status), str(properties.get("status_reason") or "") or None)
