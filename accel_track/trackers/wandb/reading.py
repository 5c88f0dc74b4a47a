"""The reader of wandb's offline runs: their `.wandb` files, several for one run where it was resumed."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from accel_track.errors import NotReadableError
from accel_track.outcome import Outcome, Status
from accel_track.records import Artifact, Metrics
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.readable import LostError, copied, new_folder, target, within
from accel_track.trackers.wandb import log_file
from accel_track.trackers.wandb.names import user_names
from accel_track.trackers.wandb.stored_media import StoredMedia, stored_file

_OWN = frozenset(("_step", "_runtime", "_timestamp", "_wandb"))
"""Fields of each row that wandb adds."""

_NOT_VALUES = (log_file.OUTPUT, log_file.STATS, log_file.TELEMETRY, log_file.OUTPUT_RAW, log_file.OUTPUT_LOGGER)
_OWN_ARTIFACTS = ("run_table", "job", "code")
_STATUS: dict[int, Status] = {0: "finished", 130: "interrupted", 143: "preempted"}

_DEEPEST = 100
_WRITING = 10.0
_LARGEST = 2**63
_PLAIN = frozenset((float, int, str, bool))
_decoder = json.JSONDecoder()
_decode: Callable[[str], Any] = _decoder.decode
_scan: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once  # type: ignore[attr-defined] # not in typeshed
_UNREADABLE = "values whose form in the file is damaged"


def run_files(place: str | Path) -> Iterator[Path]:
    """Yield the files of runs in a folder, at any depth, or the file that this is; never raises."""
    if not os.path.isdir(place):
        if log_file.is_run_file(place):
            yield Path(place)
        return
    for folder, folders, files in os.walk(place):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(folder, name)
            if name.endswith(".wandb") and not os.path.islink(path) and log_file.is_run_file(path):
                yield Path(path)


def runs_of(files: Iterable[Path]) -> Iterator[WandBRun]:
    """Yield the runs that files are of, in the order of their beginnings."""
    found: dict[tuple[str, str], list[tuple[float, Path]]] = {}
    for path in files:
        began, project, run_id = _beginning(path)
        found.setdefault((project, run_id), []).append((began, path))
    for (_, run_id), parts in sorted(found.items(), key=lambda one: min(one[1])):
        yield WandBRun(run_id, [path for _, path in sorted(parts)])


def run_with(id: str, folder: str, axis: str, *, ended: bool) -> WandBRun:  # noqa: A002 - as wandb calls it
    """Return the offline run of an id, of which a tracker's files are in a folder.

    Args:
        id: The run's id.
        folder: The folder in which wandb makes one for each run.
        axis: The field that is the step.
        ended: Whether this process has ended it; wandb's service then writes for a moment more, and is waited for.

    Raises:
        NotReadableError: There is none.
    """
    deadline = time.monotonic() + _WRITING
    while (run := _found(id, folder, axis)).outcome is None and ended and time.monotonic() < deadline:
        time.sleep(0.02)
    return run


def _found(id: str, folder: str, axis: str) -> WandBRun:  # noqa: A002 - as above
    paths = sorted(Path(folder).glob(f"offline-run-*-{glob.escape(id)}/run-{glob.escape(id)}.wandb"))
    files = [path for path in paths if log_file.is_run_file(path)]
    if not files:
        message = f"wandb: there is no offline run {id!r} in {folder}; what is on a server is not read."
        raise NotReadableError(message)
    return WandBRun(id, [path for _, path in sorted((_beginning(path)[0], path) for path in files)], axis)


def _beginning(path: Path) -> tuple[float, str, str]:
    for place, record in enumerate(log_file.records(path, Counter())):
        if record.HasField("run"):
            run = record.run
            return run.start_time.seconds + run.start_time.nanos / 1e9, run.project, run.run_id or _named_id(path)
        if place > 100:  # noqa: PLR2004 - it is among the first few
            break
    return 0.0, "", _named_id(path)


def _named_id(path: Path) -> str:
    return path.stem.removeprefix("run-")


class WandBRun(BackendRun):
    """An offline run of wandb's.

    Its step is the field that all charts have as their x-axis, if that is called `global_step`, as those of this
    package, of Lightning and of Transformers are; else wandb's own `_step`. What was set in `run.summary` alone comes
    last, without a step. Charts, system metrics, the console's output, code and alerts are not among its records.

    Args:
        id: The run's id.
        files: Its `.wandb` files, oldest first.
        axis: The field that is the step, where that is known; a row without it has none.
    """

    def __init__(self, id: str, files: Sequence[Path], axis: str | None = None) -> None:  # noqa: A002 - as in the base
        """Read the files once, without decoding their rows."""
        super().__init__(id)
        self._paths, self._axis = list(files), axis
        self._charts: dict[str, Any] = {}
        for path in self._paths:
            self.outcome = None
            for record in log_file.records(path, Counter(), (*_NOT_VALUES, log_file.HISTORY, log_file.SUMMARY)):
                self._learn(record)
        own = self.config.pop("_wandb", None)
        charts = own.get("visualize") if isinstance(own, dict) else None
        self._charts = charts if isinstance(charts, dict) else {}

    def _learn(self, record: Any) -> None:
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            self.project, self.name = run.project or self.project, run.display_name or self.name
            if self.created is None and run.HasField("start_time"):
                self.created = run.start_time.seconds + run.start_time.nanos / 1e9
            _merge(self.config, _tree(run.config.update, Counter()))
        elif kind == "config":
            _merge(self.config, _tree(record.config.update, Counter()))
            for item in record.config.remove:
                self.config.pop(item.key or (item.nested_key or [""])[0], None)
        elif kind == "metric":
            name = record.metric.step_metric
            if record.metric.glob_name == "*" and name.rpartition("/")[2] == "global_step":
                self._axis = name
        elif kind == "exit":
            code = record.exit.exit_code
            status = _STATUS.get(code, "failed")
            self.outcome = Outcome(status, f"exit code {code}" if status == "failed" else None)

    def records(self, scratch: Path) -> Iterator[Metrics | Artifact]:
        """Yield a record for each row, and for each version of an artifact."""
        self.lost.clear()
        moment, names = self.created or 0.0, set(_OWN)
        summary: dict[str, Any] = {}
        for path in self._paths:
            media = StoredMedia(path.parent, self._charts, self.lost)
            for record in log_file.records(path, self.lost, _NOT_VALUES):
                kind = record.WhichOneof("record_type")
                if kind == "history":
                    row = _tree(record.history.item, self.lost)
                    names.update(row)
                    moment = self._time(row, moment)
                    yield from _records(row, moment, self._step(row, record.history.step.num), media)
                elif kind == "summary" and record.HasField("_info"):  # else of wandb's service, made of the rows
                    _merge(summary, _tree(record.summary.update, self.lost))
                elif kind == "artifact":
                    yield from self._artifact(record.artifact, path, moment, scratch)
                elif kind == "files":
                    yield from self._saved(record.files.files, path, moment)
        if rest := {name: value for name, value in summary.items() if name not in names}:
            yield from _records(rest, moment, None, StoredMedia(self._paths[-1].parent, {}, self.lost))

    def _time(self, row: dict[str, Any], before: float) -> float:
        stamp, passed = row.pop("_timestamp", None), row.pop("_runtime", None)
        if _is_number(stamp):
            return float(stamp)
        return self.created + passed if _is_number(passed) and self.created is not None else before

    def _step(self, row: dict[str, Any], number: int) -> int | None:
        own = row.pop("_step", number)
        step = own if self._axis is None else row.pop(self._axis, None)
        return int(step) if _is_number(step) and step >= 0 and step == int(step) else None

    def _artifact(self, artifact: Any, path: Path, moment: float, scratch: Path) -> Iterator[Artifact]:
        if artifact.type in _OWN_ARTIFACTS or artifact.type.startswith("wandb-"):
            return
        about, step = _metadata(artifact.metadata)
        folder, files = new_folder(scratch), {}
        for entry in artifact.manifest.contents:
            if (file := self._part(entry, path, folder)) is not None:
                files[entry.path] = file
        if not files:
            self.lost["artifacts of which no file is there"] += 1
            return
        name = about.pop("name", None) if artifact.name == f"model-{self.id}" else None
        alone = next(iter(files)) if len(files) == 1 else "/"
        whole = folder if "/" in alone else files[alone]
        yield Artifact(-1, moment, about, str(name or artifact.name), str(whole), artifact.type, step)

    def _part(self, entry: Any, path: Path, folder: Path) -> Path | None:
        """Return the path of a copy of an artifact's file in a folder."""
        try:
            return copied(_entry(entry, path), target(entry.path, folder))
        except LostError as error:
            self.lost[str(error)] += 1
        except (OSError, ValueError):
            self.lost["files of artifacts cannot be read"] += 1
        return None

    def _saved(self, files: Any, path: Path, moment: float) -> Iterator[Artifact]:
        """Yield the files that the user has saved with the run."""
        for one in files:
            if one.path.startswith("media/") or one.type != 0:  # those of media, and wandb's own
                continue
            try:
                found = stored_file(one.path, path.parent)
            except LostError as error:
                self.lost[str(error)] += 1
            else:
                if found.is_file():
                    yield Artifact(-1, moment, {}, one.path, str(found), "file")


