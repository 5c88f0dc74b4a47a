"""One tracker object in a plain loop and in a Lightning Trainer: started once, finished by its last user.

python examples/mixed.py --dir runs
"""

import argparse
from typing import Any

from lightning.pytorch import Trainer

from accel_track import Accelerator, AccelTrackLogger, GeneralTracker, on_main_process
from accel_track.demo import Digits, loaders


class BestTracker(GeneralTracker):
    """Keeps the lowest value of every metric and prints them at the end."""

    name = "best"
    requires_logging_directory = False

    def __init__(self) -> None:
        super().__init__()
        self.best: dict[str, float] = {}

    @property
    def tracker(self) -> dict[str, float]:
        return self.best

    @on_main_process
    def start(self) -> None:
        print("best: started")

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        for name, value in values.items():
            self.best[name] = min(value, self.best.get(name, value))

    @on_main_process
    def finish(self) -> None:
        for name, value in self.best.items():
            print(f"best: {name} = {value:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", default="runs", help="where to put logs and checkpoints")
    parser.add_argument("--epochs", type=int, default=2)
    arguments = parser.parse_args()
    best = BestTracker()

    accelerator = Accelerator(log_with=[best, "tensorboard"], project_dir=arguments.dir)
    accelerator.init_trackers("pretraining")
    for step in range(10):
        accelerator.log({"pretraining/loss": 1 / (step + 1)}, step=step)

    training, validation, _ = loaders()
    logger = AccelTrackLogger([best, "tensorboard"], name="digits", save_dir=arguments.dir)
    trainer = Trainer(max_epochs=arguments.epochs, logger=logger, log_every_n_steps=5)
    trainer.fit(Digits(), training, validation)

    accelerator.end_training()  # `best` goes on: the logger still uses it
    logger.finish()  # its last user: now it prints
    print(f"look at it: accel-track ls {arguments.dir}")


if __name__ == "__main__":
    main()
