"""TensorBoard: one event file for the tracker and for SummaryWriter, whole batches, what is delivered again."""

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from torch.utils.tensorboard import SummaryWriter

from accel_track.delivery.settings import Settings
from accel_track.errors import AccelTrackWarning, NotStartedError
from accel_track.journal import cursor
from accel_track.journal.directory import find_runs
from accel_track.journal.entries import ShortEntries, ShortRecords
from accel_track.journal.reader import JournalReader
from accel_track.journal.writer import JournalWriter
from accel_track.records import Metrics
from accel_track.registry import select
from accel_track.run import Run
from accel_track.trackers.tensorboard import events as written
from accel_track.trackers.tensorboard.tracker import TensorBoardTracker
from accel_track.trackers.tensorboard.wire import FOOTER, HEADER
from tests.support.readers.tensorboard import accumulate, fetched, shown, web_page
from tests.support.waiting import until

TIME = 1_700_000_000.25


@pytest.fixture
def tracker(tmp_path: Path) -> TensorBoardTracker:
    """Give a started tracker."""
    one = TensorBoardTracker("run", tmp_path)
    one.start()
    return one


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("events.out.tfevents.*"))


def scalars(folder: Path, name: str = "loss") -> list[tuple[int, float]]:
    place = min((path.parent for path in files(folder)), key=lambda one: len(one.parts))
    return [(event.step, event.value) for event in accumulate(place).Scalars(name)]


def records(*steps: int, name: str = "loss") -> list[Metrics]:
    return [Metrics(step, TIME + step, {name: step / 8}, step) for step in steps]


def whole(path: Path) -> int:
    """Return where the last whole event of a file ends."""
    return max(end for _, end in written.events(path.read_bytes()))


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in files(folder))


# -- SummaryWriter ----------------------------------------------------------------------------------------------------


def test_everything_that_summary_writer_has_is_in_the_trackers_file(
    tracker: TensorBoardTracker, tmp_path: Path
) -> None:
    writer = tracker.tracker
    assert isinstance(writer, SummaryWriter)
    assert tracker.tracker is writer
    tracker.log({"loss": 0.5}, step=1)
    writer.add_scalar("mine", 0.25, 1, walltime=TIME)
    writer.add_histogram("weights", np.arange(10.0), 1)
    writer.add_text("note", "hello", 1)
    writer.add_image("image", np.zeros((3, 4, 5), np.uint8), 1)
    writer.add_graph(torch.nn.Linear(2, 1), torch.zeros(1, 2))
    tracker.log_graph(torch.nn.Linear(2, 1), torch.zeros(1, 2))
    writer.add_pr_curve("curve", np.array([0, 1]), np.array([0.2, 0.7]), 1)
    writer.flush()
    tracker.log({"loss": 0.25}, step=2)
    tracker.finish()
    assert len(files(tmp_path)) == 1
    events = EventAccumulator(str(tmp_path / "run"), size_guidance={"tensors": 0})
    events.Reload()
    tags = events.Tags()
    assert (tags["scalars"], tags["histograms"], tags["images"]) == (["loss", "mine"], ["weights"], ["image"])
    assert set(tags["tensors"]) == {"note/text_summary", "curve"}
    assert tags["graph"] is True
    assert events.Scalars("mine")[0].wall_time == TIME


def test_what_makes_files_of_its_own_does(tracker: TensorBoardTracker, tmp_path: Path) -> None:
    writer = tracker.tracker
    writer.add_hparams({"lr": 0.1}, {"hp/loss": 0.5}, run_name="trial")
    writer.add_scalars("both", {"a": 1.0, "b": 2.0}, 3)
    tracker.flush()
    both = {path.parent.name: accumulate(path.parent) for path in files(tmp_path) if "both" in path.parent.name}
    assert {name: one.Scalars("both")[0].value for name, one in both.items()} == {"both_a": 1.0, "both_b": 2.0}
    assert accumulate(tmp_path / "run" / "trial").Scalars("hp/loss")[0].value == 0.5
    tracker.finish()
    assert len([path for path in files(tmp_path) if path.parent.name == "run"]) == 1