def _records(row: dict[str, Any], moment: float, step: int | None, media: StoredMedia) -> Iterator[Metrics | Artifact]:
    values, files = (row, {}) if _PLAIN.issuperset(map(type, row.values())) else media.of_row(row)
    if values:
        yield Metrics(-1, moment, user_names(values), step)
    for name, path in files.items():
        yield Artifact(-1, moment, {}, name, str(path), "media", step)


def _tree(items: Any, lost: Counter[str]) -> dict[str, Any]:
    """Return items by name, those with several names nested."""
    tree: dict[str, Any] = {}
    for item in items:
        names = item.nested_key
        text = item.value_json
        try:
            if text:
                value, end = _scan(text, 0)
                if end != len(text):
                    lost[_UNREADABLE] += 1
                    continue
            else:
                value = _native(item)
            if len(names) > _DEEPEST:
                lost[_UNREADABLE] += 1
            elif not names:
                tree[item.key] = value
            elif len(names) == 1:
                tree[names[0]] = value
            else:
                place = tree
                for name in names[:-1]:
                    place = place.setdefault(name, {})
                place[names[-1]] = value
        except (StopIteration, ValueError, TypeError, AttributeError, RecursionError):
            lost[_UNREADABLE] += 1
    return tree


def _native(item: Any) -> Any:
    """Return a value of a row that is not stored as JSON, or as such in another field."""
    kind = item.WhichOneof("value") if "value" in item.DESCRIPTOR.oneofs_by_name else None
    if kind in (None, "none"):
        return None
    value = getattr(item, kind)
    return _decode(value if isinstance(value, str) else value.decode()) if kind == "json" else value


def _merge(whole: dict[str, Any], more: dict[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(whole.get(name), dict):
            _merge(whole[name], value)
        else:
            whole[name] = value


def _metadata(text: str) -> tuple[dict[str, Any], int | None]:
    try:
        about = _decode(text) if text else {}
    except (ValueError, RecursionError):
        about = {}
    if not isinstance(about, dict):
        return {}, None
    step = about.get("step")
    if type(step) is not int or step < 0:
        return about, None
    return {name: value for name, value in about.items() if name != "step"}, step


def _entry(entry: Any, path: Path) -> Path:
    """Return the file of an entry of an artifact: wandb's copy, with the content that it had.

    Raises:
        LostError: There is none here, or another one.
    """
    from wandb.env import get_data_dir

    if not entry.local_path:
        message = "references of artifacts to what is elsewhere" if entry.ref else "artifacts without their files"
        raise LostError(message)
    found = within(os.path.expanduser(entry.local_path), path.parent, os.path.join(get_data_dir(), "artifacts"))
    digest = hashlib.md5(usedforsecurity=False)
    with found.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    if b64encode(digest.digest()).decode() != entry.digest:
        message = "files of artifacts that were changed since"
        raise LostError(message)
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and abs(value) < _LARGEST
