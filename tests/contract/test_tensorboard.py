"""TensorBoard, read back with TensorBoard's own event accumulator."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from accel_track.errors import AccelTrackWarning
from accel_track.outcome import Outcome
from accel_track.trackers.tensorboard.tracker import TensorBoardTracker
from tests.support.readers.tensorboard import TensorBoardContract, fetched, shown, web_page
from tests.support.waiting import until


class TestTensorBoard(TensorBoardContract):
    def test_hparams_file(self, tmp_path: Path) -> None:
        """`hparams.yml` beside the event file keeps the structure."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.store_init_configuration({"optimizer": {"lr": 0.1}, "layers": (1, 2)})
        tracker.finish()
        with (tmp_path / "contract" / "hparams.yml").open() as file:
            assert yaml.safe_load(file) == {"optimizer": {"lr": 0.1}, "layers": [1, 2]}

    @pytest.mark.parametrize("flushed", [True, False])
    def test_continuing_writes_one_session(self, tmp_path: Path, flushed: bool) -> None:
        """The HParams tab's session is written once in a folder, by whoever comes to it; the file keeps everything."""
        first = self.make(tmp_path)
        first.start()
        first.store_init_configuration({"lr": 0.1})
        identity = first.identity()
        if flushed:
            first.finish()
        again = TensorBoardTracker(**{"run_name": "contract", "logging_dir": tmp_path, **identity})
        again.start()
        again.store_init_configuration({"epochs": 3})
        again.log({"loss": 0.5}, step=0)
        again.finish()
        content = [file.read_bytes() for file in tmp_path.rglob("events.out.tfevents.*")]
        assert sum(b"_hparams_/session_start_info" in one for one in content) == 1
        assert yaml.safe_load((tmp_path / "contract" / "hparams.yml").read_text()) == {"lr": 0.1, "epochs": 3}

    @pytest.mark.parametrize("step", [0, 3])
    def test_rewind(self, tmp_path: Path, step: int) -> None:
        """TensorBoard shows the new values from that step on, and no old ones, also of names without new values."""
        first = self.make(tmp_path)
        first.start()
        first.store_init_configuration({"lr": 0.5})
        for number in range(6):
            first.log({"loss": number, "old": number}, step=number)
        identity = first.identity()
        first.finish()
        again = TensorBoardTracker(**{"run_name": "contract", "logging_dir": tmp_path, **identity})
        again.start()
        again.rewind(step)
        for number in range(step, 5):
            again.log({"loss": 10 + number}, step=number)
        again.rewind(4)
        again.log({"loss": 24}, step=4)
        again.finish()
        old = [(number, float(number)) for number in range(step)]
        new = [(number, 10.0 + number) for number in range(step, 4)]
        scalars, config = shown(tmp_path)
        assert scalars == {"loss": [*old, *new, (4, 24.0)], "old": old}
        assert config == {"lr": 0.5}
        assert self.read(tmp_path).metrics["loss"] == scalars["loss"]

    @pytest.mark.parametrize("load_fast", ["false", "auto"])
    def test_rewind_on_the_web_page(self, tmp_path: Path, load_fast: str) -> None:
        """A running TensorBoard shows the same of a name that has new values, whichever way it loads files."""
        tracker = self.make(tmp_path)
        tracker.start()
        for number in range(6):
            tracker.log({"loss": number}, step=number)
        tracker.rewind(3)
        tracker.log({"loss": 13}, step=3)
        tracker.finish()
        with web_page(tmp_path, load_fast) as address:
            points = until(lambda: fetched(f"{address}?run=contract&tag=loss"))
        assert [(step, value) for _, step, value in points] == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 13.0)]

    def test_after_a_kill_another_process_continues(self, tmp_path: Path) -> None:
        """What a killed process had flushed, and what comes later, is one run, whatever the event file's end is like."""
        code = """if True:
            import json, os, signal, sys
            from accel_track.trackers.tensorboard.tracker import TensorBoardTracker
            tracker = TensorBoardTracker.for_run("killed", "one", sys.argv[1], {})
            tracker.start()
            tracker.store_init_configuration({"lr": 0.5})
            for step in range(5):
                tracker.log({"loss": step}, step=step)
            tracker.flush()
            print(json.dumps(tracker.identity()), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        """
        command = [sys.executable, "-c", code, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
        (file,) = tmp_path.rglob("events.out.tfevents.*")
        with file.open("ab") as events:
            events.write(b"\x20" + b"\x00" * 9)  # the beginning of another event
        tracker = TensorBoardTracker.for_run("killed", "one", tmp_path, json.loads(done.stdout))
        tracker.start()
        tracker.store_init_configuration({"epochs": 3})
        for step in range(5, 8):
            tracker.log({"loss": step}, step=step)
        tracker.outcome = Outcome("failed", "ValueError: no")
        tracker.finish()
        scalars, config = shown(tmp_path)
        assert scalars == {"loss": [(step, float(step)) for step in range(8)]}
        assert config == {"lr": 0.5}
        assert yaml.safe_load((file.parent / "hparams.yml").read_text()) == {"lr": 0.5, "epochs": 3}

    def test_a_second_run_of_one_tracker(self, tmp_path: Path) -> None:
        """Started again, a tracker has nothing of the hyperparameters before."""
        tracker = self.make(tmp_path)
        for config in ({"lr": 0.1}, {"epochs": 3}):
            tracker.start()
            tracker.store_init_configuration(dict(config))
            tracker.finish()
        assert yaml.safe_load((tmp_path / "contract" / "hparams.yml").read_text()) == {"epochs": 3}

    def test_checkpoints_are_counted(self, tmp_path: Path) -> None:
        """Event files keep none, which is said once."""
        tracker = self.make(tmp_path)
        tracker.start()
        with pytest.warns(AccelTrackWarning, match="keeps no checkpoints"):
            tracker.log_checkpoint("last", str(tmp_path / "last.ckpt"), 1, {})
        tracker.delete_checkpoint("last")
        tracker.finish()
        assert tracker.dropped == {"checkpoint": 1}