def test_a_writer_that_was_closed_goes_on_in_the_same_file(tracker: TensorBoardTracker, tmp_path: Path) -> None:
    with tracker.tracker as writer:
        writer.add_scalar("loss", 0.0, 0)
    writer.close()
    writer.flush()
    tracker.log({"loss": 1.0}, step=1)
    tracker.tracker.add_scalar("loss", 2.0, 2)
    tracker.finish()
    writer.add_scalar("loss", 3.0, 3)  # after the end of the run
    assert scalars(tmp_path) == [(step, float(step)) for step in range(4)]
    assert len(files(tmp_path)) == 1
    with pytest.raises(NotStartedError):
        _ = tracker.tracker


def test_a_writer_and_the_worker_at_the_same_time(tmp_path: Path) -> None:
    run = Run(select("tensorboard", tmp_path), project="run", directory=tmp_path, settings=Settings.of())
    writer = run.get_tracker("tensorboard", unwrap=True)
    assert isinstance(writer, SummaryWriter)

    def write() -> None:
        for step in range(1000):
            writer.add_scalar("mine", step / 8, step)

    thread = threading.Thread(target=write)
    thread.start()
    for step in range(3000):
        run.log({"loss": step / 8, "text": "x"}, step)
    thread.join()
    run.finish()
    events = accumulate(tmp_path / "run" / run.name)
    for name, count in (("loss", 3000), ("mine", 1000)):
        assert [(one.step, one.value) for one in events.Scalars(name)] == [(step, step / 8) for step in range(count)]
    assert len(files(tmp_path)) == 1


