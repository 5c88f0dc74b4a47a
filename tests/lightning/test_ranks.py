"""AccelTrackLogger in two real processes on the CPU, however they are started, and however they end."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from accel_track import AccelTrackLogger
from accel_track.delivery.process.protocol import companion_states
from accel_track.journal.directory import RunDirectory
from accel_track.journal.reader import JournalReader
from accel_track.outcome import CRASHED
from accel_track.records import Metrics, Rewind
from tests.support import warm
from tests.support.models import Tiny, batches, trainer
from tests.support.processes import PROGRAMS, accel_track, own_environment
from tests.support.readers.wandb import STEP, decoded, items
from tests.support.runs import only_run, scalars

SCRIPT = str(PROGRAMS / "ranks.py")
RUNS = Path("runs")


@pytest.fixture(scope="session")
def _empty_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()  # migrations take seconds
    return path.read_bytes()


@pytest.fixture(autouse=True)
def _database(_own_directory: None, _empty_database: bytes) -> None:
    RUNS.mkdir()
    (RUNS / "mlflow.db").write_bytes(_empty_database)


def started(*arguments: str, by: tuple[str, ...] = (), **variables: str) -> "subprocess.Popen[str]":
    """Start the script, or what starts it."""
    environment = own_environment(OMP_NUM_THREADS=1, **variables)
    if by or "ddp_notebook" in arguments:
        environment |= warm.NOT_MEASURED
    pipe = subprocess.PIPE
    command = [sys.executable, *by, SCRIPT, *arguments]
    return warm.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)


def ran(*arguments: str, by: tuple[str, ...] = (), fails: bool = False, **variables: str) -> str:
    """Run the script to its end and return what it printed."""
    with started(*arguments, by=by, **variables) as process:
        out, errors = process.communicate(timeout=150)
    assert (process.returncode != 0) == fails, errors
    return out


def torchrun(*more: str) -> tuple[str, ...]:
    return ("-m", "torch.distributed.run", *more)


def seen() -> list[dict[str, Any]]:
    return [json.loads(Path(f"seen-{rank}.json").read_text()) for rank in (0, 1)]


def logged(run: RunDirectory, rank: int = 0) -> dict[str, list[int | None]]:
    """Return the steps of each name in a rank's journal."""
    found: dict[str, list[int | None]] = {}
    for record in JournalReader(run.rank(rank)):
        for name in record.values if isinstance(record, Metrics) else ():
            found.setdefault(name, []).append(record.step)
    return found


def mlflow_runs() -> list[Any]:
    client = MlflowClient(f"sqlite:///{(RUNS / 'mlflow.db').resolve()}")
    return list(client.search_runs([one.experiment_id for one in client.search_experiments()]))


def wandb_ids() -> set[str]:
    return {path.stem for path in RUNS.rglob("*.wandb")}


def wandb_points(name: str) -> list[tuple[int, float]]:
    found = [record for path in RUNS.rglob("*.wandb") for record in decoded(path) if record.HasField("history")]
    return sorted((row[STEP], row[name]) for row in (items(one.history.item) for one in found) if name in row)


def check_one_run(test_step: int = 4) -> RunDirectory:
    """Check that there is one run in every backend, with what rank 0 logged in a fit and the test after it."""
    run = only_run(RUNS)
    assert (run.load().status, run.ranks()) == ("finished", [0])
    assert [path.name for path in (RUNS / "digits").iterdir()] == ["version_0"]
    steps = logged(run)
    assert steps["loss"] == [0, 1, 2, 3]
    assert steps["test_loss"] == [test_step]
    assert "own-0" in steps
    assert "own-1" not in steps
    folder = RUNS / "digits" / "version_0"
    assert [step for step, _ in scalars(folder)] == [0, 1, 2, 3]  # also in what TensorBoard shows of several files
    assert [step for step, _ in scalars(folder, "test_loss")] == [test_step]
    (stored,) = mlflow_runs()
    assert stored.info.status == "FINISHED"
    assert {"loss", "late", "own-0", "test_loss"} <= set(stored.data.metrics)
    assert stored.data.params["rank-0"] == "True"
    assert "rank-1" not in stored.data.params
    assert len(wandb_ids()) == 1
    assert [step for step, _ in wandb_points("loss")] == [0, 1, 2, 3]
    return run


