"""Runs made with the real API, the command line in this process, and a tracker that writes lines to a file."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from accel_track.cli import app
from accel_track.delivery.settings import Settings
from accel_track.journal.directory import RunDirectory, find_runs
from accel_track.registry import LOGGER_TYPE_TO_CLASS, register_tracker_class, select
from accel_track.run import Run
from accel_track.trackers.base import GeneralTracker


class LinesTracker(GeneralTracker):
    """Appends every call to a file; fails with `error` for values of the name `refused`."""

    name = "lines"
    requires_logging_directory = False
    main_process_only = False

    def __init__(self, project: str, path: str, error: str = "", part: int = 0) -> None:
        super().__init__()
        self.path, self.error, self.part = path, error, part

    @property
    def tracker(self) -> str:
        return self.path

    def _write(self, *what: Any) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps([self.part, *what]) + "\n")

    def start(self) -> None:
        if self.error == "start":
            raise ConnectionError("no server")
        self._write("start")

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self._write("config", values)

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        if "refused" in values:
            raise ValueError("too long")
        self._write("log", step, values)

    def identity(self) -> dict[str, Any]:
        return {"part": self.part + 1}

    def page(self) -> str:
        return f"http://user:secret@localhost/{self.part}"


@pytest.fixture(autouse=True)
def _lines_tracker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make it available by name, and have tables in full."""
    monkeypatch.setenv("COLUMNS", "300")
    before = dict(LOGGER_TYPE_TO_CLASS)
    register_tracker_class(LinesTracker)
    yield
    LOGGER_TYPE_TO_CLASS.clear()
    LOGGER_TYPE_TO_CLASS.update(before)


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """Return the file of the tracker "lines"."""
    return tmp_path / "lines.jsonl"


@pytest.fixture
def start(lines: Path) -> Callable[..., Run]:
    """Return a function that starts a run; the tracker "lines" writes to `lines`."""

    def start(log_with: Any = "lines", delivery: str = "none", folder: str = "runs", **more: Any) -> Run:
        arguments = {"project": "proj", "init_kwargs": {"lines": {"path": str(lines)}} if log_with == "lines" else {}}
        settings = Settings.of(delivery=delivery)
        return Run(select(log_with, folder), directory=folder, settings=settings, **{**arguments, **more})

    return start


@pytest.fixture
def make(start: Callable[..., Run]) -> Callable[..., RunDirectory]:
    """Return a function that makes a run that has ended, with `count` values of `loss`, and returns its directory."""

    def make(
        log_with: Any = "lines", count: int = 5, values: dict[str, Any] | None = None, **more: Any
    ) -> RunDirectory:
        before = {run.path for run in find_runs(".")}
        run = start(log_with, **more)
        for step in range(count):
            run.log({"train": {"loss": 1 / (step + 1)}}, step)
        if values is not None:
            run.log(values, count)
        run.finish()
        (made,) = [one for one in find_runs(".") if one.path not in before]
        return made

    return make


@pytest.fixture
def invoke() -> Callable[..., Any]:
    """Return a function that runs the command line and makes sure that it prints no traceback."""

    def invoke(*arguments: Any, code: int = 0, **more: Any) -> Any:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], **more)
        assert result.exit_code == code, (result.output, result.exception)
        assert "Traceback" not in result.output
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


@pytest.fixture
def written(lines: Path) -> Callable[[], list[list[Any]]]:
    """Return a function that returns the calls that the tracker "lines" got, without the number of its part."""

    def written() -> list[list[Any]]:
        return [json.loads(line)[1:] for line in lines.read_text().splitlines()] if lines.exists() else []

    return written


@pytest.fixture(scope="session")
def _empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mlflow import MlflowClient

    folder = tmp_path_factory.mktemp("mlflow")
    MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()  # migrations take seconds
    return folder / "mlflow.db"


@pytest.fixture
def mlflow_runs(_empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Any]]:
    """Put a database where runs in "runs" go, and return a function that returns its runs."""
    for variable in ("EXPERIMENT_NAME", "RUN_ID", "TAGS", "NESTED_RUN", "TRACKING_URI"):
        monkeypatch.delenv(f"MLFLOW_{variable}", raising=False)
    Path("runs").mkdir()
    shutil.copy(_empty_database, "runs")
    uri = f"sqlite:///{Path('runs').resolve()}/mlflow.db"

    def runs() -> list[Any]:
        from mlflow import MlflowClient

        client = MlflowClient(uri)
        found = client.search_runs([one.experiment_id for one in client.search_experiments()])
        return [
            (run, {key: client.get_metric_history(run.info.run_id, key) for key in run.data.metrics}) for run in found
        ]

    return runs