def test_torch_is_not_imported_before_somebody_asks_for_the_writer(tmp_path: Path) -> None:
    code = """if True:
        import sys
        import numpy
        from accel_track.records import Metrics
        from accel_track.trackers.tensorboard.tracker import TensorBoardTracker
        for resume in (False, True):
            tracker = TensorBoardTracker("run", sys.argv[1], resume=resume, purge_step=3)
            tracker.start()
            tracker.store_init_configuration({"lr": 0.5})
            tracker.log_batch([Metrics(0, 1.0, {"loss": 0.5, "note": "x"}, 0, {"tensorboard": {"walltime": 2.0}})])
            tracker.log_images({"image": numpy.zeros((4, 4))}, step=0)
            tracker.rewind(1)
            tracker.flush()
            tracker.finish()
        assert "torch" not in sys.modules
        assert "tensorflow" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)
    assert accumulate(tmp_path / "run").Scalars("loss")[0].wall_time == 2.0


# -- arguments --------------------------------------------------------------------------------------------------------


def test_an_argument_that_summary_writer_has_not_raises_at_the_start(tmp_path: Path) -> None:
    tracker = TensorBoardTracker("run", tmp_path, max_quee=3)
    with pytest.raises(TypeError, match="unknown argument 'max_quee'; SummaryWriter takes comment, purge_step"):
        tracker.start()
    assert not tracker.started
    assert not files(tmp_path)


def test_summary_writers_arguments(tmp_path: Path) -> None:
    first = TensorBoardTracker("run", tmp_path)
    first.start()
    first.log_batch(records(*range(6)))
    first.finish()
    again = TensorBoardTracker(
        "run", tmp_path, True, purge_step=3, comment="none", max_queue=1, flush_secs=1, filename_suffix=".mine"
    )
    again.start()
    again.log({"loss": 13.0}, step=3)
    writer = again.tracker
    writer.add_scalars("both", {"a": 1.0}, 3)
    again.finish()
    assert scalars(tmp_path) == [(0, 0.0), (1, 0.125), (2, 0.25), (3, 13.0)]
    assert sum(path.name.endswith(".mine") for path in files(tmp_path)) == 2
    assert (writer.max_queue, writer.flush_secs, writer.purge_step) == (1, 1, None)


def test_arguments_of_a_call(tracker: TensorBoardTracker, tmp_path: Path) -> None:
    tracker.log({"loss": 0.5, "note": "text"}, step=1, walltime=TIME)
    tracker.log({"precise": 0.1, "note": "text"}, step=1, new_style=True, double_precision=True, walltime=TIME + 1)
    tracker.log({"later": 0.5, 1: 0.25}, step=np.int64(2), walltime=None)  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="no_such"):
        tracker.log({"loss": 0.75}, step=2, no_such=1)
    tracker.finish()
    events = accumulate(tmp_path / "run")
    assert [(one.wall_time, one.value) for one in events.Scalars("loss")] == [(TIME, 0.5)]
    assert [one.wall_time for one in events.Tensors("note/text_summary")] == [TIME, TIME + 1]
    (precise,) = events.Tensors("precise")
    assert list(precise.tensor_proto.double_val) == [0.1]
    assert [one.step for one in events.Scalars("1")] == [2]
    assert time.time() - 60 < events.Scalars("later")[0].wall_time <= time.time()


def test_images(tracker: TensorBoardTracker, tmp_path: Path) -> None:
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    values = {"colour": pixels, "grey": pixels[:, :, 0], "alpha": np.zeros((4, 5, 4), np.uint8)}
    tracker.log_images(values, step=2, walltime=TIME, dataformats="NHWC")
    with pytest.raises(TypeError, match="no_such"):
        tracker.log_images(values, step=2, no_such=1)  # type: ignore[call-arg]
    tracker.finish()
    import io

    from PIL import Image

    stored = {name: accumulate(tmp_path / "run").Images(name)[0] for name in values}
    for name, image in stored.items():
        assert (image.step, image.wall_time, image.width, image.height) == (2, TIME, 5, 4)
        read = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)))
        assert np.array_equal(read, values[name])


def test_numbers_that_32_bits_do_not_hold(tracker: TensorBoardTracker, tmp_path: Path) -> None:
    values = {"large": 1e300, "small": -1e300, "integer": 10**40, "nan": math.nan, "inf": math.inf, "true": True}
    with pytest.warns(AccelTrackWarning, match="'huge': the backend takes no integer of 1329 bits"):
        tracker.log({**values, "huge": 10**400}, step=0)
    tracker.finish()
    inf = math.inf
    expected = {"large": inf, "small": -inf, "integer": inf, "nan": math.nan, "inf": inf, "true": 1.0}
    stored = accumulate(tmp_path / "run")
    assert {name: stored.Scalars(name)[0].value for name in expected} == pytest.approx(expected, nan_ok=True)
    assert tracker.dropped == {"huge": 1}


# -- batches ----------------------------------------------------------------------------------------------------------


def test_one_refused_call_of_a_thousand_is_set_aside(tmp_path: Path) -> None:
    run = Run(select("tensorboard", tmp_path), project="run", directory=tmp_path, settings=Settings.of())
    run.get_tracker("tensorboard")
    with pytest.warns(AccelTrackWarning, match=r"refused a record \(TypeError: .*no_such"):
        for step in range(1000):
            kwargs: dict[str, Any] = {"tensorboard": {"no_such": 1}} if step == 617 else {}
            if step % 100 == 1:
                kwargs = {"tensorboard": {"walltime": TIME + step}}
            run.log({"loss": step / 8, "note": "x" * (step % 3), "nested": {"a": 1.0}}, step, kwargs)
        run.finish()
    expected = [(step, step / 8) for step in range(1000) if step != 617]
    events = accumulate(tmp_path / "run" / run.name)
    assert [(one.step, one.value) for one in events.Scalars("loss")] == expected
    assert [one.step for one in events.Scalars("nested/a")] == [step for step, _ in expected]
    assert [one.step for one in events.Tensors("note/text_summary")] == [step for step, _ in expected]
    assert events.Scalars("loss")[101].wall_time == TIME + 101


def test_a_batch_that_the_disk_refuses_can_be_repeated(
    tracker: TensorBoardTracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker.store_init_configuration({"lr": 0.5})
    write, left = os.write, [100]

    def full(file: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(28, "No space left on device")
        done = write(file, bytes(data)[: left[0]])
        left[0] -= done
        return done

    batch = [Metrics(step, TIME + step, {"loss": step / 8, "thing": object()}, step) for step in range(50)]
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left on device") as caught:
            tracker.log_batch(batch)
    assert tracker.is_transient(caught.value)
    assert not tracker.is_transient(PermissionError(13, "Permission denied"))
    assert not tracker.dropped
    with pytest.warns(AccelTrackWarning, match="'thing'"):
        tracker.log_batch(batch)
    tracker.finish()
    assert tracker.dropped == {"thing": 50}
    assert scalars(tmp_path) == [(step, step / 8) for step in range(50)]
    assert shown(tmp_path)[1] == {"lr": 0.5}


def in_short(folder: Path, steps: Iterable[int]) -> ShortRecords:
    """Return records of two key sets in turns as a worker reads them."""
    journal = JournalWriter(folder / "journal")
    for step in steps:
        journal.metrics({"loss": step / 8} if step % 3 else {"loss": step / 8, "more": {"n": step}}, step, {})
    journal.close()
    entries = JournalReader(folder / "journal").read(1000)
    assert isinstance(entries, ShortEntries)
    return entries.records


def test_records_in_short_are_written_once(tmp_path: Path) -> None:
    calls = in_short(tmp_path, range(60))
    for part in (calls[:20], calls, calls):  # a killed process has written some, and then all of them
        tracker = TensorBoardTracker("run", tmp_path, resume=True)
        tracker.start()
        tracker.log_batch(part)
        tracker.finish()
    assert scalars(tmp_path) == [(step, step / 8) for step in range(60)]
    assert len(scalars(tmp_path, "more/n")) == 20


def test_records_in_short_need_no_numpy(
    tracker: TensorBoardTracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = in_short(tmp_path, range(60))
    with monkeypatch.context() as patched:
        patched.delitem(sys.modules, "numpy")
        tracker.log_batch(calls)
    assert scalars(tmp_path) == [(step, step / 8) for step in range(60)]


def test_a_full_disk_is_waited_for(tmp_path: Path) -> None:
    code = """if True:
        import resource, sys, warnings
        from accel_track.delivery.settings import Settings
        from accel_track.registry import select
        from accel_track.run import Run

        warnings.simplefilter("ignore")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        run = Run(select("tensorboard", sys.argv[1]), project="run", directory=sys.argv[1], settings=Settings.of())
        run.get_tracker("tensorboard")
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
        for step in range(3000):
            run.log({"loss": step / 8}, step)
        (worker,) = run._delivery._workers
        while worker.stalled is None:
            assert not worker.over.wait(0.01), worker.failure
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        run.finish()
        assert worker.failure is None and worker.cursor.quarantined == 0, worker.failure
    """
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=90)
    assert scalars(tmp_path) == [(step, step / 8) for step in range(3000)]
    assert len(files(tmp_path)) == 1


def test_a_call_without_values_and_one_before_the_start(tracker: TensorBoardTracker, tmp_path: Path) -> None:
    tracker.log({}, step=1)
    tracker.log_batch([])
    tracker.finish()
    assert not accumulate(tmp_path / "run").Tags()["scalars"]
    with pytest.raises(NotStartedError, match="not started, or finished already"):
        tracker.log({"loss": 0.5}, step=1)


def test_kill_9_after_log_batch_loses_nothing(tmp_path: Path) -> None:
    code = """if True:
        import os, signal, sys
        from accel_track.records import Metrics
        from accel_track.trackers.tensorboard.tracker import TensorBoardTracker
        tracker = TensorBoardTracker("run", sys.argv[1])
        tracker.start()
        tracker.log_batch([Metrics(step, 1.0 + step, {"loss": step / 8}, step) for step in range(1000)])
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert scalars(tmp_path) == [(step, step / 8) for step in range(1000)]


