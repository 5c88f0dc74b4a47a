"""A run with a journal: modes, errors, strictness, objects without portable form, shared trackers, the closing report."""

import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel_track import Accelerator, AccelTrackCallback, AccelTrackLogger
from accel_track.delivery import journaled, report, worker
from accel_track.delivery.settings import Settings
from accel_track.delivery.sources import LiveSource
from accel_track.errors import AccelTrackWarning, DeliveryError, NotStartedError
from accel_track.journal.cursor import Cursor, load
from accel_track.journal.directory import RunDirectory, find_runs
from accel_track.journal.info import TrackerInfo
from accel_track.journal.reader import JournalReader
from accel_track.journal.writer import JournalWriter
from accel_track.records import Metrics, WithoutForm
from accel_track.registry import LOGGER_TYPE_TO_CLASS, select
from accel_track.run import Run
from accel_track.testing import FaultyTracker, RecordingTracker
from accel_track.trackers.base import GeneralTracker


def run_of(*trackers: GeneralTracker, settings: Settings | None = None, **arguments: Any) -> Run:
    return Run(select(list(trackers)), project="p", settings=settings or Settings.of(), **arguments)


def logged(tracker: RecordingTracker) -> list[Any]:
    return [call[1] for call in tracker.calls if call[0] == "log"]


def only_run(folder: str | Path = ".") -> RunDirectory:
    (found,) = find_runs(folder)
    return found


class Down(RecordingTracker):
    """A tracker whose server does not answer until `up` is set."""

    name = "down"

    def __init__(self, *, at_start: bool = True) -> None:
        super().__init__()
        self.up = threading.Event()
        self.at_start = at_start

    def start(self) -> None:
        if self.at_start and not self.up.is_set():
            raise ConnectionError("connection refused")
        super().start()

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        if not self.up.is_set():
            raise ConnectionError("connection lost")
        super().log(values, step, **kwargs)


# -- modes ------------------------------------------------------------------------------------------------------------


def test_a_tracker_lives_in_one_thread_that_is_not_the_callers() -> None:
    threads: dict[str, set[int]] = {}

    class Where(RecordingTracker):
        def __getattribute__(self, name: str) -> Any:
            if name in ("start", "store_init_configuration", "log", "flush", "finish"):
                threads.setdefault(name, set()).add(threading.get_ident())
            return super().__getattribute__(name)

    run = run_of(Where(), config={"lr": 0.1})
    run.log({"loss": 0.5}, 0)
    run.finish()
    assert set(threads) == {"start", "store_init_configuration", "log", "flush", "finish"}
    (one,) = set.union(*threads.values())
    assert one != threading.get_ident()


def test_none_starts_nothing_and_keeps_everything() -> None:
    tracker = RecordingTracker()
    run = run_of(tracker, settings=Settings.of(delivery="none"), config={"lr": 0.1})
    run.log({"loss": 0.5}, 3)
    with pytest.raises(NotStartedError, match=r"`tracker` of 'recording' cannot be reached.*accel-track sync"):
        run.get_tracker("recording", unwrap=True)
    run.finish()
    assert tracker.calls == []
    config, metrics = list(JournalReader(only_run().rank()))
    assert config.values == {"lr": 0.1}
    assert isinstance(metrics, Metrics)
    assert (metrics.values, metrics.step) == ({"loss": 0.5}, 3)
    info = only_run().load()
    assert (list(info.trackers), info.trackers["recording"].instance, info.status) == (["recording"], True, "finished")


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_every_front_door_takes_the_mode(how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"delivery": "none"} if how == "argument" else {}
    if how == "variable":
        monkeypatch.setenv("ACCEL_TRACK_DELIVERY", "none")
    accelerator = Accelerator(log_with="tensorboard", project_dir=tmp_path, cpu=True, **arguments)
    accelerator.init_trackers("p")
    accelerator.log({"loss": 0.5}, step=0)
    accelerator.end_training()
    logger = AccelTrackLogger("tensorboard", save_dir=tmp_path, **arguments)
    logger.log_metrics({"loss": 0.5}, step=0)
    logger.experiment.add_scalar("nothing", 1)
    assert logger.experiments == {}
    logger.finish()
    AccelTrackCallback("tensorboard", **arguments)
    assert len(list(find_runs(tmp_path))) == 2
    assert not list(tmp_path.rglob("events.out.tfevents.*"))


