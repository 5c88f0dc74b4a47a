"""The reader of TensorBoard's event files: the runs below a folder, and what each of them holds."""
# Modules of protobuf get their classes when they are imported.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import heapq
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from accel_track.records import Artifact, Metrics
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.reading.calls import OF_ONE_CALL, Point, calls
from accel_track.trackers.reading.lost import OUTSIDE
from accel_track.trackers.reading.places import is_within
from accel_track.trackers.reading.values import step_of
from accel_track.trackers.reading.walks import walked
from accel_track.trackers.reading.yaml import plain_yaml
from accel_track.trackers.tensorboard.contents import Contents
from accel_track.trackers.tensorboard.frames import frames
from accel_track.trackers.tensorboard.messages import parsed
from accel_track.trackers.tensorboard.survey import Survey, first_tags, first_time

_HPARAMS = ("hparams.yml", "hparams.yaml")
"""The files of hyperparameters of accel_track and of Lightning."""

_GRAPHS = {"graph_def": "graph", "meta_graph_def": "meta-graph", "tagged_run_metadata": "graph-run-metadata"}
_MOST_OPEN = 200
_TRIAL = re.compile(r"\d{9,}(\.\d+)?")


class Part(NamedTuple):
    """A folder with event files of a run: the run's own, or one that a call of `SummaryWriter` has made below it.

    Attributes:
        files: The event files, in the order in which TensorBoard reads them.
        tag: Of a folder that `add_scalars` has made: the name that all curves of the call share.
        below: The folder, relative to the run's: that name, with "_" for "/", and a curve's.
    """

    files: Sequence[Path]
    tag: str = ""
    below: str = ""

    def name(self, tag: str) -> str:
        """Return the name of a value as it was given to `SummaryWriter`."""
        if tag == self.tag:
            return f"{tag}/{self.below[len(tag) + 1 :]}"
        return f"{self.below}/{tag}"


class TensorBoardRun(BackendRun):
    """One folder with event files, and the folders below it that belong to its run.

    Args:
        id: The folder, relative to the one that holds all runs.
        folder: The folder.
        parts: The run's own files, and those below.
        refused: How many event files are links that lead elsewhere.
    """

    def __init__(self, id: str, folder: Path, parts: Sequence[Part], refused: int = 0) -> None:  # noqa: A002
        """Survey the files."""
        super().__init__(id)
        self.name = id
        self._parts = parts
        self._surveys = [Survey(part.files) for part in parts]
        own, *others = self._surveys
        self.created, self.outcome = own.created, own.outcome
        if refused:
            self.lost[OUTSIDE] += refused
        config = own.config
        for file in map(folder.joinpath, _HPARAMS):
            if file.is_file() and is_within(file, folder):
                try:
                    config = plain_yaml(file) or config
                except (OSError, ValueError) as error:
                    self.lost[f"{file.name} cannot be read: {error}"] += 1
        for one in (*(survey.config for survey in others), config):
            self.config.update(one)

    def records(self, scratch: Path) -> Iterator[Metrics | Artifact]:
        """Yield the values of calls, and graphs as artifacts. Values that a restart took back are left out.

        Values of one step that came one after the other within 50 ms are one call's, whose time is the first one's.
        """
        parts = list(zip(self._parts, self._surveys, strict=True))
        for begin in range(0, len(parts), _MOST_OPEN):
            some = [self._points(part, survey, scratch) for part, survey in parts[begin : begin + _MOST_OPEN]]
            yield from calls(heapq.merge(*some, key=lambda point: point[0]), OF_ONE_CALL)

    def _points(self, part: Part, survey: Survey, scratch: Path) -> Iterator[Point]:
        contents = Contents(scratch, self.lost)
        for event in self._events(part, survey):
            time = event.wall_time if 0 <= event.wall_time < math.inf else self.created or 0.0
            step = step_of(event.step)
            if event.HasField("summary"):
                for name, value in contents.of(event.summary.value):
                    yield time, step, part.name(name) if part.tag else name, value
            elif (kind := event.WhichOneof("what")) in _GRAPHS:
                content = getattr(event, kind)
                data = content.run_metadata if kind == "tagged_run_metadata" else content
                yield time, None, "", _graph(_GRAPHS[kind], data, time, scratch)

    def _events(self, part: Part, survey: Survey) -> Iterator[Any]:
        """Yield the events that TensorBoard counts."""
        from tensorboard.compat.proto.event_pb2 import Event

        limits = survey.limits()
        for number, file in enumerate(part.files):
            for place, data in enumerate(frames(file, self.lost)):
                if (event := parsed(Event, data)) is None:
                    self.lost["an event that is none of TensorBoard's"] += 1
                    continue
                while limits and limits[0][0] < (number, place):
                    limits.pop(0)
                if not limits or event.step < limits[0][1]:
                    yield event