def check_agreement(run: RunDirectory) -> None:
    """Check that both ranks saw the same run, in which rank 1 has no part."""
    first, second = seen()
    assert first["run_id"] == second["run_id"] == run.path.name
    assert first["version"] == second["version"] == 0
    assert first["folder"] == second["folder"] == str(RUNS / "digits" / "version_0" / "checkpoints")
    assert first["log_dir"] == second["log_dir"] == str(RUNS / "digits" / "version_0")
    names = ["mlflow", "tensorboard", "wandb"]
    assert (first["dummy"], first["experiments"], first["trackers"]) == (False, names, names)
    assert (second["dummy"], second["experiments"], second["trackers"], second["opens"]) == (True, [], [], False)


# With processes for each call, Lightning forgets the step between a fit and a test.
@pytest.mark.long
@pytest.mark.parametrize(
    ("strategy", "test_step"), [("ddp", 4), pytest.param("ddp_spawn", 0, marks=pytest.mark.long), ("ddp_notebook", 0)]
)
def test_processes_started_by_lightning_share_one_run(strategy: str, test_step: int) -> None:
    out = ran("tensorboard", "mlflow", "wandb", "--strategy", strategy)
    run = check_one_run(test_step)
    check_agreement(run)
    assert not any(isinstance(record, Rewind) for record in JournalReader(run.rank()))
    assert f"the launching process sees {RUNS / 'digits' / 'version_0'}" in out


def test_torchrun() -> None:
    by = torchrun("--nproc_per_node=2", "--rdzv_backend=c10d", "--rdzv_endpoint=127.0.0.1:0")
    ran("tensorboard", "mlflow", "wandb", by=by)
    check_agreement(check_one_run())


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "by", "test_step"),
    [
        pytest.param(("--strategy", "ddp_spawn"), (), 0, marks=pytest.mark.long),
        ((), torchrun("--nproc_per_node=2", "--rdzv_backend=c10d", "--rdzv_endpoint=127.0.0.1:0"), 4),
    ],
    ids=["ddp_spawn", "torchrun"],
)
def test_companion_processes_deliver_what_several_processes_train(
    arguments: tuple[str, ...], by: tuple[str, ...], test_step: int
) -> None:
    ran("tensorboard", "mlflow", "wandb", *arguments, by=by, ACCEL_TRACK_DELIVERY="process")
    run = check_one_run(test_step)
    ((rank, _, state),) = companion_states(run)
    assert (rank, state.state) == (0, "over")
    assert [(one["trackers"], one["experiments"]) for one in seen()] == [
        (["mlflow", "tensorboard", "wandb"], []),
        ([], []),
    ]


@pytest.mark.long
def test_two_nodes() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ("--nnodes=2", "--nproc_per_node=1", "--rdzv_backend=c10d", f"--rdzv_endpoint=127.0.0.1:{port}")
    by = torchrun(*arguments, "--rdzv_id=nodes", "--local_addr=127.0.0.1")
    both = [started("tensorboard", "mlflow", "wandb", "--nodes", "2", by=by) for _ in range(2)]
    for process in both:
        with process:
            _, errors = process.communicate(timeout=150)
        assert process.returncode == 0, errors
    check_agreement(check_one_run())


@pytest.mark.long
def test_after_finish_all_ranks_agree_on_another_run() -> None:
    ran("tensorboard", "--twice")
    runs = sorted(path.parent.name for path in (RUNS / ".accel_track").glob("*/*/run.json"))
    assert len(runs) == 2
    assert sorted(path.name for path in (RUNS / "digits").iterdir()) == ["version_0", "version_1"]