def test_bad_settings_name_the_argument_or_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="`delivery` must be one of thread, process, inline, none; got 'fast'"):
        Accelerator(cpu=True, delivery="fast")  # type: ignore[arg-type]
    monkeypatch.setenv("ACCEL_TRACK_FINISH_TIMEOUT", "soon")
    with pytest.raises(ValueError, match="ACCEL_TRACK_FINISH_TIMEOUT must be a number of seconds, 0 or more"):
        AccelTrackLogger()


def test_a_tracker_that_joins_late_gets_everything() -> None:
    class Second(RecordingTracker):
        name = "second"

    first, second = RecordingTracker(), Second()
    run = run_of(first, config={"lr": 0.1})
    run.log({"loss": 0.5}, 0)
    run.add(select(second))
    run.log({"loss": 0.25}, 1)
    run.finish()
    assert logged(first) == logged(second) == [{"loss": 0.5}, {"loss": 0.25}]
    assert second.calls[1] == ("config", {"lr": 0.1})


def test_get_tracker_comes_after_what_was_logged_before() -> None:
    class Slow(RecordingTracker):
        def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
            time.sleep(0.002)
            super().log(values, step, **kwargs)

    tracker = Slow()
    run = run_of(tracker)
    for step in range(100):
        run.log({"loss": 0.5}, step)
    assert run.get_tracker("recording") is tracker
    assert len(logged(tracker)) == 100
    run.finish()


# -- errors -----------------------------------------------------------------------------------------------------------


def test_a_configuration_mistake_raises_at_the_start() -> None:
    healthy, faulty = RecordingTracker(), FaultyTracker("start", error=ValueError("wrong argument"))
    with pytest.raises(ValueError, match="wrong argument"):
        run_of(healthy, faulty)
    assert healthy.calls == [("start",), ("finish",)]
    assert healthy.users == faulty.users == 0


def test_an_unreachable_server_is_waited_for() -> None:
    tracker, other = Down(), RecordingTracker()
    with pytest.warns(AccelTrackWarning, match="down: ConnectionError: connection refused; it is tried again"):
        run = run_of(tracker, other)
    run.log({"loss": 0.5}, 0)
    run.flush()
    assert logged(other) == [{"loss": 0.5}]
    tracker.up.set()
    run.finish()
    assert logged(tracker) == [{"loss": 0.5}]
    assert tracker.calls[-1] == ("finish",)


def test_strict_raises_for_an_unreachable_server() -> None:
    healthy = RecordingTracker()
    with (
        pytest.warns(AccelTrackWarning, match="tried again"),
        pytest.raises(ConnectionError, match="connection refused"),
    ):
        run_of(healthy, Down(), settings=Settings.of(strict=True))
    assert healthy.calls[-1] == ("finish",)


def test_a_start_that_takes_too_long_goes_on_behind() -> None:
    go = threading.Event()

    class Slow(RecordingTracker):
        def start(self) -> None:
            go.wait(30)
            super().start()

    tracker = Slow()
    begun = time.monotonic()
    with pytest.warns(AccelTrackWarning, match="recording: has not started within 0.2 s; it is waited for"):
        run = run_of(tracker, settings=Settings.of(start_timeout=0.2))
    assert time.monotonic() - begun < 5
    run.log({"loss": 0.5}, 0)
    (waiting,) = run.trackers  # as in diffusers' `for tracker in accelerator.trackers: tracker.log(…)`
    waiting.log({"own": 1.0}, 0)
    assert waiting is not tracker
    go.set()
    run.finish()
    assert waiting.calls is tracker.calls
    assert logged(tracker) == [{"loss": 0.5}, {"own": 1.0}]
    go.clear()
    with pytest.raises(TimeoutError, match=r"recording: has not started within 0 s; give it more time"):
        run_of(Slow(), settings=Settings.of(start_timeout=0, finish_timeout=0.1, strict=True))
    go.set()


