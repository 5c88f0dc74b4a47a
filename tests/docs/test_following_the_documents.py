"""What a new user does, following the documents alone: a first run, a second backend, a tracker, an offline run, an old run.

The programs and commands are those of the pages; what they have stored is read with the backends' own readers.
"""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric

from accel_track.journal.directory import find_runs
from accel_track.journal.info import RunInfo
from accel_track.views.content import Content
from tests.support import warm
from tests.support.following import DOCS, Shell, blocks, follow, on_a_terminal
from tests.support.runs import scalars

ROOT = DOCS.parent
ELSEWHERE = {"autopsy.md"}
"""Pages with a program that has a test of its own."""
FOLLOWED = {
    "start/lightning.md",
    "start/loop.md",
    "start/init.md",
    "custom-trackers.md",
    "guides/offline-cluster.md",
    "guides/sweeps.md",
}
OLD = """
from lightning.pytorch.loggers import TensorBoardLogger

logger = TensorBoardLogger(".")
for step in range(5):
    logger.log_metrics({"loss": 1 / (step + 1)}, step)
logger.finalize("success")
"""


def here(line: str, folder: Path) -> str:
    """Run a command line of a page in the environment of the tests, where Python programs start warm."""
    words = shlex.split(line)
    variables = list(takewhile(re.compile(r"[A-Z_]+=").match, words))
    environment = {**os.environ, **dict(variable.split("=", 1) for variable in variables)}
    program, *arguments = words[len(variables) :]
    python = {"python": [], "accel-track": ["-m", "accel_track"]}
    if program not in python:
        return on_a_terminal([program, *arguments], folder, environment)
    command = [sys.executable, *python[program], *arguments]
    if (
        "sync" in arguments
    ):  # with its progress bar on a terminal, MLflow makes no tables in a warm start ("Illegal seek")
        return warm.run(command, timeout=120, check=True, cwd=folder, env=environment).stdout
    return on_a_terminal(command, folder, environment, start=warm.Popen)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Return what runs command lines in an environment that is made as the page on installing says."""
    copy = tmp_path_factory.mktemp("copy") / "repository"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
    environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    kept = [f"cd {copy}"]

    def shell(line: str, folder: Path) -> str:
        """Run a line, after those that change the shell."""
        if line.startswith("export PIP_EXTRA_INDEX_URL") and "PIP_FIND_LINKS" in os.environ:
            return ""  # pip has been told another place, which has torch for CPUs
        if line.startswith(("source ", "export ")):
            kept.append(line)
            return ""
        command = ["bash", "-ec", "\n".join([*kept, f"cd {folder}", line])]
        return on_a_terminal(command, folder, environment, timeout=1500)

    follow(DOCS / "start/install.md", copy, shell)
    assert shell("which accel-track", copy).strip() == f"{copy}/.venv/bin/accel-track"
    return shell


@pytest.fixture(
    params=["here", pytest.param("fresh", marks=[pytest.mark.long, pytest.mark.timeout(1800)])]  # installs torch
)
def shell(request: pytest.FixtureRequest) -> Shell:
    return here if request.param == "here" else request.getfixturevalue("fresh")


def in_mlflow(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return what MLflow has of the loss, by the runs' names."""
    client = MlflowClient(f"sqlite:///{folder}/runs/mlflow.db")
    runs = client.search_runs([one.experiment_id for one in client.search_experiments()])
    return {run.info.run_name: points(client.get_metric_history(run.info.run_id, "train/loss")) for run in runs}


def in_order(folder: Path) -> list[RunInfo]:
    """Return what is known of the runs, the newest last."""
    return sorted((run.load() for run in find_runs(folder)), key=lambda info: info.created)


def points(metrics: Iterable[Metric]) -> list[tuple[int, float]]:
    return sorted((metric.step, pytest.approx(metric.value)) for metric in metrics)  # event files have 32 bits


