"""Folders as users give them: all of a run is in one place, and what is no place says so."""

import importlib
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from accel_track import Accelerator
from accel_track.delivery.settings import Settings
from accel_track.folders import expanded, located
from accel_track.journal.directory import find_runs
from accel_track.lightning import AccelTrackLogger
from accel_track.lightning.callback import AccelTrackCallback
from accel_track.registry import build, filter_trackers, select
from accel_track.run import Run
from accel_track.testing.doubles import RecordingTracker
from accel_track.trackers.aim.tracker import AimTracker
from accel_track.utils import ProjectConfiguration
from tests.support.contracts import contract
from tests.support.skips import need

ELSEWHERE = ["s3://bucket/logs", "gs://bucket", "memory://x", "http://host/logs", "hdfs://a/b", "aim://host:53800"]


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PLACE", str(tmp_path / "place"))


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("~/logs", "home/logs"),
        ("$HOME/x", "home/x"),
        ("${PLACE}/x", "place/x"),
        ("$PLACE", "place"),
        (Path("~/logs"), "home/logs"),
        ("file://{}/a%20b", "a b"),
        ("file:{}/a", "a"),
        ("FILE://localhost{}/a", "a"),
    ],
)
def test_what_stands_for_a_folder(given, meant, tmp_path):
    given = given.replace("{}", str(tmp_path)) if isinstance(given, str) else given
    meant = tmp_path / meant
    assert Path(expanded(given, "project_dir")) == meant
    for accelerator in (
        Accelerator(project_dir=given),
        Accelerator(project_config=ProjectConfiguration(logging_dir=given)),
    ):
        assert Path(accelerator.logging_dir) == meant
    assert Path(ProjectConfiguration(given).project_dir) == meant
    assert Path(AccelTrackLogger(save_dir=given).save_dir) == meant
    assert not list(Path().iterdir())


@pytest.mark.parametrize("given", ["logs", "a/b", Path("a"), ".", "", "a$b", "a~", "/x", "C:/x", "a:b"])
def test_other_folders_stay_as_they_are(given):
    assert expanded(given, "project_dir") is given


@pytest.mark.parametrize("given", ELSEWHERE)
def test_places_that_are_no_folders(given):
    for argument, make in {
        "project_dir": lambda: Accelerator("tensorboard", given),
        "logging_dir": lambda: ProjectConfiguration(logging_dir=given),
        "save_dir": lambda: AccelTrackLogger(save_dir=given),
        "`logging_dir`": lambda: filter_trackers("tensorboard", given),
    }.items():
        if not given.startswith("aim:") or argument == "save_dir":
            with pytest.raises(ValueError, match=f"{argument}.*(must be a folder of this machine|stores its data)"):
                make()
    with pytest.raises(ValueError, match="save_dir"):
        AccelTrackCallback("tensorboard", save_dir=given)
    assert not list(Path().iterdir())


def test_a_path_of_another_file_system_and_a_variable_that_is_not_set():
    with pytest.raises(ValueError, match="must be a folder of this machine; got 's3:/bucket'"):
        Accelerator(project_dir=Path("s3://bucket"))
    with pytest.raises(ValueError, match="variable that '\\$NOWHERE/x' begins with is not set"):
        Accelerator(project_dir="$NOWHERE/x")


@pytest.mark.extras
def test_an_address_is_for_trackers_that_take_one():
    address = "aim://127.0.0.1:53800"
    accelerator = Accelerator(["aim", RecordingTracker()], address)
    assert (accelerator.project_dir, accelerator.logging_dir) == (None, address)
    with pytest.raises(ValueError, match="tensorboard stores its data in a folder"):
        Accelerator(["aim", "tensorboard"], address)
    (tracker,) = build(select("aim", address), "p", "r", address, {})
    assert tracker.logging_dir == address
    run = Run(select("aim", address), project="p", directory=address, settings=Settings(delivery="none"))
    assert run.directory == address
    assert run.run_directory.path.is_relative_to(Path.cwd())
    run.finish()


@pytest.mark.extras
def test_a_run_stays_where_it_began(tmp_path):
    tracker = RecordingTracker()
    accelerator = Accelerator([tracker, "tensorboard", "dvclive"], "runs")
    accelerator.init_trackers("p", init_kwargs={"dvclive": {"dir": "live", "dvcyaml": False, "save_dvc_exp": False}})
    began, other = Path.cwd(), tmp_path / "other"
    other.mkdir()
    os.chdir(other)
    for step in range(3):
        accelerator.log({"loss": 1.0}, step=step)
    accelerator.end_training()
    assert not list(other.iterdir())
    (run,) = find_runs(began)
    assert run.load().directory == str(began / "runs")
    assert run.load().trackers["dvclive"].kwargs["dir"] == str(began / "live")
    assert (began / "live" / "plots" / "metrics" / "loss.tsv").read_text().count("\n") == 4
    assert len(list((began / "runs").rglob("events.out.tfevents.*"))) == 1


@pytest.mark.parametrize("name", ["mlflow", "aim", "swanlab", "trackio"])
def test_a_store_stays_where_its_run_began(name: str, tmp_path: Path) -> None:
    need(name)
    suite = contract(name)
    began, other = Path.cwd(), tmp_path / "other"
    other.mkdir()
    if name == "trackio":  # keeps its data in its own folder, beside that of other tests
        suite.others = importlib.import_module("tests.support.readers.trackio").runs()
    accelerator = Accelerator(name, "runs", cpu=True)
    accelerator.init_trackers("p", init_kwargs={name: suite.init_kwargs(began / "runs")})
    accelerator.log({"loss": 0.5}, step=0)
    os.chdir(other)
    accelerator.log({"loss": 0.25}, step=1)
    accelerator.end_training()
    assert not list(other.iterdir())
    stored = suite.read(began / "runs")
    assert stored.metrics["loss"] == [(0, 0.5), (1, 0.25)]
    assert stored.runs == 1


def test_arguments_of_trackers_that_are_folders():
    here = os.getcwd()
    given = {
        "dvclive": {"dir": "a", "exp_name": "a"},
        "swanlab": {"logdir": "~/a", "log_dir": Path("b")},
        "mlflow": {"logging_dir": "s3://bucket", "tracking_uri": "sqlite:///a.db"},
        "aim": {"repo": "aim://host:1"},
        "custom": {"dir": None, "repo": 3, "logging_dir": ""},
    }
    assert located(given) == {
        "dvclive": {"dir": f"{here}/a", "exp_name": "a"},
        "swanlab": {"logdir": os.path.expanduser("~/a"), "log_dir": f"{here}/b"},
        "mlflow": {"logging_dir": "s3://bucket", "tracking_uri": "sqlite:///a.db"},
        "aim": {"repo": "aim://host:1"},
        "custom": {"dir": None, "repo": 3, "logging_dir": ""},
    }


def test_a_run_at_an_address_is_continued_there():
    tracker = AimTracker.for_run("p", "r", "aim://host:53800", {})
    tracker.native = SimpleNamespace(hash="abc")
    assert tracker.identity() == {"run_hash": "abc", "repo": "aim://host:53800"}


def test_the_command_line_expands(tmp_path):
    from accel_track.cli._common import find_run

    accelerator = Accelerator(RecordingTracker(), "~/logs")
    accelerator.init_trackers("p")
    accelerator.end_training()
    (run,) = find_runs(tmp_path / "home")
    assert find_run(f"~/logs/.accel_track/p/{run.path.name}").path == run.path
