"""A run that nobody finishes: what it gives back while it is idle, and how it ends once nobody holds it."""

import gc
import os
import resource
import shutil
import signal
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from accel_track import Accelerator
from accel_track.delivery import journaled
from accel_track.delivery.keeper import Keeper, keeper
from accel_track.delivery.settings import Settings
from accel_track.endings import wait_for_collected
from accel_track.errors import AccelTrackWarning, ResumeError
from accel_track.journal.directory import RunDirectory, find_runs
from accel_track.journal.reader import JournalReader
from accel_track.lightning import AccelTrackLogger
from accel_track.outcome import Outcome
from accel_track.registry import select
from accel_track.run import Run
from accel_track.testing import FaultyTracker, RecordingTracker
from accel_track.trackers.tensorboard.tracker import TensorBoardTracker
from tests.support.skips import need
from tests.support.waiting import until

LONG = 60.0


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def threads() -> set[threading.Thread]:
    return set(threading.enumerate())


def scalars(folder: Path | str, name: str = "loss") -> list[tuple[int, float]]:
    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    reader.Reload()
    return [(one.step, one.value) for one in reader.Scalars(name)]


def only_run() -> RunDirectory:
    (found,) = find_runs(".")
    return found


def collected() -> None:
    """Wait for the ends of what was collected."""
    gc.collect()
    wait_for_collected(LONG)
    keeper.wait_until_idle(LONG)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Let only those threads live afterwards that lived before, as Lightning's own tests ask."""
    collected()
    before, files = threads(), descriptors()
    yield
    collected()
    until(lambda: threads() <= before and descriptors() <= files)


class Moving(RecordingTracker):
    """One that any thread may call, and that remembers which did."""

    thread_bound = False

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[int] = []

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        self.threads.append(threading.get_ident())
        super().log(values, step, **kwargs)

    def rest(self) -> None:
        self.calls.append(("rest",))


class Bound(Moving):
    thread_bound = True


def run_of(tracker: RecordingTracker, **arguments: Any) -> Run:
    return Run(select(tracker), project="p", settings=Settings.of(), **arguments)


# -- at rest ----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors as Linux shows them")
def test_an_idle_logger_holds_nothing_and_goes_on_with_the_next_record() -> None:
    before, files = threads(), descriptors()
    logger = AccelTrackLogger("tensorboard", save_dir=".")
    for step in range(4):
        logger.log_metrics({"loss": step}, step)
        logger.finalize("success")
        assert (threads(), descriptors()) == (before, files)
        assert only_run().outcome(only_run().load()) == Outcome("finished")
    folder = logger.log_dir
    logger.experiment.add_scalar("native", 1.0, 0)
    assert not logger._session.run._delivery.journal.resting
    logger.finish()
    assert scalars(folder) == [(step, step) for step in range(4)]
    assert scalars(folder, "native") == [(0, 1.0)]
    assert len(list(Path(folder).glob("events*"))) == 1
    assert len(list(only_run().rank(0).glob("*.seg"))) == 1
    assert only_run().load().status == "finished"