def test_a_program_that_has_closed_its_standard_error_output_goes_on() -> None:
    program = """
import sys
import accel_track
run = accel_track.init("p", "jsonl", project_dir="logs", run_name="r")
sys.stderr.close()
run.log({"loss": 0.5, "bad": object()}, 0)
run.flush()
run.alert("low disk")
run.log({"loss": 0.25}, 1)
run.finish()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    lines = Path("logs/p/r/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line).get("loss") for line in lines] == [0.5, None, 0.25]


def test_raise_is_for_the_next_call_and_once() -> None:
    tracker = FaultyTracker("log")
    run = run_of(tracker, settings=Settings.of(on_error="raise", finish_timeout=0.2))
    run.log({"loss": 0.5}, 0)
    run.flush()
    with pytest.raises(DeliveryError, match=r"faulty: RuntimeError: faulty on purpose; what was logged is in .*p"):
        run.log({"loss": 0.25}, 1)
    run.log({"loss": 0.125}, 2)
    with pytest.warns(AccelTrackWarning, match="faulty: RuntimeError: faulty on purpose; .*it is tried again"):
        run.finish()


def test_inline_can_warn_instead() -> None:
    faulty, healthy = FaultyTracker("log"), RecordingTracker()
    run = run_of(faulty, healthy, settings=Settings.of(delivery="inline", on_error="warn"))
    with pytest.warns(AccelTrackWarning, match="faulty: RuntimeError: faulty on purpose"):
        run.log({"loss": 0.5}, 0)
    assert logged(healthy) == [{"loss": 0.5}]
    run.finish()


def test_flushing_does_not_wait_for_a_server_that_is_down() -> None:
    tracker = Down(at_start=False)
    run = run_of(tracker, settings=Settings.of(finish_timeout=0.5))
    with pytest.warns(AccelTrackWarning, match="connection lost; it is tried again"):
        run.log({"loss": 0.5}, 0)
        begun = time.monotonic()
        run.flush()
        assert time.monotonic() - begun < 3
    run.finish()


# -- what is logged ---------------------------------------------------------------------------------------------------


def test_an_object_without_portable_form_is_delivered_by_reference() -> None:
    class Picture:
        pass

    picture, tracker = Picture(), RecordingTracker()
    run = run_of(tracker)
    with pytest.warns(AccelTrackWarning, match="log: 'picture' holds a .*Picture, of which no copy can be made"):
        run.log({"picture": picture, "loss": np.float32(0.5)}, 0, {"recording": {"extra": picture}})
    run.finish()
    _, values, step, kwargs = next(call for call in tracker.calls if call[0] == "log")
    assert values["picture"] is picture
    assert kwargs == {"extra": picture}
    assert (values["loss"], type(values["loss"]), step) == (0.5, float, 0)
    (record,) = JournalReader(only_run().rank())
    stand_in = record.values["picture"]
    assert isinstance(stand_in, WithoutForm)
    assert stand_in.what.endswith("Picture")
    assert record.values["loss"] == 0.5


def test_trackers_may_change_what_they_get() -> None:
    class Greedy(RecordingTracker):
        name = "greedy"

        def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
            values["nested"].clear()
            values.clear()

    other, values = RecordingTracker(), {"nested": {"a": 1.0}, "object": object()}
    run = run_of(Greedy(), other)
    run.log(values)
    run.finish()
    assert logged(other) == [values]
    assert values["nested"] == {"a": 1.0}


def test_secrets_reach_neither_the_disk_nor_a_tracker(monkeypatch: pytest.MonkeyPatch) -> None:
    class Named(RecordingTracker):
        name = "named"

    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "named", Named)
    monkeypatch.setattr("sys.argv", ["train.py", "--api-key", "hidden1", "--url=https://me:hidden2@host/x"])
    config = {"api_key": "hidden3", "use_cls_token": True, "pad_token": "<pad>", "db": {"url": "pg://u:hidden4@h/d"}}
    run = Run(select("named"), project="p", config=config, init_kwargs={"named": {"token": "hidden5", "entity": "me"}})
    tracker = run.get_tracker("named")
    run.store_configuration({"password": "hidden6"})
    run.finish()
    assert tracker.init_kwargs == {"token": "hidden5", "entity": "me"}
    stored = [call[1] for call in tracker.calls if call[0] == "config"]
    assert {key: value for values in stored for key, value in values.items()} == {
        "api_key": "***",
        "use_cls_token": True,
        "pad_token": "<pad>",
        "db": {"url": "pg://***@h/d"},
        "password": "***",
    }
    everything = b"".join(path.read_bytes() for path in only_run().path.rglob("*") if path.is_file())
    assert not re.findall(rb"hidden\d", everything)
    assert only_run().load().trackers["named"].kwargs == {"entity": "me"}


def test_redaction_can_be_switched_off() -> None:
    tracker = RecordingTracker()
    run_of(tracker, config={"api_key": "shown"}, settings=Settings.of(redact=False)).finish()
    assert tracker.calls[1] == ("config", {"api_key": "shown"})


# -- shared trackers, the end -----------------------------------------------------------------------------------------


def test_a_shared_instance_is_started_once_and_finished_by_its_last_user() -> None:
    shared = RecordingTracker()
    one, other = run_of(shared), run_of(shared)
    one.log({"a": 1})
    one.finish()
    other.log({"b": 2})
    assert ("finish",) not in shared.calls
    other.finish()
    assert [call[0] for call in shared.calls if call[0] != "flush"] == ["start", "log", "log", "finish"]
    assert shared.users == 0


def test_what_wraps_the_terminal_is_finished_last_started_first() -> None:
    order: list[str] = []

    class Wrapping(RecordingTracker):
        wraps_terminal = True

        def __init__(self, name: str, pause: float) -> None:
            self.name = name
            super().__init__()
            self.pause = pause

        def finish(self) -> None:
            time.sleep(self.pause)
            order.append(self.name)

    run_of(Wrapping("a", 0), Wrapping("b", 0.1), Wrapping("c", 0.2)).finish()
    assert order == ["c", "b", "a"]


def test_the_closing_report(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(RecordingTracker())
    run.log({"loss": 0.5}, 0)
    run.finish()
    assert re.fullmatch(r"accel_track: \.accel_track/p/\S+: recording 1 record delivered\.\n", capsys.readouterr().err)

    for known in (False, True):
        if known:
            monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "down", Down)
        run = run_of(Down(at_start=False), RecordingTracker(), settings=Settings.of(finish_timeout=0.5))
        with pytest.warns(AccelTrackWarning, match="connection lost"):
            run.log({"loss": 0.5}, 0)
            run.finish()
        shown = capsys.readouterr().err.splitlines()
        assert shown[1] == "  down: 0 delivered, 1 pending (ConnectionError: connection lost)"
        assert shown[2] == "  recording: 1 delivered"
        if known:
            assert re.fullmatch(r"  Deliver what is pending with: accel-track sync \.accel_track/p/\S+", shown[3])
        else:
            assert shown[3].startswith("  down was passed as an object, which no command can make")
        assert len(shown) == 4


def test_a_long_end_has_a_progress_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    class Slow(RecordingTracker):
        def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
            time.sleep(0.02)

    terminal = Terminal()
    monkeypatch.setattr(report, "_PATIENCE", 0.05)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    run = run_of(Slow())
    for step in range(50):
        run.log({"loss": 0.5}, step)
    run.finish()
    assert "delivering to recording" in terminal.getvalue()
    assert "recording 50 records delivered" in terminal.getvalue()


def test_the_run_directory_is_private_and_hidden_from_git() -> None:
    subprocess.run(["git", "init", "-q", "."], check=True)
    run_of(RecordingTracker()).finish()
    shown = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True)
    assert shown.stdout == ""
    run = only_run()
    assert {path.stat().st_mode & 0o077 for path in [run.path, *run.path.rglob("*")]} == {0}
    assert json.loads((run.path / "run.json").read_text())["project"] == "p"


def test_no_thread_is_left() -> None:
    before = set(threading.enumerate())
    run = run_of(RecordingTracker())
    run.log({"loss": 0.5}, 0)
    run.finish()
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()


def test_a_signal_handler_may_log(program_of: Callable[[str], str]) -> None:
    shown = program_of("""
