"""Processes that begin together on a fresh folder, as the jobs of an array do: each has its run, read back."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock

from accel_track.errors import AccelTrackWarning
from accel_track.trackers.dvclive.folders import dvc_alone
from accel_track.trackers.set_up import alone_at
from tests.support import warm
from tests.support.runs import scalars
from tests.support.skips import need
from tests.support.waiting import until

PROGRAM = """
import sys, time
from pathlib import Path
from accel_track.registry import tracker_class
name, number = sys.argv[1:]
cls = tracker_class(name)
__import__(cls.sdk or name)
Path(f"ready{number}").touch()
while not Path("go").exists():
    time.sleep(0.005)
options = {"system_tracking_interval": None} if name == "aim" else {}
Path("data", name).mkdir(exist_ok=True)  # as a front door does it
tracker = cls.for_run("digits", f"number {number}", "data", options)
tracker.start()
tracker.log({"number": int(number)}, step=0)
tracker.finish()
"""

FRONT_DOOR = """
import sys, time
from pathlib import Path
from accel_track import Accelerator
name, number = sys.argv[1:]
accelerator = Accelerator(log_with=name, project_dir="data", cpu=True, delivery="process")
Path(f"ready{number}").touch()
while not Path("go").exists():
    time.sleep(0.005)
accelerator.init_trackers("digits")
accelerator.log({"number": int(number)}, step=0)
accelerator.end_training()
"""


def mlflow_numbers(folder: Path) -> list[float]:
    """Return the numbers in all finished runs."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    runs = client.search_runs([one.experiment_id for one in client.search_experiments()])
    assert {run.info.status for run in runs} == {"FINISHED"}
    return [point.value for run in runs for point in client.get_metric_history(run.info.run_id, "number")]


def aim_numbers(folder: Path) -> list[float]:
    """Return the numbers in all runs."""
    from tests.support.readers.aim import runs

    with runs(folder) as found:
        return [
            float(metric.values.sparse_list()[1][0])
            for run in found
            for metric in run.metrics()
            if metric.name == "number"
        ]


def dvclive_numbers(folder: Path) -> list[float]:
    """Return the numbers in all tables, each of which is in an experiment of its own."""
    tables = sorted((folder / "digits").rglob("number.tsv"))
    found = subprocess.run(["git", "for-each-ref", "refs/exps"], check=True, capture_output=True, text=True)
    experiments = [line for line in found.stdout.splitlines() if "refs/exps/exec" not in line]
    assert len(experiments) == len(tables)
    return [float(path.read_text().split()[-1]) for path in tables]


def tensorboard_numbers(folder: Path) -> list[float]:
    """Return the numbers in all event files, each of which is in a folder of its own."""
    files = sorted(folder.rglob("events.out.tfevents.*"))
    assert len({path.parent for path in files}) == len(files)
    return [value for path in files for _, value in scalars(path.parent, "number")]


def wandb_numbers(folder: Path) -> list[float]:
    """Return the numbers in all runs' files."""
    from tests.support.readers.wandb import items, records

    found = [one for path in folder.rglob("*.wandb") for one in records(path) if one.HasField("history")]
    return [items(one.history.item)["number"] for one in found]


def trackio_numbers(_: Path) -> list[float]:
    """Return the numbers in the one store of this project, each of a run of its own."""
    with closing(sqlite3.connect(Path(os.environ["TRACKIO_DIR"], "digits.db"))) as store:
        found = store.execute("select run_id, metrics from metrics").fetchall()
    assert len({run for run, _ in found}) == len(found)
    return [json.loads(text)["number"] for _, text in found]


def comet_numbers(folder: Path) -> list[float]:
    """Return the numbers in all archives."""
    from tests.support.readers.comet import archives, metrics

    return [value for path in archives(folder) for _, value in metrics(path)["number"]]


def clearml_numbers(_: Path) -> list[float]:
    """Return the numbers in all offline sessions."""
    from tests.support.readers.clearml import events, sessions

    found = [event for session in sessions(Path(os.environ["CLEARML_CACHE_DIR"])) for event in events(session)]
    return [event["value"] for event in found if event["metric"] == "number"]


def swanlab_numbers(folder: Path) -> list[float]:
    """Return the numbers in all runs' files."""
    from tests.support.readers.swanlab import records

    found = [one for path in folder.rglob("*.swanlab") for one in records(path) if one.HasField("scalar")]
    return [one.scalar.value.number for one in found if one.scalar.key == "number"]


READERS: dict[str, Callable[[Path], list[float]]] = {
    "mlflow": mlflow_numbers,
    "aim": aim_numbers,
    "dvclive": dvclive_numbers,
    "trackio": trackio_numbers,
    "swanlab": swanlab_numbers,
    "clearml": clearml_numbers,
    "comet_ml": comet_numbers,
    "wandb": wandb_numbers,
    "tensorboard": tensorboard_numbers,
}