@pytest.mark.first(1)
@pytest.mark.parametrize("acknowledged", [False, True])
def test_kill_9_in_the_middle_of_fast_delivery_and_of_a_sync_doubles_nothing(
    tmp_path: Path, acknowledged: bool
) -> None:
    program = """if True:
        import sys
        from accel_track.delivery.settings import Settings
        from accel_track.registry import select
        from accel_track.run import Run

        run = Run(select("tensorboard", sys.argv[1]), project="run", directory=sys.argv[1], settings=Settings.of())
        run.get_tracker("tensorboard")
        run.store_configuration({"lr": 0.5})
        print("begun", flush=True)
        for step in range(10**7):
            run.log({"loss": step / 8}, step)
    """
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (run,) = find_runs(tmp_path)
        until(lambda: size(tmp_path) > 10_000)
        if acknowledged:
            until(lambda: cursor.load(run.cursor("tensorboard")).delivered > 0)
        process.kill()
    sync = [sys.executable, "-m", "accel_track", "sync", str(run.path)]
    before = size(tmp_path)
    with subprocess.Popen(sync, stdout=subprocess.DEVNULL) as process:
        until(lambda: size(tmp_path) > before + 10_000 or process.poll() is not None, every=0.001)
        process.kill()
    subprocess.run(sync, check=True, timeout=120, stdout=subprocess.DEVNULL)
    steps = [record.step for record in JournalReader(run.rank()) if isinstance(record, Metrics)]
    assert len(steps) > 1000
    content = b"".join(path.read_bytes()[: whole(path)] for path in files(tmp_path))
    stored = [Event.FromString(content[begin + HEADER : end - FOOTER]) for begin, end in written.events(content)]
    # TensorBoard's own reader, which the other tests have, takes a minute for as many events.
    assert [(one.step, one.summary.value[0].tag) for one in stored if one.step] == [
        (step, "loss") for step in steps[1:]
    ]
    assert content.count(b"_hparams_/session_start_info") == 1


