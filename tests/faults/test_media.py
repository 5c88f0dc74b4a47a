"""Media of programs that die, fork, or meet a full disk: what `log` had taken is read back with the backend's reader."""

import gc
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel_track import Accelerator, media
from accel_track.delivery.settings import Settings
from accel_track.delivery.sync import Sync
from accel_track.endings import wait_for_collected
from accel_track.errors import AccelTrackWarning
from accel_track.media.folder import RAW
from accel_track.media.sums import SUMS
from accel_track.registry import select
from accel_track.run import Run
from accel_track.testing import RecordingTracker
from tests.support.pictures import pixels
from tests.support.processes import PYTHON, accel_track, own_environment
from tests.support.ranks import ranks
from tests.support.readers.tensorboard import TensorBoardContract
from tests.support.runs import only_run
from tests.support.waiting import until

LOGS = Path("logs")
Program = Callable[..., "subprocess.Popen[str]"]

KILLED = """
import os
from pathlib import Path
import numpy as np
from accel_track import Accelerator, media

if __name__ == "__main__":
    accelerator = Accelerator(log_with="tensorboard", project_dir="logs", cpu=True, delivery={delivery!r})
    accelerator.init_trackers("p", config={{"lr": 0.1}})
    Path("data.bin").write_bytes(b"data")
    for step in range({steps}):
        noise = np.random.default_rng(step).integers(0, 256, (600, 500, 3), np.uint8)
        accelerator.log({{"noise": media.Image(noise), "text": media.Text(str(step)), "loss": step / 8}}, step=step)
    accelerator.log_artifact("data.bin")
    {end}
"""


def noise(step: int) -> Any:
    return np.random.default_rng(step).integers(0, 256, (600, 500, 3), np.uint8)


def read() -> Any:
    return TensorBoardContract().read(LOGS)


@pytest.mark.first(1)
@pytest.mark.timeout(200)
@pytest.mark.parametrize("delivery", ["thread", "process", "none"])
def test_kill_9_right_after_the_call_loses_no_medium(delivery: str, program: Program) -> None:
    process = program(KILLED.format(delivery=delivery, steps=6, end="os.kill(os.getpid(), 9)"))
    _, errors = process.communicate(timeout=100)
    assert process.returncode == -signal.SIGKILL, errors
    run = only_run(LOGS)
    if delivery == "none":
        assert list(run.path.rglob(f"media/*{RAW}"))
        shown = json.loads(accel_track("verify", run.path, "--json").stdout)
        assert shown["ranks"][0]["media_files"] == 6
    until(lambda: "by another process" not in accel_track("sync", run.path, check=None).stdout, every=0.5)
    found = read()
    assert found.metrics["loss"] == [(step, step / 8) for step in range(6)]
    assert {one.step for one in found.media["noise"]} == set(range(6))
    for one in found.media["noise"]:
        assert np.array_equal(one.what, noise(one.step))
    assert sorted(set(found.texts["text"])) == [str(step) for step in range(6)]
    assert not list(run.path.rglob(f"media/*{RAW}"))
    assert "undamaged" in accel_track("verify", run.path).stdout
    before = len(found.media["noise"])
    accel_track("sync", run.path)
    assert len(read().media["noise"]) == before  # not once more


@pytest.mark.long
@pytest.mark.timeout(200)
def test_kill_9_while_pixels_are_encoded(program: Program) -> None:
    for number in range(3):
        process = program(KILLED.format(delivery="none", steps=10, end="import time; time.sleep(100)"))
        until(lambda: list(LOGS.rglob(f"media/{SUMS}")))
        time.sleep(number * 0.02)  # somewhere in the middle
        process.kill()
        process.communicate()
        run = only_run(LOGS)
        assert "undamaged" in accel_track("verify", run.path).stdout
        accel_track("sync", run.path)
        assert "undamaged" in accel_track("verify", run.path).stdout
        found = read().media["noise"]
        assert [one.step for one in found] == list(range(len(found)))
        assert all(np.array_equal(one.what, noise(one.step)) for one in found)
        subprocess.run(["rm", "-r", "logs"], check=True)


def test_what_was_logged_behind_the_step_that_a_run_goes_on_from_is_not_delivered() -> None:
    run = Run(select("tensorboard", LOGS), project="p", directory=LOGS, settings=Settings.of(delivery="none"))
    for step in (1, 2, 5):
        run.log({"image": media.Image(np.full((4, 4, 3), step, np.uint8))}, step)
        run.log_text({"text": f"before {step}"}, step)
    run.rewind(2)
    run.log({"image": media.Image(np.full((4, 4, 3), 9, np.uint8))}, 2)
    run.finish()
    accel_track("sync", only_run(LOGS).path)
    found = read()
    assert [(one.step, int(one.what[0, 0, 0])) for one in found.media["image"]] == [(1, 1), (2, 9)]
    assert found.texts["text"] == ["before 1"]


