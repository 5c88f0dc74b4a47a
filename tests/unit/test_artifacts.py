"""Artifacts: what is copied, linked or left where it is, what keeps one from being delivered, and checksums."""

import os
import shutil
import socket
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from accel_track import init
from accel_track.delivery import artifacts
from accel_track.delivery.artifacts import deliverable, problem
from accel_track.delivery.settings import Settings
from accel_track.delivery.sync import Sync
from accel_track.errors import AccelTrackWarning
from accel_track.journal.directory import RunDirectory, find_runs
from accel_track.journal.reader import JournalReader
from accel_track.media import sums
from accel_track.records import Artifact
from accel_track.registry import LOGGER_TYPE_TO_CLASS, register_tracker_class, select
from accel_track.run import Run
from accel_track.testing import RecordingTracker

MODES = ["thread", "inline", "none"]


class Taking(RecordingTracker):
    """Reads each artifact when it is given it; refuses those of the type `refused`."""

    name = "taking"
    made: ClassVar[list["Taking"]] = []
    refused = ""

    def __init__(self, run_name: str = "taking", **kwargs: Any) -> None:
        super().__init__(run_name, **kwargs)
        self.got: dict[str, Any] = {}
        Taking.made.append(self)

    def log_artifact(self, path: Any, name: str | None = None, **about: Any) -> None:
        if about["type"] == self.refused:
            raise ValueError("not of that type")
        files = {file.name: file.read_bytes() for file in Path(path).rglob("*") if file.is_file()}
        about.pop("copy", None)
        self.got[name or Path(path).name] = (files or Path(path).read_bytes(), about)


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(artifacts, "SMALL", 1000)
    before = dict(LOGGER_TYPE_TO_CLASS)
    register_tracker_class(Taking)
    yield
    LOGGER_TYPE_TO_CLASS.clear()
    LOGGER_TYPE_TO_CLASS.update(before)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the folder of the test not count as temporary."""
    monkeypatch.setattr(artifacts, "_is_temporary", lambda _: False)


def start(delivery: str = "thread") -> Run:
    return Run(select("taking", "runs"), project="p", directory="runs", settings=Settings.of(delivery=delivery))


def only_run() -> RunDirectory:
    (found,) = find_runs("runs")
    return found


def logged(delivery: str, call: Callable[[Run], Any]) -> Taking:
    run = start(delivery)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AccelTrackWarning)
        call(run)
        run.finish()
        if delivery == "none":
            (status,) = Sync(only_run()).deliver(follow=False, timeout=30)
            assert (status.pending, status.error) == (0, None)
    return Taking.made[-1]


def records() -> list[Artifact]:
    return [one for one in JournalReader(only_run().rank()) if isinstance(one, Artifact)]


def write(name: str, data: bytes = b"data") -> Path:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(data)
    return Path(name)


@pytest.mark.parametrize("delivery", MODES)
def test_a_file_and_a_folder(delivery: str) -> None:
    write("folder/a", b"a")
    write("folder/deep/b", b"b")

    def call(run: Run) -> None:
        run.log_artifact(write("one.bin"), step=3, metadata={"rows": 2})
        run.log_artifacts("folder", "named", type="dataset")
        run.log_model("one.bin")
        shutil.rmtree("folder")
        os.unlink("one.bin")

    taken = logged(delivery, call).got
    assert taken == {
        "one.bin": (b"data", {"type": "artifact", "metadata": {"rows": 2}, "step": 3}),
        "named": ({"a": b"a", "b": b"b"}, {"type": "dataset", "metadata": {}, "step": None}),
        "model": (b"data", {"type": "model", "metadata": {}, "step": None}),
    }


def test_an_error_says_what_is_no_path() -> None:
    run = init("proj", log_with="jsonl", project_dir="runs")
    for value, kind in ((None, "NoneType"), (5, "int"), (b"a", "bytes")):
        with pytest.raises(TypeError, match=f"`log_artifact` takes the path of a file or folder; got {kind}."):
            run.log_artifact(value)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=f"`log_artifacts` takes the path of a folder; got {kind}."):
            run.log_artifacts(value)  # type: ignore[arg-type]
    run.finish()


@pytest.mark.parametrize("delivery", MODES)
def test_what_is_none_is_counted_and_warned_about(delivery: str) -> None:
    os.mkfifo("pipe")
    os.mkdir("empty")
    os.symlink("nowhere", "broken")
    write("folder/a")
    open(b"odd\xff", "wb").close()
    os.mkdir("names")
    open(b"names/odd\xff", "wb").close()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
    bad = ("pipe", "empty", "broken", "socket", "/dev/zero", "no/such", "", "nul\0", "half\ud800", "odd\udcff", "names")

    def call(run: Run) -> None:
        for number, path in enumerate(bad):
            run.log_artifact(path, f"bad {number}")
        run.log_artifact("$NO_SUCH_VARIABLE/x", "variable")
        run.log({"loss": 0.5}, 1)

    tracker = logged(delivery, call)
    assert tracker.got == {}
    assert [one[1] for one in tracker.calls if one[0] == "log"] == [{"loss": 0.5}]
    wanted = {f"bad {number}" for number in range(len(bad))} | {"variable"}
    assert {name for name in wanted if tracker.dropped[name] == 1} == wanted
    if delivery != "inline":
        assert [one.seq for one in JournalReader(only_run().rank())] == list(range(len(bad) + 2))  # no gap


def test_a_file_that_may_not_be_read_is_none() -> None:
    root, nobody = os.geteuid() == 0, 65_534
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        file = write(f"{folder}/deep/secret")
        file.parent.chmod(0o755)
        file.chmod(0)
        if root:
            os.seteuid(nobody)
        try:
            for path in (file, file.parent):
                with pytest.raises(PermissionError):
                    artifacts.described(os.fspath(path))
        finally:
            if root:
                os.seteuid(0)


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("delivery", MODES)
@pytest.mark.parametrize("size", [10, 5000])
def test_what_is_no_file_of_a_folder_is_left_out_and_not_delivered_either(delivery: str, size: int) -> None:
    write("other/secret")
    write("folder/a", bytes(size))
    write("folder/.accel_track/p/journal")
    os.symlink(Path("other").absolute(), "folder/link")
    os.symlink("a", "folder/file-link")
    os.mkfifo("folder/pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("folder/socket")
    run = start(delivery)
    with pytest.warns(AccelTrackWarning, match=r"log_artifact: 4 in .* are left out, such as"):
        run.log_artifact("folder")
    run.finish()
    if delivery == "none":
        Sync(only_run()).deliver(follow=False, timeout=30)
    assert Taking.made[-1].got["folder"][0] == {"a": bytes(size), "file-link": bytes(size)}


@pytest.mark.usefixtures("elsewhere")
def test_how_files_are_kept() -> None:
    small, large = write("small", bytes(10)), write("large", bytes(5000))
    run = start("none")
    for path in (small, large):
        for copy in (None, True, False):
            run.log_artifact(path, copy=copy)
    run.finish()
    folder = only_run().rank()
    kept = [not os.path.isabs(one.path) for one in records()]
    assert kept == [True, True, False, False, True, False]
    for one in records():
        path = folder / one.path
        assert path.read_bytes() == Path(path.name).read_bytes()
        assert os.path.isabs(one.path) or not os.path.samefile(path, path.name)  # a copy, not a link


def test_a_large_file_of_the_temporary_folder_is_linked() -> None:
    path = write("large", bytes(5000))
    run = start("none")
    run.log_artifact(path)
    run.finish()
    (one,) = records()
    assert os.path.samefile(only_run().rank() / one.path, path)


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("copy", [True, False])
def test_a_file_that_changes_before_it_is_delivered(copy: bool) -> None:
    path = write("last.pt", bytes(5000))
    run = start("none")
    run.log_artifact(path, copy=copy)
    run.finish()
    path.write_bytes(b"1" * 5000)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        (status,) = Sync(only_run()).deliver(follow=False, timeout=30)
    assert (status.delivered, status.not_replayable) == ((1, 0) if copy else (0, 1))
    assert any("has changed since it was logged" in str(one.message) for one in caught) is not copy
    assert Taking.made[-1].got == ({"last.pt": (bytes(5000), TAKEN)} if copy else {})


TAKEN = {"type": "artifact", "metadata": {}, "step": None}


@pytest.mark.usefixtures("elsewhere")
def test_what_is_added_to_a_folder_is_not_delivered() -> None:
    write("folder/a", bytes(5000))
    run = start("none")
    run.log_artifact("folder")
    run.finish()
    write("folder/later")
    with pytest.warns(AccelTrackWarning, match="has changed"):
        (status,) = Sync(only_run()).deliver(follow=False, timeout=30)
    assert status.not_replayable == 1


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("delivery", ["thread", "none"])
def test_checksums_are_computed_behind_the_call(delivery: str) -> None:
    large = write("large\nfile", bytes(5000))
    write("folder/a", b"a")

    def call(run: Run) -> None:
        run.log_artifact(large)
        run.log_artifact("folder")

    logged(delivery, call)
    folder = only_run().rank()
    known = sums.known(folder / "media")
    (file, kept) = records()
    assert known == {
        os.fspath(large.absolute()): {sums.sha256(large)},
        f"{kept.path.removeprefix('media/')}/a": {sums.sha256(folder / kept.path / "a")},
    }
    assert [problem(folder, one, known) for one in (file, kept)] == [None, None]
    status = large.stat()
    large.write_bytes(bytes(4999) + b"1")
    os.utime(large, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert problem(folder, file, {}) is None
    assert problem(folder, file, known) == "the bytes of it are not what was logged"
    status = (folder / kept.path / "a").stat()
    (folder / kept.path / "a").write_bytes(b"b")
    os.utime(folder / kept.path / "a", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert deliverable(folder, kept) is None


@pytest.mark.usefixtures("elsewhere")
def test_the_end_does_not_wait_for_the_checksum_of_a_huge_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accel_track.delivery.media.PATIENCE", 0.0)
    write("huge")
    os.truncate("huge", 2 * 1024**3)  # sparse
    begun = time.monotonic()
    tracker = Taking()
    tracker.log_artifact = lambda path, name, **_: tracker.got.update({name: os.stat(path).st_size})  # type: ignore[method-assign]
    run = Run(select(tracker, "runs"), project="p", directory="runs", settings=Settings.of())
    run.log_artifact("huge", "huge")
    called = time.monotonic()
    run.finish()
    assert tracker.got == {"huge": 2 * 1024**3}
    assert called - begun < 5
    assert records()[0].files == {"": (2 * 1024**3, os.stat("huge").st_mtime_ns)}


def test_a_trackers_own_error_is_its_own() -> None:
    """With inline delivery it is raised, and no tracker counts the artifact as unreadable."""

    class Failing(RecordingTracker):
        name = "failing"

        def log_artifact(self, *_: Any, **__: Any) -> None:
            raise ConnectionError("no server")

    taking, failing = Taking(), Failing()
    settings = Settings.of(delivery="inline")
    run = Run([*select(taking, "runs"), *select(failing, "runs")], project="p", directory="runs", settings=settings)
    with pytest.raises(ConnectionError, match="no server"):
        run.log_artifact(write("a"))
    run.finish()
    assert taking.got == {"a": (b"data", TAKEN)}
    assert (taking.dropped, failing.dropped) == ({}, {})


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.filterwarnings("ignore:taking")
@pytest.mark.parametrize("change", [False, True])
def test_a_refused_artifact_is_delivered_again_if_it_is_what_was_logged(
    change: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Taking, "refused", "odd")
    run = start()
    run.log_artifact(write("a", bytes(5000)), type="odd")
    run.log({"loss": 0.5})
    run.finish()
    monkeypatch.setattr(Taking, "refused", "")
    if change:
        write("a", b"1" * 5000)
    (status,) = Sync(only_run(), again=True).deliver(follow=False, timeout=30)
    assert (status.quarantined, status.delivered) == ((1, 1) if change else (0, 2))
    assert Taking.made[-1].got == ({} if change else {"a": (bytes(5000), {**TAKEN, "type": "odd"})})
    assert "gone or have changed" in str(status.error) if change else status.error is None


def test_what_was_logged_at_a_step_that_the_run_went_back_over_is_not_delivered() -> None:
    run = start("none")
    for step in (1, 5):
        run.log_artifact(write(f"step-{step}"), step=step)
    run.rewind(3)
    run.log_artifact(write("again"), step=5)
    run.finish()
    Sync(only_run()).deliver(follow=False, timeout=30)
    assert set(Taking.made[-1].got) == {"step-1", "again"}


@pytest.mark.parametrize("path", ["../../secret", "media/../../../../secret", "media/link", "/nowhere", ".", "media"])
def test_no_record_leads_to_a_file_that_was_not_logged(path: str) -> None:
    folder = Path("rank-00000")
    (folder / "media").mkdir(parents=True)
    secret = write("secret")
    (folder / "media/link").symlink_to(secret.absolute())
    state = (secret.stat().st_size, secret.stat().st_mtime_ns)
    for files in ({"": state}, {}, {"../../secret": state}, {"secret": state}):
        assert deliverable(folder, Artifact(0, 0.0, {}, "a", path, files=files)) is None
    assert deliverable(folder, Artifact(0, 0.0, {}, "a", str(secret.absolute()))) is None


def test_a_disk_without_room_for_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(shutil, "copy2", full)

    def call(run: Run) -> None:
        run.log_artifact(write("a"), "a")
        run.log({"loss": 0.5}, 1)

    tracker = logged("thread", call)
    assert tracker.dropped == {"a": 1}
    assert list(Path("runs").rglob("media/*/*")) == []


def test_too_many_files(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        write(f"folder/{number}")
    monkeypatch.setattr(artifacts, "MOST_FILES", 4)
    assert logged("none", lambda run: run.log_artifact("folder")).dropped["folder"] == 1
