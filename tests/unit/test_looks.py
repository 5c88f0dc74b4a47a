"""How to look at a run: each tracker's command, for a run that has ended and from what `run.json` keeps of it."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

import accel_track
from accel_track.delivery.looking import looks
from accel_track.folders import command_line
from accel_track.registry import tracker_class
from accel_track.testing import RecordingTracker
from accel_track.trackers.base import GeneralTracker
from tests.support.runs import only_run


def looked(name: str, **kwargs: Any) -> str | None:
    return tracker_class(name).for_run("p", "r", "runs", kwargs).look()


@pytest.mark.parametrize(
    ("name", "kwargs", "command"),
    [
        ("tensorboard", {}, "tensorboard --logdir runs/p/r"),
        ("mlflow", {"tracking_uri": "sqlite:///a b.db"}, "mlflow ui --backend-store-uri 'sqlite:///a b.db'"),
        ("mlflow", {"tracking_uri": "http://localhost:5000"}, None),
        ("mlflow", {"tracking_uri": "postgresql://user:secret@host/db"}, None),
        ("mlflow", {}, None),
        ("trackio", {}, "trackio show --project p"),
        ("trackio", {"space_id": "user/space"}, None),
        ("aim", {}, "aim up --repo runs"),
        ("aim", {"repo": "aim://host:53800"}, None),
        ("dvclive", {"dir": "live"}, "dvc plots show live/plots"),
        ("dvclive", {}, None),
        ("jsonl", {}, "less runs/p/r/metrics.jsonl"),
        ("console", {}, None),
        ("wandb", {"id": "abc"}, "wandb sync runs/wandb/offline-run-20260131_120000-abc"),
        ("wandb", {"id": "a*"}, None),
        ("wandb", {}, None),
        ("swanlab", {"id": "x1", "mode": "offline"}, "swanlab sync runs/swanlog/run-1-x1"),
        ("swanlab", {"id": "x1", "mode": "local"}, "swanlab watch runs/swanlog"),
        ("swanlab", {"id": "x1"}, None),
        ("swanlab", {"mode": "offline"}, None),
        ("comet_ml", {"experiment_key": "k1"}, "comet upload runs/comet_ml/k1.zip"),
        ("comet_ml", {"experiment_key": "k2"}, None),
        ("clearml", {"continue_last_task": "offline-1"}, None),
    ],
)
def test_commands(name: str, kwargs: dict[str, Any], command: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("TRACKIO_DIR", "WANDB_DIR", "SWANLAB_MODE", "SWANLAB_LOG_DIR", "COMET_OFFLINE_DIRECTORY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.delitem(__import__("sys").modules, "clearml.config", raising=False)
    for folder in ("wandb/offline-run-20260131_120000-abc", "wandb/offline-run-2-abcd", "swanlog/run-1-x1", "comet_ml"):
        Path("runs", folder).mkdir(parents=True)
    Path("runs/comet_ml/k1.zip").touch()
    assert looked(name, **kwargs) == command


def test_trackio_is_shown_in_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", "/data/my runs")
    found = looked("trackio")
    assert found is not None
    told = subprocess.run(
        ["sh", "-c", found.replace("trackio show", "sh -c 'echo \"$TRACKIO_DIR\"' ", 1)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "/data/my runs\n"


def test_words_are_quoted_once_nothing_is_obeyed_any_more() -> None:
    assert command_line("a", "b c", Path("x") / "y", "\x1b[31mred\n") == "a 'b c' x/y 'red '"
    assert command_line(Path("/elsewhere")) == "/elsewhere"
    assert command_line(Path.cwd() / "in") == "in"


class Shown(RecordingTracker):
    """A user's tracker, that says how to look at its runs."""

    name = "shown"

    def look(self) -> str:
        return "xdg-open somewhere"


class Broken(RecordingTracker):
    """One that cannot."""

    name = "broken"

    def look(self) -> str:
        raise RuntimeError("no")


def test_objects_are_asked_and_errors_cost_the_others_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trackers: list[Any] = [Broken("p"), Shown("p"), "tensorboard"]
    with accel_track.init("p", trackers, project_dir=tmp_path, run_name="r") as run:
        run.log({"a": 1}, 0)
    told = capsys.readouterr().err
    assert "look at it: xdg-open somewhere" in told
    assert looks(only_run(tmp_path)) == {"tensorboard": command_line("tensorboard", "--logdir", tmp_path / "p" / "r")}


def test_a_tracker_need_not_know() -> None:
    assert GeneralTracker(_blank=True).look() is None


@pytest.mark.long
@pytest.mark.extras
@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("tensorboard --help", ["--logdir", "--host", "--port", "--reload_interval"]),
        ("mlflow ui --help", ["--backend-store-uri", "--host", "--port", "--workers"]),
        ("trackio show --help", ["--project"]),
        ("wandb sync --help", ["PATHS"]),
        ("aim up --help", ["--repo"]),
        ("swanlab sync --help", ["PATH"]),
        ("swanlab watch --help", ["PATH"]),
        ("comet upload --help", ["archives"]),
        ("clearml-task --help", ["--import-offline-session"]),
        ("dvc plots show --help", ["targets"]),
    ],
)
def test_the_installed_tools_have_these_options(command: str, options: list[str]) -> None:
    told = subprocess.run(command.split(), capture_output=True, text=True, check=False, timeout=120)
    for option in options:
        assert option in told.stdout + told.stderr