import signal
from accel_track.delivery.settings import Settings
from accel_track.registry import select
from accel_track.run import Run
from accel_track.testing.doubles import RecordingTracker

tracker, extra = RecordingTracker(), 0
run = Run(select(tracker), project="p", settings=Settings.of())
def handler(*_):
    global extra
    extra += 1
    run.log({"signal": 1.0}, extra)
    if extra % 10 == 0:
        run.flush()
    signal.setitimer(signal.ITIMER_REAL, 0.002)
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.002)
for step in range(3000):
    run.log({"loss": 0.5}, step)
signal.signal(signal.SIGALRM, signal.SIG_IGN)
run.finish()
calls = [call for call in tracker.calls if call[0] == "log"]
assert extra > 0
assert [call[2] for call in calls if "loss" in call[1]] == list(range(3000))
assert [call[2] for call in calls if "signal" in call[1]] == list(range(1, extra + 1))
print("fine")
""")
    assert shown == "fine\n"


@pytest.fixture
def program_of() -> Callable[[str], str]:
    def run(code: str) -> str:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_what_is_appended_while_the_disk_is_read_is_whole_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = JournalWriter(Path("rank-00000"))
    writer.metrics({"a": 0}, 0, {})
    source = LiveSource(writer, Cursor())
    read = source._reader.read
    thing = object()

    def late(limit: int) -> Any:
        monkeypatch.setattr(source._reader, "read", read)
        writer.metrics({"object": thing}, 0, {})
        writer.metrics({"text": "x" * 17 * 2**20}, 1, {})  # too long for the journal
        writer.metrics({"a": 1}, 2, {})
        return read(limit)

    monkeypatch.setattr(source._reader, "read", late)
    found = [entry.record for _ in range(2) for entry in source.read(10)]
    assert [record.seq for record in found] == [0, 1, 2, 3]
    assert found[1].values["object"] is thing
    assert len(found[2].values["text"]) == 17 * 2**20
    writer.close()


def test_a_record_that_a_signal_handlers_record_came_before_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a lower number than the one that was read already."""
    writer = JournalWriter(Path("rank-00000"))
    source, write = LiveSource(writer, Cursor()), os.write
    found = []

    def interrupted(file: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", write)
        writer.metrics({"a": 1}, 1, {})
        found.extend(source.read(10))
        assert source.read(10) == []
        return write(file, data)

    monkeypatch.setattr(os, "write", interrupted)
    writer.metrics({"a": 0}, 0, {})
    found += source.read(10)
    writer.close()
    assert [entry.record.seq for entry in found] == [1, 0]


def test_a_slow_tracker_is_acknowledged_in_the_middle_of_what_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "ACKNOWLEDGE", 0.0)
    seen: list[int] = []

    class Slow(RecordingTracker):
        def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
            seen.append(load(only_run().cursor("recording")).seq)
            time.sleep(0.05)

    run = run_of()
    for step in range(20):
        run.log({"loss": 0.5}, step)
    run.add(select(Slow()))
    run.finish()
    assert seen == sorted(seen)
    assert 0 < seen[-1] < 20