def together(program: str, name: str, number: int) -> None:
    """Run a program in that many processes, which go on from the same moment."""
    (Path.cwd() / "data").mkdir()
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "start"]):  # DVCLive sets up DVC in it
        subprocess.run(["git", *command], check=True)
    arguments = [[sys.executable, "-c", program, name, str(one)] for one in range(number)]
    processes = [warm.Popen(one, stderr=subprocess.PIPE, text=True) for one in arguments]
    until(lambda: len(list(Path.cwd().glob("ready*"))) == number or any(one.poll() is not None for one in processes))
    Path("go").touch()
    for process in processes:
        said = process.communicate(timeout=150)[1]
        assert process.returncode == 0, said


@pytest.fixture(autouse=True)
def _own_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep in this test's folder what has a place of its own, and name an author for DVC's commits."""
    for variable in ("TRACKIO_DIR", "CLEARML_CACHE_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
        monkeypatch.setenv(f"{name}_NAME", "test")
        monkeypatch.setenv(f"{name}_EMAIL", "test@example.org")


@pytest.mark.long
@pytest.mark.parametrize("name", ["mlflow", "aim", "dvclive", "trackio"])  # those with one store for several runs
def test_two_processes(name: str) -> None:
    need(name)
    together(PROGRAM, name, 2)
    assert sorted(READERS[name](Path.cwd() / "data")) == [0.0, 1.0]


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("program", [PROGRAM, FRONT_DOOR], ids=["trackers", "companions"])
@pytest.mark.parametrize("name", READERS)
def test_eight_processes(name: str, program: str) -> None:
    need(name)
    together(program, name, 8)
    assert sorted(READERS[name](Path.cwd() / "data")) == list(map(float, range(8)))


class TestTheLock:
    def test_nobody_else_inside(self, tmp_path: Path) -> None:
        inside = alone_at(tmp_path / "new" / "store.db", patience=0.05)
        with alone_at(tmp_path / "new" / "store.db"), pytest.raises(TimeoutError, match=r"opening .*store\.db"):
            inside.__enter__()
        with alone_at(tmp_path / "new" / "store.db", patience=0.05):
            pass
        assert [path.name for path in (tmp_path / "new").iterdir()] == [".store.db.lock"]

    @pytest.mark.parametrize("error", [OSError(95, "not supported"), NotImplementedError()])
    def test_where_there_are_no_locks(self, error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(FileLock, "acquire", refuse)
        with alone_at(tmp_path / "store.db"):
            pass

    def test_what_a_killed_process_has_half_made(self, tmp_path: Path) -> None:
        """It is put aside with SQLite's journal, which must not be played back into the new file."""
        code = (
            "import os, pathlib, sys\nfrom accel_track.trackers.set_up import alone_at\n"
            "store = pathlib.Path(sys.argv[1])\nwith alone_at(store):\n    store.write_text('half')\n"
            "    store.with_name('store.db-journal').write_text('more')\n    os._exit(9)\n"
        )
        store = tmp_path / "store.db"
        subprocess.run([sys.executable, "-c", code, store], check=False)
        with pytest.warns(AccelTrackWarning, match="put aside"), alone_at(store):
            assert not store.exists()
            store.write_text("whole")
        with alone_at(store):
            assert store.read_text() == "whole"
        aside = sorted(path.read_text() for path in tmp_path.glob("store.db-unfinished-*"))
        assert aside == ["half", "more"]

    def test_a_failure_of_this_process_is_its_own_to_repeat(self, tmp_path: Path) -> None:
        """Its SDK may hold the file open."""
        store = tmp_path / "store.db"
        opening = alone_at(store)
        opening.__enter__()
        store.write_text("half")
        assert not opening.__exit__(ValueError, ValueError("sad"), None)
        with alone_at(store):
            assert store.read_text() == "half"
        assert sorted(path.name for path in tmp_path.glob("*store*")) == [".store.db.lock", "store.db"]

    def test_dvc_in_a_worktree(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The lock is in the folder that Git names, so that nothing is left beside the user's files."""
        (tmp_path / "main" / "inner").mkdir(parents=True)
        (tmp_path / "tree" / "below").mkdir(parents=True)
        (tmp_path / "tree" / ".git").write_text(f"gitdir: {tmp_path}/main/inner\n")
        monkeypatch.chdir(tmp_path / "tree" / "below")
        with dvc_alone():
            assert (tmp_path / "main" / "inner" / ".dvc.lock").exists()
        assert [path.name for path in (tmp_path / "tree").iterdir() if path.name != "below"] == [".git"]