FULL = """
import json, os
import numpy as np
from accel_track.delivery.settings import Settings
from accel_track.media import Image
from accel_track.registry import select
from accel_track.run import Run
from accel_track.testing import RecordingTracker

tracker = RecordingTracker()
run = Run(select(tracker), project="p", directory=os.environ["DISK"], settings=Settings.of())
for step in range(4):
    noise = np.random.default_rng(step).integers(0, 256, (400, 400, 3), np.uint8)
    run.log({"noise": Image(noise), "loss": step / 8}, step)
run.finish()
logged = [[call[2], sorted(call[1])] for call in tracker.calls if call[0] == "log"]
print(json.dumps([logged, tracker.dropped]))
"""


def test_a_full_disk_costs_media_and_no_numbers(tmp_path: Path, program: Program) -> None:
    """A file system of 1 MiB; needs the right to mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a file system")
    try:
        process = program(FULL, DISK=disk)
        output, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
    logged, dropped = json.loads(output.strip().splitlines()[-1])
    assert [step for step, _ in logged] == list(range(4))
    assert all("loss" in names for _, names in logged)
    assert sum("noise" in names for _, names in logged) + dropped.get("noise", 0) == 4
    assert dropped["noise"] >= 1


class Opening(RecordingTracker):
    """Reads images when it is given them; fails for the first tries of each, and repeats."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int | None, int]] = []
        self.tries = 0

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        self.tries += 1
        if self.tries % 2:
            raise ConnectionError("flapping")
        self.seen.append((step, int(values["image"].array()[0, 0, 0])))

    def is_transient(self, error: BaseException) -> bool:
        return isinstance(error, ConnectionError)


@pytest.mark.filterwarnings("ignore:recording")
def test_a_server_that_flaps_gets_each_medium_once() -> None:
    tracker = Opening()
    run = Run(select(tracker), project="p", directory=LOGS, settings=Settings.of())
    for step in range(3):
        run.log({"image": media.Image(np.full((4, 4, 3), step, np.uint8))}, step)
    run.finish()
    assert tracker.seen == [(step, step) for step in range(3)]


class Refusing(RecordingTracker):
    """Refuses what has an image, while it is told to."""

    refuses = True

    def __init__(self, run_name: str = "refusing", **kwargs: Any) -> None:
        super().__init__(run_name, **kwargs)

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        if "image" in values and Refusing.refuses:
            raise ValueError("no images here")
        kept.append((step, {name: one.array() if name == "image" else one for name, one in values.items()}))


kept: list[Any] = []


def test_a_refused_record_is_delivered_again_with_its_media(monkeypatch: pytest.MonkeyPatch) -> None:
    from accel_track.registry import LOGGER_TYPE_TO_CLASS

    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "refusing", Refusing)
    monkeypatch.setattr(Refusing, "name", "refusing")
    seven = np.full((4, 4, 3), 7, np.uint8)
    run = Run(select("refusing", LOGS), project="p", directory=LOGS, settings=Settings.of())
    with pytest.warns(AccelTrackWarning, match="refused a record"):
        run.log({"image": media.Image(seven), "loss": 1.0}, 1)
        run.log({"loss": 0.5}, 2)
        run.finish()
    monkeypatch.setattr(Refusing, "refuses", False)
    (status,) = Sync(only_run(LOGS), again=True).deliver(follow=False, timeout=30)
    assert (status.delivered, status.quarantined, status.error) == (2, 0, None)
    assert [step for step, _ in kept] == [2, 1]
    assert np.array_equal(kept[1][1]["image"], seven)
    (status,) = Sync(only_run(LOGS), again=True).deliver(follow=False, timeout=30)
    assert len(kept) == 2


FORKS = """
import os
import numpy as np
from accel_track.delivery.settings import Settings
from accel_track.media import Image
from accel_track.registry import select
from accel_track.run import Run

run = Run(select("tensorboard", "logs"), project="p", directory="logs", settings=Settings.of(delivery={delivery!r}))
for step in range(3):
    run.log({{"image": Image(np.full((300, 300, 3), step, np.uint8)), "n": step}}, step)
    child = os.fork()
    if child == 0:
        run.log({{"image": Image(np.full((300, 300, 3), 99, np.uint8))}}, 99)
        run.log_artifact(__file__, "child")
        run.finish()
        raise SystemExit(0)  # with everything that Python does at an end
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
run.log({{"image": Image(np.full((300, 300, 3), 3, np.uint8))}}, 3)
run.finish()
"""


