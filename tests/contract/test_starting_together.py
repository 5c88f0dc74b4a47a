"""Processes that begin together on a fresh folder, as the jobs of an array do: each has its run, read back."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from accel_track.errors import AccelTrackWarning
from accel_track.trackers._dvclive_files import dvc_alone
from accel_track.trackers.set_up import alone_at
from tests.conftest import need

PROGRAM = """
import sys, time
from pathlib import Path
name, number = sys.argv[1:]
module = __import__(f"accel_track.trackers.{name}", fromlist=["x"])
__import__(name)
tracker_class = next(one for key, one in vars(module).items() if key.lower() == f"{name}tracker")
Path(f"ready{number}").touch()
while not Path("go").exists():
    time.sleep(0.005)
options = {"system_tracking_interval": None} if name == "aim" else {}
tracker = tracker_class.for_run("digits", f"number {number}", "data", options)
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
    from tests.contract.test_aim import runs

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


READERS: dict[str, Callable[[Path], list[float]]] = {
    "mlflow": mlflow_numbers,
    "aim": aim_numbers,
    "dvclive": dvclive_numbers,
}


def together(program: str, name: str, number: int) -> None:
    """Run a program in that many processes, which go on from the same moment."""
    (Path.cwd() / "data").mkdir()
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "start"]):  # DVCLive sets up DVC in it
        subprocess.run(["git", *command], check=True)
    arguments = [[sys.executable, "-c", program, name, str(one)] for one in range(number)]
    processes = [subprocess.Popen(one, stderr=subprocess.PIPE, text=True) for one in arguments]
    while len(list(Path.cwd().glob("ready*"))) < number and all(one.poll() is None for one in processes):
        time.sleep(0.02)
    Path("go").touch()
    for process in processes:
        said = process.communicate(timeout=150)[1]
        assert process.returncode == 0, said


@pytest.fixture(autouse=True)
def _author(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
        monkeypatch.setenv(f"{name}_NAME", "test")
        monkeypatch.setenv(f"{name}_EMAIL", "test@example.org")


@pytest.mark.parametrize("name", READERS)
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
