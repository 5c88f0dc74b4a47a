"""TensorBoard, read back with TensorBoard's own event accumulator."""

from pathlib import Path

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from accel_track.testing import Readback, TrackerContract
from accel_track.trackers.tensorboard import TensorBoardTracker


def accumulate(folder: Path) -> EventAccumulator:
    """Load everything that TensorBoard would show for one run."""
    everything = dict.fromkeys(("scalars", "images", "tensors"), 0)
    accumulator = EventAccumulator(str(folder), size_guidance=everything)
    accumulator.Reload()
    return accumulator


class TestTensorBoard(TrackerContract):
    tracker_class = TensorBoardTracker
    precision = 1e-6
    keeps_time = True

    def make(self, folder: Path) -> TensorBoardTracker:
        return TensorBoardTracker("contract", folder)

    def read(self, folder: Path) -> Readback:
        file, *more = folder.rglob("events.out.tfevents.*")
        assert {one.parent for one in more} <= {file.parent}
        events = accumulate(file.parent)
        tags = events.Tags()
        stored = Readback(project=file.parent.relative_to(folder).parts[0], run_name=file.parent.name)
        for tag in tags["scalars"]:
            stored.metrics[tag] = [(event.step, event.value) for event in events.Scalars(tag)]
            stored.times[tag] = [event.wall_time for event in events.Scalars(tag)]
        for tag in tags["tensors"]:
            texts = [event.tensor_proto.string_val[0].decode() for event in events.Tensors(tag)]
            stored.texts[tag.removesuffix("/text_summary")] = texts
        for tag in tags["images"]:
            name, _, index = tag.rpartition("/")
            stored.images.setdefault(name if index.isdigit() else tag, []).extend(
                (image.height, image.width) for image in events.Images(tag)
            )
        if "_hparams_/session_start_info" in events.summary_metadata:
            content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
            hparams = metadata.parse_session_start_info_plugin_data(content).hparams
            stored.config = {name: getattr(v, v.WhichOneof("kind")) for name, v in hparams.items()}
        if more:  # TensorBoard shows only the first session, the file has what came later
            stored.config |= yaml.safe_load((file.parent / "hparams.yml").read_text())
        return stored

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