@pytest.mark.long
@pytest.mark.parametrize("strategy", [pytest.param("ddp", marks=pytest.mark.long), "ddp_notebook"])
def test_all_ranks_log_in_one_run_directory_and_one_wandb_group(strategy: str) -> None:
    ran("wandb", "mlflow", "--strategy", strategy, "--all-ranks")
    run = only_run(RUNS)
    info = run.load()
    assert (info.status, run.ranks()) == ("finished", [0, 1])
    for rank in (0, 1):
        steps = logged(run, rank)
        assert steps["loss"] == [0, 1, 2, 3]
        assert len(steps["test_loss"]) == 1
        assert steps[f"own-{rank}"] == [3]
        assert f"own-{1 - rank}" not in steps
    assert [one["trackers"] for one in seen()] == [["mlflow", "wandb"], ["wandb"]]
    (stored,) = mlflow_runs()
    assert "own-1" not in stored.data.metrics
    ids = {info.trackers["wandb"].identity["id"], info.trackers["wandb"].ranks["1"]["id"]}
    assert wandb_ids() == {f"run-{one}" for one in ids}
    assert len(ids) == 2
    found = [record.run for path in RUNS.rglob("*.wandb") for record in decoded(path) if record.HasField("run")]
    assert {(one.run_group, one.display_name) for one in found} == {
        ("version_0", "version_0"),
        ("version_0", "version_0-rank1"),
    }
    assert sorted(step for step, _ in wandb_points("loss")) == [0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.long
def test_a_rank_killed_takes_the_others_along_and_the_journal_is_complete() -> None:
    ran("tensorboard", "mlflow", "--ends", "kill", fails=True)
    run = only_run(RUNS)
    assert logged(run)["loss"] == [0, 1]
    (shown,) = json.loads(accel_track("ls", RUNS, "--json").stdout)
    assert (shown["status"], shown["reason"]) == CRASHED
    (stored,) = mlflow_runs()
    assert stored.info.status == "RUNNING"
    accel_track("sync", run.path)
    (stored,) = mlflow_runs()
    assert stored.info.status == "FAILED"
    assert [step for step, _ in scalars(RUNS / "digits" / "version_0")] == [0, 1]


@pytest.mark.long
def test_a_launched_rank_that_raises_makes_the_run_a_failure() -> None:
    ran("mlflow", "--strategy", "ddp_spawn", "--ends", "raise", fails=True)
    run = only_run(RUNS)
    info = run.load()
    assert info.status == "failed"
    assert info.reason == "ValueError: planned failure"
    assert logged(run)["loss"] == [0, 1]
    (stored,) = mlflow_runs()
    assert stored.info.status == "FAILED"


@pytest.mark.long
def test_a_failing_test_does_not_make_a_finished_launched_fit_a_failure() -> None:
    ran("mlflow", "--strategy", "ddp_notebook", "--failing-test", fails=True)
    info = only_run(RUNS).load()
    assert (info.status, info.reason) == ("finished", None)
    (stored,) = mlflow_runs()
    assert stored.info.status == "FINISHED"


@pytest.mark.long
def test_a_test_after_a_launched_fit_that_continued_a_run_belongs_to_that_run() -> None:
    logger = AccelTrackLogger("mlflow", name="digits", save_dir=RUNS)
    fit = trainer(logger, log_every_n_steps=1)
    fit.fit(Tiny(), batches())
    logger.finish()
    checkpoint = fit.checkpoint_callback.best_model_path
    out = ran("tensorboard", "mlflow", "--strategy", "ddp_notebook", "--ckpt-path", checkpoint)
    run = only_run(RUNS)
    assert (run.path.name, run.load().status) == (seen()[1]["run_id"], "finished")
    assert logged(run)["test_loss"] == [0]
    assert [record.step for record in JournalReader(run.rank()) if isinstance(record, Rewind)] == [8]
    assert len(mlflow_runs()) == 1
    assert "version_0" in out
