"""The reader of wandb's offline runs: their `.wandb` files, several for one run where it was resumed."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from accel_track.errors import NotReadableError
from accel_track.outcome import Outcome, Status
from accel_track.records import Artifact, Metrics
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.reading.walks import files_below
from accel_track.trackers.wandb import log_file
from accel_track.trackers.wandb.fields import merge, tree_of
from accel_track.trackers.wandb.names import user_names
from accel_track.trackers.wandb.stored_artifacts import StoredArtifacts
from accel_track.trackers.wandb.stored_media import StoredMedia

_OWN = frozenset(("_step", "_runtime", "_timestamp", "_wandb"))
"""Fields of each row that wandb adds."""

_NOT_VALUES = (log_file.OUTPUT, log_file.STATS, log_file.TELEMETRY, log_file.OUTPUT_RAW, log_file.OUTPUT_LOGGER)
_STATUS: dict[int, Status] = {0: "finished", 130: "interrupted", 143: "preempted"}

_WRITING = 10.0
_LARGEST = 2**63
_PLAIN = frozenset((float, int, str, bool))


def run_files(place: Path, *, quick: bool = False) -> Iterator[Path]:
    """Yield the files of runs below a folder, or the one that this is; never raises; `quick` as for `walked`."""
    return filter(log_file.is_run_file, files_below(place, ".wandb", quick=quick))


def runs_of(files: Iterable[Path]) -> Iterator[WandBRun]:
    """Yield the runs that files are of, in the order of their beginnings."""
    found: dict[tuple[str, str], list[tuple[float, Path]]] = {}
    for path in files:
        began, project, run_id = _beginning(path)
        found.setdefault((project, run_id), []).append((began, path))
    for (_, run_id), parts in sorted(found.items(), key=lambda one: min(one[1])):
        yield WandBRun(run_id, [path for _, path in sorted(parts)])


def run_with(id: str, folder: str, axis: str, *, own: str | None) -> WandBRun:  # noqa: A002 - as wandb calls it
    """Return the offline run of an id, of which a tracker's files are in a folder.

    Args:
        id: The run's id.
        folder: The folder in which wandb makes one for each run.
        axis: The field that is the step.
        own: Where in it this process has had the run and ended it, which wandb's service writes for a moment more.

    Raises:
        NotReadableError: There is none.
    """
    deadline = time.monotonic() + _WRITING
    while time.monotonic() < deadline and (
        any(_is_beginning(one, id) for one in folders_of(id, folder))
        or (own is not None and not _is_whole(Path(own, f"run-{id}.wandb")))
    ):
        time.sleep(0.02)
    files = [path for one in folders_of(id, folder) if log_file.is_run_file(path := one / f"run-{id}.wandb")]
    if not files:
        message = f"wandb: there is no offline run {id!r} in {folder}; what is on a server is not read."
        raise NotReadableError(message)
    return WandBRun(id, [path for _, path in sorted((_beginning(path)[0], path) for path in files)], axis)


def folders_of(id: str, folder: str) -> list[Path]:  # noqa: A002 - as wandb calls it
    """Return the folders of the parts of an offline run, oldest first.

    Args:
        id: The run's id.
        folder: The folder in which wandb makes one for each part.
    """
    # wandb puts "-1" and so on behind the folder's name where one of the same second is there.
    name = re.compile(rf"offline-run-\d+_\d+-{re.escape(id)}(-\d+)?")
    return sorted(one for one in Path(folder).glob("offline-run-*") if name.fullmatch(one.name))


def _is_beginning(folder: Path, id: str) -> bool:  # noqa: A002 - as wandb calls it
    """Return whether a folder was made a moment ago, and wandb's service has not told in its file what run it is."""
    path = folder / f"run-{id}.wandb"
    try:
        is_new = time.time() - folder.stat().st_mtime < _WRITING
    except OSError:
        return False
    return is_new and not (log_file.is_run_file(path) and _beginning(path)[0])


def _is_whole(path: Path) -> bool:
    """Return whether a run's end is in its file."""
    if not log_file.is_run_file(path):
        return False
    return any(
        record.HasField("exit") for record in log_file.records(path, Counter(), (*_NOT_VALUES, log_file.HISTORY))
    )


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
            merge(self.config, tree_of(run.config.update, Counter()))
        elif kind == "config":
            merge(self.config, tree_of(record.config.update, Counter()))
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
        moment, names = self.created or 0.0, set[str](_OWN)
        summary: dict[str, Any] = {}
        artifacts = StoredArtifacts(self.id, self.lost, scratch)
        for path in self._paths:
            media = StoredMedia(path.parent, self._charts, self.lost)
            for record in log_file.records(path, self.lost, _NOT_VALUES):
                kind = record.WhichOneof("record_type")
                if kind == "history":
                    row = tree_of(record.history.item, self.lost)
                    names.update(row)
                    moment = self._time(row, moment)
                    yield from _records(row, moment, self._step(row, record.history.step.num), media)
                elif kind == "summary" and record.HasField("_info"):  # else of wandb's service, made of the rows
                    merge(summary, tree_of(record.summary.update, self.lost))
                elif kind == "artifact":
                    yield from artifacts.version(record.artifact, path, moment)
                elif kind == "files":
                    yield from artifacts.saved(record.files.files, path, moment)
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


def _records(row: dict[str, Any], moment: float, step: int | None, media: StoredMedia) -> Iterator[Metrics | Artifact]:
    values, files = (row, {}) if _PLAIN.issuperset(map(type, row.values())) else media.of_row(row)
    if values:
        yield Metrics(-1, moment, user_names(values), step)
    for name, path in files.items():
        yield Artifact(-1, moment, {}, name, str(path), "media", step)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and abs(value) < _LARGEST
