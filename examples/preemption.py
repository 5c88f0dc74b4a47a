"""A training that is killed in the middle and started again: one run, in the journal and in every backend.

    python examples/preemption.py --dir runs --kill-at 130
    python examples/preemption.py --dir runs

A scheduler that starts a job again after a preemption starts it with the same folder, as the second line does.
"""

import argparse
import os
import signal
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from accel_track import AccelTrackCallback, AccelTrackLogger
from accel_track.demo import Digits, loaders


class KillAt(Callback):
    """Ends the process as a cluster would: without a chance to say goodbye."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trackers", nargs="*", default=["tensorboard", "mlflow"], help="names of backends")
    parser.add_argument("--dir", default="runs")
    parser.add_argument("--kill-at", type=int, default=-1, help="step before whose end the process is killed")
    arguments = parser.parse_args()

    checkpoints = os.path.join(arguments.dir, "checkpoints")
    last = os.path.join(checkpoints, "last.ckpt")
    logger = AccelTrackLogger(arguments.trackers, name="preemption", save_dir=arguments.dir)
    trainer = Trainer(
        max_epochs=10,
        logger=logger,
        callbacks=[
            ModelCheckpoint(checkpoints, every_n_train_steps=50, save_last=True),
            AccelTrackCallback(log_checkpoints="last"),
            KillAt(arguments.kill_at),
        ],
        log_every_n_steps=10,
        enable_progress_bar=False,
    )
    training, validation, _ = loaders()
    trainer.fit(Digits(), training, validation, ckpt_path=last if os.path.exists(last) else None)
    print(f"{logger.log_dir}: trained to step {trainer.global_step}")
    logger.finish()
    print(f"look at it: accel-track ls {arguments.dir}")


if __name__ == "__main__":
    main()