@pytest.mark.first(1)
@pytest.mark.parametrize("delivery", ["thread", "none"])
def test_a_forked_child_changes_nothing(delivery: str, program: Program) -> None:
    process = program(FORKS.format(delivery=delivery), forks=True)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    run = only_run(LOGS)
    accel_track("sync", run.path)
    assert [(one.step, int(one.what[0, 0, 0])) for one in read().media["image"]] == [(step, step) for step in range(4)]
    assert "undamaged" in accel_track("verify", run.path).stdout


PASSING = """
import os, sys
import numpy as np
from accel_track.media import Image
from accel_track.trackers.tensorboard.tracker import TensorBoardTracker

tracker = TensorBoardTracker("p", "logs")
tracker.start()
tracker.log_images({"image": np.zeros((4, 4, 3), np.uint8)}, 0)
folder = tracker.passing.folder
if os.fork() == 0:
    sys.exit(0)
os.wait()
print(folder.exists(), flush=True)
tracker.finish()
"""


def test_a_forked_childs_end_takes_no_files_from_its_parent(program: Program) -> None:
    process = program(PASSING, forks=True)
    output, errors = process.communicate(timeout=100)
    assert output.strip().splitlines()[-1] == "True", errors


def test_an_idle_run_holds_no_thread_and_the_end_waits_for_what_waits() -> None:
    import threading

    before = set(threading.enumerate())
    run = Run(select("tensorboard", LOGS), project="p", directory=LOGS, settings=Settings.of(delivery="none"))
    for step in range(5):
        run.log({"noise": media.Image(noise(step))}, step)
    run.rest()
    until(lambda: not [one for one in set(threading.enumerate()) - before if "media" in one.name])
    for step in range(5, 10):
        run.log({"noise": media.Image(noise(step))}, step)
    run.finish()
    assert not [one for one in set(threading.enumerate()) - before if "media" in one.name]
    assert not list(LOGS.rglob(f"media/*{RAW}"))
    assert len(list(LOGS.rglob("media/*.png"))) == 10


def test_a_run_that_nobody_holds_any_more_ends_with_its_media() -> None:
    run = Run(select("tensorboard", LOGS), project="p", directory=LOGS, settings=Settings.of(delivery="none"))
    for step in range(8):
        run.log({"noise": media.Image(noise(step))}, step)
    del run
    gc.collect()
    wait_for_collected(60)
    assert not list(LOGS.rglob(f"media/*{RAW}"))
    assert len(list(LOGS.rglob("media/*.png"))) == 8
    assert only_run(LOGS).load().status == "finished"


