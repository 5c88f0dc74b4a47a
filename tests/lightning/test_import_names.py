"""Lightning under its older import name, whose classes are other ones."""

from pathlib import Path
from typing import Any

import pytest
import torch

from accel_track import AccelTrackCallback, AccelTrackLogger
from accel_track.testing import RecordingTracker
from tests.support.models import batches

pl = pytest.importorskip("pytorch_lightning")


def fitted(**arguments: Any) -> Any:
    class Tiny(pl.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self, lr: float = 0.25) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.layer = torch.nn.Linear(1, 1)

        def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
            loss = self.layer(batch[0]).square().mean()
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.01)

    trainer = pl.Trainer(
        max_epochs=1,
        log_every_n_steps=2,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        **arguments,
    )
    trainer.fit(Tiny(), batches())
    return trainer


@pytest.mark.parametrize("as_logger", [True, False])
def test_pytorch_lightning(as_logger: bool) -> None:
    tracker = RecordingTracker()
    front_door = (
        AccelTrackLogger(tracker)
        if as_logger
        else AccelTrackCallback(tracker, log_learning_rate=False, log_throughput=False)
    )
    trainer = fitted(**({"logger": front_door} if as_logger else {"logger": False, "callbacks": [front_door]}))
    assert [call[2] for call in tracker.calls if call[0] == "log"] == [1, 3, 5, 7]
    assert ("config", {"lr": 0.25}) in tracker.calls
    if as_logger:
        assert Path(trainer.log_dir) == Path("lightning_logs/version_0")
    front_door.finish()
