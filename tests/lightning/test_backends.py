"""A real Trainer fit and test with each of the nine backends, read back from the backend."""

import importlib
import warnings
from pathlib import Path

import pytest

from accel_track import AccelTrackLogger
from accel_track.registry import LOGGER_TYPE_TO_CLASS
from accel_track.testing import TrackerContract
from tests.conftest import need
from tests.lightning.models import Tiny, batches, trainer


def contract(name: str) -> TrackerContract:
    """Return the contract test of a backend, which knows how to read it back."""
    need(LOGGER_TYPE_TO_CLASS[name].sdk or name)
    module = importlib.import_module(f"tests.contract.test_{name.removesuffix('_ml')}")
    (found,) = [
        one
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, TrackerContract) and one is not TrackerContract
    ]
    return found()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", sorted(LOGGER_TYPE_TO_CLASS))
def test_fit_and_test_are_one_run_in_the_backend(name: str, tmp_path: Path) -> None:
    backend = contract(name)
    kwargs = {name: backend.init_kwargs(tmp_path)}
    logger = AccelTrackLogger(name, name="digits", version="first", save_dir=tmp_path, init_kwargs=kwargs)
    with_logger, model = trainer(logger, limit_val_batches=2, default_root_dir=tmp_path), Tiny()
    with warnings.catch_warnings():
        warnings.simplefilter("error", category=UserWarning)
        for harmless in (".*LeafSpec.*", ".*num_workers.*", ".*many workers.*", ".*exists and is not empty.*"):
            warnings.filterwarnings("ignore", message=harmless)
        with_logger.fit(model, batches(), batches())
        with_logger.test(model, batches(), verbose=False)
    tracker = logger.get_tracker(name)
    logger.finish()

    stored = backend.read(tmp_path)
    assert not tracker.dropped
    assert stored.runs == 1
    assert (stored.project, stored.run_name) == ("digits", "first")
    assert [step for step, _ in backend.points(stored, "loss")] == [1, 3, 5, 7]
    assert [step for step, _ in backend.points(stored, "val_loss")] == [7]
    assert backend.points(stored, "late") == [(7, 3.0)]
    assert [step for step, _ in backend.points(stored, "test_loss")] == [8]
    assert str(stored.config["lr"]) == "0.25"
    assert str(stored.config["layers"]) == "[1, 2]"