def fitted() -> AccelTrackLogger:
    """Train for two steps, and return the logger, which nobody finishes."""
    from lightning.pytorch import Trainer
    from lightning.pytorch.demos.boring_classes import BoringModel

    class Logging(BoringModel):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            self.log("loss", float(self.global_step))
            return super().training_step(batch, batch_idx)

    logger = AccelTrackLogger(["tensorboard", "mlflow"], save_dir=".")
    trainer = Trainer(
        logger=logger,
        max_steps=2,
        limit_val_batches=0,
        log_every_n_steps=1,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.fit(Logging())
    return logger


def test_after_a_fit_no_thread_lives_that_did_not_live_before() -> None:
    need("mlflow")
    fitted().finish()  # what the SDKs start once for the process
    collected()
    before = threads()
    logger = fitted()
    until(lambda: threads() <= before)
    assert scalars(logger.log_dir) == [(0, 0.0), (1, 1.0)]
    with closing(sqlite3.connect("mlflow.db")) as database:
        stored = database.execute("select step, value from metrics where key = 'loss' order by run_uuid, step")
        assert list(stored) == [(0, 0.0), (1, 1.0)] * 2
    logger.finish()
    until(lambda: threads() <= before)


@pytest.mark.long
def test_many_loggers_that_nobody_finishes() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before, files = threads(), descriptors()
    resource.setrlimit(resource.RLIMIT_NOFILE, (files + 40, hard))
    try:
        loggers = [AccelTrackLogger("tensorboard", save_dir=".") for _ in range(60)]
        for logger in loggers:
            logger.log_metrics({"loss": 0.5}, 0)
            logger.finalize("success")
        assert (threads(), descriptors()) == (before, files)
        del logger, loggers
        collected()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert {run.load().status for run in find_runs(".")} == {"finished"}


@pytest.mark.parametrize("tracker", [Moving(), Bound()], ids=["moving", "bound"])
def test_a_tracker_that_is_bound_to_its_thread_keeps_it(tracker: Moving) -> None:
    run = run_of(tracker)
    for step in range(2):
        run.log({"loss": 0.5}, step)
        run.flush()
        run.rest()
        assert tracker.calls[-1] == ("rest",)
    run.log({"loss": 0.5}, 2)
    run.finish()
    assert len(set(tracker.threads)) == 1 or not tracker.thread_bound
    assert [call[2] for call in tracker.calls if call[0] == "log"] == [0, 1, 2]


@pytest.mark.first(1)
@pytest.mark.parametrize("watched", [False, True])
def test_without_a_record_for_some_time_a_run_rests_by_itself(monkeypatch: pytest.MonkeyPatch, watched: bool) -> None:
    monkeypatch.setattr(journaled, "IDLE", 0.0)
    before, files = threads(), descriptors()
    accelerator = Accelerator(log_with="tensorboard", project_dir=".", cpu=True, autopsy=watched, stall_after=0.1)
    accelerator.init_trackers("p")
    accelerator.log({"loss": 0.5}, 0)
    until(lambda: threads() == before and descriptors() == files + (2 if watched else 1))  # its stacks, when asked
    assert bool(list(only_run().rank().glob("evidence/*"))) == watched
    assert only_run().is_live()  # nobody has said how it ended, so it goes on
    accelerator.log({"loss": 0.25}, 1)
    accelerator.end_training()
    assert scalars(next(Path(".").rglob("events*")).parent) == [(0, 0.5), (1, 0.25)]


def test_what_is_not_delivered_keeps_a_run_awake_until_it_is() -> None:
    tracker = FaultyTracker("log", error=ConnectionError("down"))
    run = run_of(tracker)
    run.conclude(Outcome())
    with pytest.warns(AccelTrackWarning, match="down"):
        run.log({"loss": 0.5}, 0)
        run.rest()
        until(lambda: len(tracker.calls) > 2)  # the second attempt: the first one's warning is out
    assert not run._delivery.journal.resting
    tracker.fails = ()
    until(lambda: run._delivery.journal.resting and not only_run().is_live())
    run.finish()


def test_records_of_many_threads_while_a_run_rests_and_wakes() -> None:
    tracker = Moving()
    run = run_of(tracker)
    over = threading.Event()

    def rest() -> None:
        while not over.is_set():
            run.flush()
            run.rest()

    with ThreadPoolExecutor(4) as pool:
        resting = pool.submit(rest)
        logging = [
            pool.submit(lambda first: [run.log({"loss": 0.5}, first + step) for step in range(200)], first)
            for first in (0, 1000, 2000)
        ]
        for one in logging:
            one.result()
        over.set()
        resting.result()
    run.finish()
    steps = [call[2] for call in tracker.calls if call[0] == "log"]
    assert sorted(steps) == [first + step for first in (0, 1000, 2000) for step in range(200)]
    assert len(list(JournalReader(only_run().rank(0)))) == 600


def test_a_signal_handler_logs_while_a_run_goes_to_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = Moving()
    run = run_of(tracker)
    locks = run._delivery._locks
    inner = locks.rest
    monkeypatch.setattr(locks, "rest", lambda **keywords: (run.log({"loss": 0.5}, 0), inner(**keywords)))
    run.rest()
    assert not run._delivery.journal.resting
    with run._delivery.journal._lock:  # in the middle of an append
        run.rest()
    assert not run._delivery.journal.resting
    run.finish()
    assert [call[0] for call in tracker.calls if call[0] != "flush"][-2:] == ["log", "finish"]


def test_a_tracker_that_cannot_rest_is_warned_about() -> None:
    class Stubborn(Moving):
        def rest(self) -> None:
            raise OSError("no")

    run = run_of(Stubborn())
    with pytest.warns(AccelTrackWarning, match=r"recording: could not give back its files \(OSError: no\)"):
        run.rest()
    run.finish()


# -- who continues it meanwhile ---------------------------------------------------------------------------------------


def idle() -> tuple[Moving, Run]:
    tracker = Moving()
    run = run_of(tracker)
    run.log({"loss": 0.5}, 0)
    run.conclude(Outcome())
    run.flush()
    run.rest()
    assert run._delivery.journal.resting
    return tracker, run


@pytest.mark.first(1)
@pytest.mark.parametrize("goes_on", [True, False])
def test_a_run_that_was_continued_elsewhere(goes_on: bool) -> None:
    tracker, run = idle()
    with pytest.warns(AccelTrackWarning, match="its backend run cannot be continued"):  # an object's
        other = run_of(Moving(), resumed=RunDirectory(only_run().path))
    other.go_on()
    if not goes_on:
        other.finish()
    with pytest.raises(ResumeError, match="continued elsewhere while it was idle here"):
        run.log({"loss": 0.25}, 1)
    with pytest.raises(ResumeError):
        run.wake()
    if goes_on:
        other.log({"loss": 0.125}, 2)
    run.finish()  # leaves the other's alone
    assert ("finish",) not in tracker.calls
    assert only_run().load().status == ("running" if goes_on else "finished")
    other.finish()
    assert [one.step for one in JournalReader(only_run().rank(0))] == ([0, 2] if goes_on else [0])


def test_sync_has_a_cursor_while_the_run_wakes(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker, run = idle()
    claim, ask, asked = only_run().claim("recording"), RunDirectory.claim, []
    assert claim is not None
    monkeypatch.setattr(RunDirectory, "claim", lambda *one: asked.append(ask(*one)) or asked[-1])
    run.log({"loss": 0.25}, 1)
    until(lambda: len(asked) > 1)
    assert asked[:2] == [None, None]
    assert [call[2] for call in tracker.calls if call[0] == "log"] == [0]
    claim.release()
    run.finish()
    assert [call[2] for call in tracker.calls if call[0] == "log"] == [0, 1]


def test_the_folder_of_an_idle_run_is_deleted() -> None:
    tracker, run = idle()
    path = only_run().path
    shutil.rmtree(path)
    with pytest.warns(AccelTrackWarning, match="was deleted while the run was idle"):
        run.log({"loss": 0.25}, 1)
    run.finish()
    assert [call[2] for call in tracker.calls if call[0] == "log"] == [0, 1]
    assert [one.step for one in JournalReader(RunDirectory(path).rank(0))] == [1]
    assert RunDirectory(path).load().status == "finished"


def test_a_damaged_run_json_keeps_nobody_from_logging() -> None:
    tracker, run = idle()
    (only_run().path / "run.json").write_text("{")
    run.log({"loss": 0.25}, 1)
    run.flush()
    run.rest()
    run.log({"loss": 0.125}, 2)
    run.finish()
    assert [call[2] for call in tracker.calls if call[0] == "log"] == [0, 1, 2]


# -- collected --------------------------------------------------------------------------------------------------------


def test_a_logger_that_is_collected_ends_its_run() -> None:
    logger = AccelTrackLogger("tensorboard", save_dir=".")
    logger.log_metrics({"loss": 0.5}, 0)
    folder = logger.log_dir
    del logger
    collected()
    assert only_run().outcome(only_run().load()) == Outcome("finished")
    assert scalars(folder) == [(0, 0.5)]


@pytest.mark.first(1)
@pytest.mark.parametrize("let_go", [True, False], ids=["collected", "finished"])
def test_a_run_that_has_ended_needs_no_full_collection_to_be_freed(let_go: bool) -> None:
    run = run_of(Moving())
    for step in range(3):
        run.log({"loss": 0.5}, step)
    delivery = weakref.ref(run._delivery)
    gc.collect()
    gc.disable()
    try:
        if not let_go:
            run.finish()
        del run
        wait_for_collected(LONG)
        keeper.wait_until_idle(LONG)
        until(lambda: delivery() is None)
    finally:
        gc.enable()
    assert only_run().load().status == "finished"


@pytest.mark.parametrize("rests", [True, False])
def test_a_collected_run_ends_as_it_was_concluded(rests: bool) -> None:
    tracker = Moving()
    run = run_of(tracker)
    run.log({"loss": 0.5}, 0)
    run.conclude(Outcome("failed", "ValueError: x"))
    if rests:
        run.rest()
    del run
    collected()
    assert tracker.calls[-1] == ("finish",)
    assert tracker.outcome == only_run().outcome(only_run().load()) == Outcome("failed", "ValueError: x")


def test_an_accelerator_that_is_collected_without_an_end_as_sigterm_has_left_it() -> None:
    accelerator = Accelerator(log_with=RecordingTracker(), project_dir=".", cpu=True)
    accelerator.init_trackers("p")
    with pytest.raises(SystemExit):
        signal.raise_signal(signal.SIGTERM)
    del accelerator
    collected()
    assert only_run().load().status == "preempted"
    assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL  # undone from another thread
    Accelerator(log_with=RecordingTracker(), project_dir=".", cpu=True).init_trackers("p")
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_a_collected_inline_run() -> None:
    tracker = FaultyTracker("finish")
    run = Run(select(tracker), project="p", settings=Settings.of(delivery="inline", on_error="warn"))
    run.wake()
    run.rest()
    with pytest.warns(AccelTrackWarning, match="faulty on purpose"):
        del run
        collected()
    assert tracker.calls[-1] == ("finish",)


# -- the keeper -------------------------------------------------------------------------------------------------------


def test_the_keeper_calls_lives_and_ends() -> None:
    mine = Keeper(0.01)
    calls: list[int] = []
    mine.add(lambda: calls.append(1))
    until(lambda: len(calls) > 2)
    mine.wait_until_idle(0)  # it is not
    (look,) = mine._looks
    mine.soon(lambda: 1 / 0)  # is logged
    mine.remove(look)
    mine.wait_until_idle(LONG)
    assert mine._thread is None
    mine.soon(lambda: calls.append(2))
    until(lambda: calls[-1] == 2)


def test_the_interpreters_end_has_no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    mine = Keeper()
    monkeypatch.setattr("_thread.start_new_thread", none)
    mine.soon(lambda: None)
    assert mine._thread is None


def test_tensorboard_writes_after_a_rest(tmp_path: Path) -> None:
    tracker = TensorBoardTracker("run", tmp_path)
    tracker.rest()
    tracker.start()
    tracker.log({"loss": 0.5}, 0)
    tracker.rest()
    tracker.log({"loss": 0.25}, 1)
    tracker.finish()
    assert scalars(tmp_path / "run") == [(0, 0.5), (1, 0.25)]