def test_the_report_says_how_many_were_encoded_in_their_calls(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from accel_track.media import folder

    monkeypatch.setattr(folder, "MOST_WAITING", 0)
    monkeypatch.setattr("accel_track.delivery.media.Encoding.begin", lambda *_: None)
    run = Run(select("tensorboard", LOGS), project="p", directory=LOGS, settings=Settings.of(delivery="none"))
    run.log({"noise": media.Image(noise(0))}, 0)
    with pytest.warns(AccelTrackWarning, match="calls encode their own"):
        run.log({"noise": media.Image(noise(1))}, 1)
    run.finish()
    assert "1 media were encoded in the calls that logged them" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:tensorboard")
def test_a_file_that_is_damaged_costs_nothing_else_of_its_call() -> None:
    run = Run(select("tensorboard", LOGS), project="p", directory=LOGS, settings=Settings.of(delivery="none"))
    run.log({"points": media.Points3D(np.zeros((5, 3))), "loss": 0.5, "image": media.Image(noise(0))}, 1)
    run.log({"table": media.Table([[1]]), "loss": 1.0}, 2)
    run.finish()
    found = only_run(LOGS)
    for suffix in (".npy", ".json"):
        (file,) = found.path.rglob(f"media/*{suffix}")
        file.write_bytes(file.read_bytes()[:-1])
    with pytest.warns(AccelTrackWarning, match="dropped 'points': points whose file is damaged"):
        (status,) = Sync(found).deliver(follow=False, timeout=30)
    assert (status.delivered, status.quarantined) == (2, 0)
    assert status.dropped == {"points": 1, "table": 1}
    assert read().metrics["loss"] == [(1, 0.5), (2, 1.0)]
    assert np.array_equal(read().media["image"][0].what, noise(0))


@pytest.mark.filterwarnings("ignore:tensorboard")
def test_bytes_that_are_not_what_was_logged_are_not_delivered() -> None:
    """A bit that has changed on the disk leaves a text and pixels that can be read, and are not those of the call."""
    run = Run(select("tensorboard", LOGS), project="p", directory=LOGS, settings=Settings.of(delivery="none"))
    long = "long " * 20_000
    run.log({"text": media.Text(long), "loss": 0.5, "image": media.Image(noise(0)), "other": media.Image(noise(1))}, 1)
    run.finish()
    found = only_run(LOGS)
    (text,) = found.path.rglob("media/*.md")
    text.write_bytes(b"wrong" + text.read_bytes()[5:])
    first, second = found.path.rglob("media/*.png")
    os.replace(first, second)  # pixels, whole and undamaged, under the name of others
    (status,) = Sync(found).deliver(follow=False, timeout=30)
    assert status.delivered == 1
    assert sum(status.dropped.values()) == 3
    assert status.dropped["text"] == 1
    assert read().metrics["loss"] == [(1, 0.5)]
    assert not read().media
    assert "text" not in read().texts


def test_what_was_not_encoded_in_time_is_by_whoever_delivers_it(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.of(delivery="none", finish_timeout=0.0)
    monkeypatch.setattr("accel_track.media.folder.MediaFolder.encode_next", lambda _: time.sleep(0.01) or True)
    run = Run(select("tensorboard", LOGS), project="p", directory=LOGS, settings=settings)
    run.log({"image": media.Image(noise(0))}, 1)
    run.finish()
    found = only_run(LOGS)
    assert list(found.path.rglob(f"media/*{RAW}"))
    Sync(found).deliver(follow=False, timeout=30)
    assert np.array_equal(read().media["image"][0].what, noise(0))


def test_a_run_that_goes_on_encodes_what_the_killed_process_left(program: Program) -> None:
    more = 'for i in range(6, 12): accelerator.log({"noise": media.Image(noise)}, step=i)'
    end = f'accelerator.save_state("state")\n    {more}\n    os.kill(os.getpid(), 9)'
    process = program(KILLED.format(delivery="none", steps=6, end=end))
    _, errors = process.communicate(timeout=100)
    assert process.returncode == -signal.SIGKILL, errors
    assert list(LOGS.rglob(f"media/*{RAW}"))
    second = Accelerator(log_with="tensorboard", project_dir="logs", cpu=True, delivery="none")
    second.load_state("state")
    second.init_trackers("p", config={"lr": 0.1})
    second.log_images({"noise": noise(9)}, 2)
    second.end_training()
    assert not list(LOGS.rglob(f"media/*{RAW}"))
    run = only_run(LOGS)
    Sync(run).deliver(follow=False, timeout=60)
    found = {one.step: one.what for one in read().media["noise"]}
    assert list(found) == [0, 1, 2]  # the run went back: what had been logged from step 2 on does not count
    assert np.array_equal(found[1], noise(1))
    assert np.array_equal(found[2], noise(9))
    assert "undamaged" in accel_track("verify", run.path).stdout


RANKS = """
import os
import numpy as np
from accel_track import Accelerator

accelerator = Accelerator("tensorboard", project_dir="logs", cpu=True, delivery="none", all_ranks=True)
accelerator.init_trackers("p")
rank = int(os.environ["RANK"])
accelerator.log_images({"image": np.full((4, 4, 3), rank, np.uint8)}, rank)
with open(f"{rank}.txt", "w") as file:
    file.write(str(rank))
accelerator.log_artifact(f"{rank}.txt")
accelerator.end_training()
"""


@pytest.mark.long
def test_each_rank_keeps_its_own() -> None:
    Path("ranks.py").write_text(RANKS)
    for done in ranks([PYTHON, "ranks.py"], timeout=100, env=own_environment(OMP_NUM_THREADS=1)):
        assert done.returncode == 0, done.stderr
    run = only_run(LOGS)
    for rank in (0, 1):
        (image,) = run.rank(rank).glob("media/*.png")
        assert int(pixels(image)[0, 0, 0]) == rank
        (kept,) = run.rank(rank).glob("media/*/*.txt")
        assert kept.read_text() == str(rank)
    told = json.loads(accel_track("verify", run.path, "--json").stdout)
    assert [(one["media_files"], one["artifacts"], one["notes"]) for one in told["ranks"]] == [(1, 1, [])] * 2
