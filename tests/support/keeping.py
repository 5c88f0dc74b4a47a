"""A tracker with a backend of its own that tests can damage: a file of JSON lines, which it reads back."""

import contextlib
import json
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accel_track.delivery.receipt import Receipt, compare
from accel_track.delivery.settings import Settings
from accel_track.delivery.sync import Sync
from accel_track.errors import NotReadableError
from accel_track.journal.directory import RunDirectory
from accel_track.media.kinds import KINDS, Medium
from accel_track.records import Artifact, Checkpoint, Metrics
from accel_track.registry import LOGGER_TYPE_TO_CLASS, register_tracker_class, select
from accel_track.run import Run
from accel_track.trackers.backend_run import BackendRun
from accel_track.trackers.base import GeneralTracker
from accel_track.values.plain import leaves
from tests.support.runs import only_run


class KeepingTracker(GeneralTracker):
    """Appends a line for each value to `<path>/values.jsonl`, and copies files beside it."""

    name = "keeping"
    requires_logging_directory = False

    def __init__(self, project: str, path: str = "kept", die_after: int = 0) -> None:
        super().__init__()
        self.path, self.left = Path(path).absolute(), die_after

    @property
    def tracker(self) -> Path:
        return self.path

    def start(self) -> None:
        self.path.mkdir(exist_ok=True)

    def identity(self) -> dict[str, Any]:
        return {"path": str(self.path)}

    def stored_name(self, name: str) -> str:
        return name.replace("@", "_at_")

    def put(self, **line: Any) -> None:
        with open(self.path / "values.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self.left:
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), 9)

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.put(config=values)

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        for name, value in leaves(values):
            several = value if isinstance(value, list) else [value]
            for place, one in enumerate(several):
                own = f"{name}/{place}" if isinstance(value, list) else name
                if self.takes(one):
                    self.put(name=self.stored_name(own), step=step, value=one, time=self.now())
                elif isinstance(one, Medium):
                    file = None if one.path is None else self.keep(one.path)
                    self.put(name=own, step=step, kind=one.kind, info=dict(one.info), file=file)
                else:
                    self.drop(own, one)

    def takes(self, value: Any) -> bool:
        if isinstance(value, str):
            return self.takes_text
        return isinstance(value, (bool, int, float)) and (math.isfinite(value) or self.takes_nan)

    def log_artifact(self, path: Any, name: str | None = None, **about: Any) -> None:
        self.put(artifact=name or Path(path).name, file=self.keep(Path(path)), step=about.get("step"))

    def keep(self, path: Path) -> str:
        number = len(list(self.path.iterdir()))
        target = self.path / f"{number}-{path.name}"
        (shutil.copytree if path.is_dir() else shutil.copyfile)(path, target)
        return target.name

    def read(self) -> "KeptRun":
        if not (self.path / "values.jsonl").exists():
            message = f"keeping: there is nothing in {self.path}."
            raise NotReadableError(message)
        return KeptRun(self.path)


@contextlib.contextmanager
def registered() -> Iterator[None]:
    """Make it available by name."""
    before = dict(LOGGER_TYPE_TO_CLASS)
    register_tracker_class(KeepingTracker)
    try:
        yield
    finally:  # Hypothesis ends examples by exceptions
        LOGGER_TYPE_TO_CLASS.clear()
        LOGGER_TYPE_TO_CLASS.update(before)


class KeptRun(BackendRun):
    """What the tracker has kept."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path
        for line in lines(path):
            self.config.update(line.get("config", {}))
            self.lacks.update(line.get("lacks", {}))

    def records(self, scratch: Path) -> Iterator[Metrics | Artifact | Checkpoint]:
        for line in lines(self.path):
            if "artifact" in line:
                yield Artifact(-1, 0.0, {}, line["artifact"], str(self.path / line["file"]))
            elif "kind" in line:
                file = None if line["file"] is None else self.path / line["file"]
                yield Metrics(-1, 0.0, {line["name"]: KINDS[line["kind"]].of_stored(line["info"], file)}, line["step"])
            elif "value" in line:
                yield Metrics(-1, line["time"], {line["name"]: line["value"]}, line["step"])
            elif "torn" in line:
                self.lost["a torn line"] += 1


def lines(path: Path = Path("kept")) -> list[dict[str, Any]]:
    """Return what the tracker has written."""
    return [json.loads(line) for line in (path / "values.jsonl").read_text().splitlines()]


def rewrite(changed: list[dict[str, Any]], path: Path = Path("kept")) -> None:
    """Put other lines in their place."""
    (path / "values.jsonl").write_text("".join(json.dumps(line) + "\n" for line in changed))


def begin(**more: Any) -> Run:
    """Start a run that keeps a journal and delivers nothing."""
    arguments = {"project": "proj", "directory": "runs", "settings": Settings.of(delivery="none"), **more}
    return Run(select("keeping", "runs"), **arguments)


def deliver(**arguments: Any) -> RunDirectory:
    """Deliver what is pending of the only run to the tracker, and return the run directory."""
    found = only_run(Path("runs"))
    Sync(found, arguments={"keeping": arguments}).deliver(follow=False, timeout=10)
    return found


def made(*calls: tuple[dict[str, Any], int | None], config: dict[str, Any] | None = None) -> RunDirectory:
    """Log some calls, deliver them, and return the run directory."""
    run = begin(config=config)
    for values, step in calls:
        run.log(values, step)
    run.finish()
    return deliver()


def receipt(run: RunDirectory) -> Receipt:
    """Return the tracker's receipt."""
    return compare(run, "keeping")