def test_lightning_a_second_backend_and_an_old_run(tmp_path: Path, shell: Shell) -> None:
    """A first run goes to TensorBoard; one word more and the next goes to MLflow, too, and the first one follows it."""
    old = warm.run([sys.executable, "-c", OLD], timeout=60, check=True, cwd=tmp_path)
    assert not old.stdout
    follow(DOCS / "start/lightning.md", tmp_path, shell)
    for name, history in in_mlflow(tmp_path).items():
        assert len(history) == 16, name
        assert scalars(tmp_path / "runs" / "first" / name, "train/loss") == history
    assert sorted(in_mlflow(tmp_path)) == ["version_0", "version_1"]

    (imported,) = (run for run in find_runs(tmp_path) if run.load().project == "lightning_logs")
    found = Content(imported)
    found.update()
    curve = found.metrics["loss"].points()
    of_old = [*zip(curve.steps.tolist(), curve.values.tolist(), strict=True)]
    assert of_old == scalars(tmp_path / "lightning_logs", "loss")
    assert len(of_old) == 5


@pytest.mark.long
def test_a_loop_of_ones_own(tmp_path: Path, shell: Shell) -> None:
    follow(DOCS / "start/loop.md", tmp_path, shell)
    first, second = in_order(tmp_path)
    assert (sorted(first.trackers), sorted(second.trackers)) == (["tensorboard"], ["mlflow", "tensorboard"])
    for run in (first, second):
        assert len(scalars(tmp_path / "runs/first" / str(run.name), "train/loss")) == 32
    assert in_mlflow(tmp_path) == {second.name: scalars(tmp_path / "runs/first" / str(second.name), "train/loss")}


def test_anything_else(tmp_path: Path, shell: Shell) -> None:
    follow(DOCS / "start/init.md", tmp_path, shell)
    first, second = in_order(tmp_path)
    assert (sorted(first.trackers), sorted(second.trackers)) == (["tensorboard"], ["jsonl", "tensorboard"])
    (lines,) = tmp_path.rglob("metrics.jsonl")
    logged = [(one["step"], pytest.approx(one["farthest"])) for one in map(json.loads, lines.read_text().splitlines())]
    assert len(logged) == 50
    for run in (first, second):  # the seed is the same
        assert scalars(tmp_path / "runs/walks" / str(run.name), "farthest") == logged


def test_a_custom_tracker_in_20_lines(tmp_path: Path, shell: Shell) -> None:
    page = DOCS / "custom-trackers.md"
    (program,) = (block.text for block in blocks(page) if block.title)
    (tracker,) = (node for node in ast.parse(program).body if isinstance(node, ast.ClassDef))
    assert tracker.end_lineno is not None
    assert tracker.end_lineno - tracker.lineno < 20
    follow(page, tmp_path, shell)
    assert len((tmp_path / "values.txt").read_text().splitlines()) == len(scalars(tmp_path, "train/loss")) == 3


@pytest.mark.long
def test_an_offline_run_is_synced(tmp_path: Path, shell: Shell) -> None:
    """Where the training runs, no backend's file is made; the login node makes all."""

    def watched(line: str, folder: Path) -> str:
        printed = shell(line, folder)
        if "ACCEL_TRACK_DELIVERY=none" in line:
            assert os.listdir(folder / "runs") == [".accel_track"]
        return printed

    follow(DOCS / "guides/offline-cluster.md", tmp_path, watched)
    assert in_mlflow(tmp_path) == {"baseline": scalars(tmp_path, "train/loss")}
    assert len(scalars(tmp_path, "train/loss")) == 100


@pytest.mark.long
def test_a_sweep_is_looked_at(tmp_path: Path, shell: Shell) -> None:
    printed: dict[str, str] = {}

    def noting(line: str, folder: Path) -> str:
        return printed.setdefault(line, shell(line, folder))

    follow(DOCS / "guides/sweeps.md", tmp_path, noting)
    first, *trials = in_order(tmp_path)
    assert {trial.parent for trial in trials} == {first.run_id}
    (good,) = (text for line, text in printed.items() if "--where" in line)
    assert ("study-lr-0.01" in good, "study-lr-0.1 " in good) == (True, False)


def test_no_program_of_a_page_is_left_out() -> None:
    with_programs = {page for page in DOCS.rglob("*.md") if any(block.title for block in blocks(page))}
    assert {str(page.relative_to(DOCS)) for page in with_programs} - ELSEWHERE == FOLLOWED


def test_what_the_guide_shows_of_the_plugin_package_is_in_it() -> None:
    folder = ROOT / "examples/plugin_package"
    package = "".join((folder / name).read_text() for name in ("pyproject.toml", "tests/test_csv.py"))
    shown = [block.text for block in blocks(DOCS / "guides/plugin.md") if block.language in ("toml", "py")]
    assert len(shown) == 2
    for text in shown:
        assert text.replace(" ...\n", "\n") in package