def test_what_a_forked_child_has_keeps_nothing_and_waits_for_nobody() -> None:
    tracker = RecordingTracker()
    run = run_of(tracker)
    journal = run._delivery.journal
    journaled._after_fork()
    with pytest.warns(AccelTrackWarning, match="a forked process logs nothing") as caught:
        run.log({"loss": 0.5}, 0)
        run.store_configuration({"lr": 0.1})
    assert len(caught) == 1
    run.flush()
    run.add(select(Down()))
    run.finish()
    assert tracker.calls == [("start",)]
    run._ending.finished = False
    run._delivery.write_no_more(journal)
    run.finish()


def test_two_trackers_of_one_name_get_everything() -> None:
    one, other = RecordingTracker(), RecordingTracker()
    run = run_of(one, other)
    run.log({"loss": 0.5}, 0)
    run.finish()
    assert logged(one) == logged(other) == [{"loss": 0.5}]
    assert set(only_run().load().trackers) == {"recording", "recording-2"}


def test_a_tracker_that_another_process_delivers_to_is_left_out() -> None:
    first, second = RecordingTracker(), Down(at_start=False)
    run = run_of(first)
    lock = only_run().claim("down")
    with pytest.warns(AccelTrackWarning, match="down: another process delivers this run to it already"):
        run.add(select(second))
    assert lock is not None
    lock.release()
    run.finish()
    assert second.calls == []


def test_a_backend_that_sync_added_stays_in_run_json() -> None:
    run = run_of(RecordingTracker())
    only_run().update(lambda info: info.trackers.update(added=TrackerInfo(identity={"id": 1})))
    run.add(select(Down(at_start=False)))
    run.finish()
    assert set(only_run().load().trackers) == {"recording", "added", "down"}
    assert only_run().load().status == "finished"


def test_where_a_flush_makes_nothing_durable_all_is_pending_until_the_end() -> None:
    class Forgetful(RecordingTracker):
        durable_flush = False

    def stored() -> tuple[int, int]:
        cursor = load(only_run().cursor("recording"))
        return cursor.seq, cursor.taken

    run = run_of(Forgetful())
    run.log({"loss": 0.5}, 0)
    run.flush()
    assert stored() == (0, 1)
    run.finish()
    assert stored() == (1, 1)


@pytest.mark.parametrize("kwargs", [3, {"recording": None}, {"recording": {1: 2}}])
def test_bad_log_kwargs_lose_nothing(kwargs: Any) -> None:
    tracker = RecordingTracker()
    run = run_of(tracker)
    run.log({"loss": 0.5}, 0)
    with pytest.raises(TypeError, match="`log_kwargs` must"):
        run.log({"loss": 0.25}, 1, kwargs)
    with pytest.raises(ValueError, match=r"below 2\*\*63"):
        run.log({"loss": 0.25}, 2**63)
    run.finish()
    assert logged(tracker) == [{"loss": 0.5}]


def test_settling_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journaled, "_SETTLE", 0.2)
    go = threading.Event()

    class Stuck(RecordingTracker):
        def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
            go.wait(30)

    run = run_of(Stuck(), settings=Settings.of(finish_timeout=5))
    run.log({"loss": 0.5}, 0)
    begun = time.monotonic()
    run.flush()
    assert time.monotonic() - begun < 2
    go.set()
    run.finish()