# -- what is delivered again ------------------------------------------------------------------------------------------


def again(folder: Path) -> TensorBoardTracker:
    """Return a tracker that goes on where one was killed, so to say."""
    tracker = TensorBoardTracker("run", folder, resume=True)
    tracker.start()
    return tracker


def test_what_is_delivered_again_is_left_out_also_after_two_kills(tracker: TensorBoardTracker, tmp_path: Path) -> None:
    kwargs = {"tensorboard": {"new_style": True}}
    calls = [
        Metrics(0, TIME, {"loss": 0.5, "nested": {"a": 1.0}}, 0),
        Metrics(1, TIME + 1, {"note": "text", "nan": math.nan}, None),
        Metrics(2, TIME + 2, {"new": 0.5}, 2, kwargs),
        Metrics(3, TIME + 3, {"loss": 1e300}, 3),
    ]
    tracker.log_batch(calls)
    second = again(tmp_path)
    second.log_batch(calls + records(4))
    third = again(tmp_path)
    third.log_batch(calls + records(4, 5))
    third.log({"loss": 6 / 8}, step=6)
    for one in (third, second, tracker):
        one.finish()
    assert scalars(tmp_path) == [(0, 0.5), (3, math.inf), (4, 0.5), (5, 0.625), (6, 0.75)]
    events = accumulate(tmp_path / "run")
    assert [len(events.Scalars(name)) for name in ("nested/a", "nan")] == [1, 1]
    assert [len(events.Tensors(name)) for name in ("note/text_summary", "new")] == [1, 1]


def test_a_rewind_that_is_delivered_again_hides_nothing_that_came_after_it(
    tracker: TensorBoardTracker, tmp_path: Path
) -> None:
    tracker.log_batch(records(*range(6)))
    new = [Metrics(step, TIME + 60 + step, {"loss": 10.0 + step}, step) for step in (3, 4)]
    tracker.rewind(3)
    tracker.log_batch(new)
    second = again(tmp_path)
    second.log_batch(records(4, 5))
    second.rewind(3)
    second.log_batch(new)
    second.finish()
    tracker.finish()
    assert shown(tmp_path)[0] == {"loss": [(0, 0.0), (1, 0.125), (2, 0.25), (3, 13.0), (4, 14.0)]}


def test_other_peoples_event_files_are_in_no_way(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path / "run")) as writer:
        writer.add_scalar("theirs", 0.5, 1)
        tracker = again(tmp_path)
        writer.add_scalar("theirs", 0.75, 2)
    tracker.log_batch(records(1))
    tracker.finish()
    assert scalars(tmp_path, "theirs") == [(1, 0.5), (2, 0.75)]
    assert scalars(tmp_path) == [(1, 0.125)]


# -- the web page -----------------------------------------------------------------------------------------------------


@pytest.mark.first(1)
@pytest.mark.parametrize("load_fast", ["false", "auto"])
def test_the_web_page_follows_the_file_while_it_is_written(
    tracker: TensorBoardTracker, tmp_path: Path, load_fast: str
) -> None:
    tracker.log_batch(records(0))
    with web_page(tmp_path, load_fast, "--reload_interval", "1") as address:
        for last in (0, 1, 2):
            if last:
                tracker.log_batch(records(last))
                tracker.tracker.add_scalar("mine", 0.5, last)
            expected = [[TIME + step, step, step / 8] for step in range(last + 1)]
            until(lambda: fetched(f"{address}?run=run&tag=loss") == expected)  # noqa: B023 - called at once
    tracker.finish()