def _graph(name: str, content: bytes, time: float, scratch: Path) -> Artifact:
    """Return a graph of TensorFlow's, or what goes with one, as a file in protobuf's format."""
    file = next(file for number in count() if not (file := scratch / f"{name}{number or ''}.pb").exists())
    file.write_bytes(content)
    return Artifact(-1, time, {}, name=name, path=str(file), type="graph")


def runs_below(root: Path) -> Iterator[TensorBoardRun]:
    """Yield the runs of a folder and all below it, or of one event file, oldest first."""
    if not root.is_dir():
        yield TensorBoardRun(root.name, root.parent, [Part([root])])
        return
    files, refused = _event_files(root)
    parts = _parts(files)
    for folder in sorted(parts, key=lambda one: first_time(files[one])):
        name = folder.name if folder == root else folder.relative_to(root).as_posix()
        yield TensorBoardRun(name, folder, parts[folder], refused[folder])


def run_in(folder: Path) -> TensorBoardRun | None:
    """Return the run of a folder; None if no event file is right in it."""
    files, refused = _event_files(folder)
    parts = _parts(files).get(folder)
    return None if parts is None else TensorBoardRun(folder.name, folder, parts, refused[folder])


def is_event_file(name: str) -> bool:
    """Return whether TensorBoard takes a file for one of events by its name."""
    return "tfevents" in name


def _event_files(root: Path) -> tuple[dict[Path, list[Path]], Counter[Path]]:
    """Return the event files of each folder, as TensorBoard orders them, and how many links in it lead elsewhere."""
    files: dict[Path, list[Path]] = {}
    refused: Counter[Path] = Counter()
    for folder, _, names in walked(root):
        some = [folder / name for name in names if is_event_file(name)]
        within = [file for file in some if not file.is_symlink() or is_within(file, root)]
        refused[folder] = len(some) - len(within)
        if within:
            files[folder] = within
    return files, refused


def _parts(files: dict[Path, list[Path]]) -> dict[Path, list[Part]]:
    """Return each run's parts by its folder, what `add_scalars` and a single `add_hparams` have made with theirs."""
    parts = {folder: [Part(some)] for folder, some in files.items()}
    trials: defaultdict[Path, list[Path]] = defaultdict(list)
    for folder, some in files.items():
        tags = first_tags(some) if any(above in parts for above in folder.parents) else []
        for owner in (above for above in folder.parents if above in parts):
            below = folder.relative_to(owner).as_posix()
            if tags and tags[0].startswith("_hparams_/") and _TRIAL.fullmatch(below):
                trials[owner].append(folder)
            elif len(set(tags)) == 1 and below.startswith(f"{tags[0].replace('/', '_')}_"):
                parts[owner].append(Part(some, tags[0], below))
                del parts[folder]
                break
    for owner, some in ((owner, some) for owner, some in trials.items() if len(some) == 1 and owner in parts):
        parts[owner] += parts.pop(some[0])  # of several, each is a run of its own, as on TensorBoard's page
    return parts
