"""Aim through a real `aim server` on this machine, read back from the server's own repository."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aim
import numpy as np
import pytest

from accel_track.errors import AccelTrackWarning, NotReadableError
from accel_track.records import Metrics
from accel_track.trackers.aim import remote as _aim_remote
from accel_track.trackers.aim.tracker import AimTracker
from tests.support.private_parts import hide, private_parts
from tests.support.readers.aim import NONE, runs, values
from tests.support.servers import free_port, listens
from tests.support.waiting import until


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the server's repository."""
    folder = tmp_path_factory.mktemp("aim-server")
    aim.Repo.from_path(str(folder), init=True)
    return folder


@pytest.fixture
def server(folder: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Run a server; return its address and process."""
    port = free_port()
    code = "from aim.cli.cli import cli_entry_point; cli_entry_point()"
    command = [sys.executable, "-c", code, "server", "--host", "127.0.0.1", "--port", str(port), "-y"]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    until(lambda: process.poll() is not None or listens(port))
    yield f"aim://127.0.0.1:{port}", process
    os.killpg(process.pid, signal.SIGKILL)  # it has a process of its own for requests
    process.wait()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_a_server_has_not_taken_is_not_delivered(
    server: tuple[str, "subprocess.Popen[bytes]"], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flush waits for the server; without an answer it fails, which passes or stays, and nothing counts as stored."""
    address, process = server
    records = [Metrics(i, 1.6e9 + i, {"x": i / 4, "text": f"t{i}"}, i) for i in range(30)]
    tracker = AimTracker("remote", address, system_tracking_interval=None)
    tracker.start()
    run_hash = tracker.tracker.hash
    tracker.log_batch(records)
    tracker.flush()
    assert tracker.durable_flush
    with monkeypatch.context() as patch:
        hide(private_parts(_aim_remote.QueuePath)[0], tracker.tracker, patch)
        with pytest.warns(AccelTrackWarning, match="public calls"):
            tracker.flush()
        assert not tracker.durable_flush
    tracker.fast(_aim_remote.QueuePath).open(tracker.tracker)
    os.killpg(process.pid, signal.SIGSTOP)
    monkeypatch.setattr(_aim_remote, "SECONDS", 0.2)
    tracker.log_batch(records[:5])
    with pytest.raises(ConnectionError, match="not answered") as caught:
        tracker.flush()
    assert tracker.is_transient(caught.value)
    fast = tracker.fast(_aim_remote.QueuePath).fast
    assert fast is not None
    with monkeypatch.context() as patch:
        patch.setattr(fast.native.repo._client._queue, "_thread", _Ended)
        with pytest.raises(ConnectionError, match="client has stopped with"):
            tracker.flush()
    monkeypatch.setattr(_aim_remote, "SECONDS", 30.0)
    os.killpg(process.pid, signal.SIGCONT)
    tracker.finish()
    with runs(folder) as found:
        (run,) = (one for one in found if one.hash == run_hash)
        (metric,) = (one for one in run.metrics() if one.name == "x")
        assert sorted(metric.values.sparse_list()[1]) == [i / 4 for i in range(30)]


@pytest.mark.long
def test_media_on_a_server(server: tuple[str, "subprocess.Popen[bytes]"], folder: Path, tmp_path: Path) -> None:
    """Values arrive; a file without a place for artifacts is counted, and has one where the run has."""
    address, _ = server
    tracker = AimTracker("remote media", address, system_tracking_interval=None)
    tracker.start()
    run_hash = tracker.tracker.hash
    pixels = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    tracker.log_images({"image": pixels}, step=3, captions="c")
    tracker.log_histogram({"histogram": np.arange(10)}, step=3, bins=5)
    with pytest.warns(AccelTrackWarning, match="remote"):
        tracker.log_html({"page": "<b>"}, step=3)
    tracker.flush()
    tracker.tracker.set_artifacts_uri(f"file://{tmp_path}")
    tracker.log_html({"page": "<b>"}, step=4)
    tracker.finish()
    assert tracker.dropped == {"page": 1}
    assert [one.read_text() for one in tmp_path.rglob("*.html")] == ["<b>"]
    with runs(folder) as found:
        (run,) = (one for one in found if one.hash == run_hash)
        (image,) = values(run.get_image_sequence("image", NONE))
        assert np.array_equal(image.what, pixels)
        assert (image.step, image.caption) == (3, "c")
        (histogram,) = values(run.get_distribution_sequence("histogram", NONE))
        assert histogram.what.counts == [2, 2, 2, 2, 2]


class _Ended:
    @staticmethod
    def is_alive() -> bool:
        return False


def test_a_run_at_a_server_is_not_read() -> None:
    """Aim's server gives nothing of a run that is not indexed, so an empty answer would not be true."""
    tracker = AimTracker("remote", "aim://127.0.0.1:1", run_hash="0123456789")
    with pytest.raises(NotReadableError, match="is a server"):
        tracker.read()
