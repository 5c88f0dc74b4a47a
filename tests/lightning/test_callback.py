"""AccelTrackCallback under a real Trainer: without a logger, beside other loggers, and with an AccelTrackLogger."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from accel_track import AccelTrackCallback, AccelTrackLogger
from accel_track.testing import RecordingTracker
from tests.support.models import Tiny, batches, trainer

callback_of = partial(
    AccelTrackCallback,
    log_learning_rate=False,
    log_throughput=False,
    log_system=False,
    log_summary=False,
    log_environment=False,
)


class Other(RecordingTracker):
    name = "other"


class Data(LightningDataModule):
    def __init__(self, size: int = 8) -> None:
        super().__init__()
        self.save_hyperparameters()

    def train_dataloader(self) -> DataLoader[Any]:
        return batches()


def fitted(logger: Any, callback: AccelTrackCallback, **arguments: Any) -> Any:
    torch.manual_seed(0)
    with_callback = trainer(logger, callbacks=[callback], **arguments)
    model = Tiny()
    with_callback.fit(model, batches(), batches())
    with_callback.test(model, batches(), verbose=False)
    return with_callback


def test_it_logs_exactly_what_a_logger_would() -> None:
    through_logger, through_callback = RecordingTracker(), RecordingTracker()
    torch.manual_seed(0)
    logger = AccelTrackLogger(through_logger)
    with_logger, model = trainer(logger), Tiny()
    with_logger.fit(model, batches(), batches())
    with_logger.test(model, batches(), verbose=False)
    callback = callback_of(through_callback)
    fitted(False, callback)

    def essential(tracker: RecordingTracker) -> list[Any]:
        return [call for call in tracker.calls if call[0] != "flush"]

    assert essential(through_callback) == essential(through_logger)
    assert len([call for call in through_callback.calls if call[0] == "log"]) == 7
    logger.finish()
    callback.finish()
    assert through_callback.calls[-1] == ("finish",)


def test_the_logger_slot_stays_as_it_was(tmp_path: Path) -> None:
    callback = callback_of()
    without = fitted(False, callback, default_root_dir=tmp_path / "root")
    assert (without.logger, without.loggers) == (None, [])
    assert Path(without.log_dir) == tmp_path / "root"
    assert list((tmp_path / "root" / "lightning_logs" / "version_0").glob("events.out.tfevents.*"))
    callback.finish()

    tracker = RecordingTracker()
    callback = callback_of(tracker)
    beside = fitted(CSVLogger("csv"), callback)
    assert [type(one) for one in beside.loggers] == [CSVLogger]
    assert len([call for call in tracker.calls if call[0] == "log"]) == 7
    assert len(Path("csv/lightning_logs/version_0/metrics.csv").read_text().splitlines()) > 5
    callback.finish()


def test_it_joins_an_accel_track_logger_and_never_logs_twice() -> None:
    first, second = RecordingTracker(), Other()
    logger = AccelTrackLogger(first)
    callback = callback_of([second, first], config={"note": "from the callback"})
    fitted(logger, callback)
    assert callback.logger is logger
    for tracker in (first, second):
        assert len([call for call in tracker.calls if call[0] == "log"]) == 7
        assert [call[0] for call in tracker.calls].count("start") == 1
    assert ("config", {"note": "from the callback"}) in second.calls
    logger.finish()
    assert first.calls[-1] == second.calls[-1] == ("finish",)


def test_without_trackers_of_its_own_it_only_joins() -> None:
    tracker = RecordingTracker()
    logger = AccelTrackLogger(tracker)
    callback = callback_of(config={"note": "still there"})
    fitted(logger, callback)
    assert [one.name for one in logger.trackers] == ["recording"]
    assert ("config", {"note": "still there"}) in tracker.calls
    logger.finish()


def test_hyperparameters_of_module_and_data_module() -> None:
    tracker = RecordingTracker()
    callback = callback_of(tracker, config={"seed": 1})
    trainer(False, callbacks=[callback]).fit(Tiny(), datamodule=Data())
    assert [call[1] for call in tracker.calls if call[0] == "config"] == [
        {"seed": 1},
        {"lr": 0.25, "layers": [1, 2], "fail_at": None, "size": 8},
    ]
    callback.finish()


def test_a_failing_fit_stops_following_the_trainer() -> None:
    tracker = RecordingTracker()
    callback = callback_of(tracker)
    with_callback = trainer(False, callbacks=[callback])
    with pytest.raises(ValueError, match="planned failure"):
        with_callback.fit(Tiny(fail_at=4), batches())
    assert tracker.calls[-1] == ("flush",)
    assert [call[2] for call in tracker.calls if call[0] == "log"] == [1, 3]
    assert with_callback.loggers == []
    assert "log_metrics" not in vars(with_callback._logger_connector)
    callback.finish()


def test_fast_dev_run_is_not_tracked() -> None:
    tracker = RecordingTracker()
    trainer(False, callbacks=[callback_of(tracker)], fast_dev_run=True).fit(Tiny(), batches())
    assert tracker.calls == []


def test_one_callback_for_two_trainers_is_one_run() -> None:
    tracker = RecordingTracker()
    callback = callback_of(tracker)
    fitted(False, callback)
    fitted(False, callback)
    assert [call[0] for call in tracker.calls].count("start") == 1
    assert len([call for call in tracker.calls if call[0] == "log"]) == 14
    callback.finish()


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="`log_with` names the unknown tracker 'nope'"):
        callback_of("nope")
    with pytest.raises(ValueError, match="`name` is used as a folder name"):
        callback_of(name="../up")


def test_the_environment_is_stored_once_in_a_run() -> None:
    tracker = RecordingTracker()
    callback = callback_of(tracker, save_dir="runs", log_environment=True)
    model, both = Tiny(), trainer(False, callbacks=[callback])
    both.fit(model, batches(), batches())
    both.test(model, batches(), verbose=False)
    callback.finish()
    stored = [
        name for call in tracker.calls if call[0] == "config" for name in call[1] if name.startswith("environment")
    ]
    assert stored == ["environment"]
