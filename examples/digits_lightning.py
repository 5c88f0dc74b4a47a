"""A training on handwritten digits with Lightning: python digits_lightning.py tensorboard mlflow."""

import argparse

from lightning.pytorch import Trainer

from accel_track import AccelTrackCallback, AccelTrackLogger
from accel_track.demo import Digits, loaders


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log_with", nargs="*", default=["tensorboard"], help="names of backends, or 'all'")
    parser.add_argument("--dir", default="digits-lightning", help="where to put logs and checkpoints")
    parser.add_argument("--epochs", type=int, default=5)
    arguments = parser.parse_args()

    training, validation, test = loaders()
    logger = AccelTrackLogger(arguments.log_with, name="digits", save_dir=arguments.dir, config={"batch_size": 64})
    callback = AccelTrackCallback(log_samples=16)  # some inputs and predictions, and a confusion matrix
    trainer = Trainer(max_epochs=arguments.epochs, logger=logger, callbacks=callback, log_every_n_steps=5)
    model = Digits(hidden=64)
    logger.watch(model, "all", every=40)  # histograms of gradients and parameters
    trainer.fit(model, training, validation)
    trainer.test(model, test)  # continues the same run
    print(f"logged to {', '.join(logger.experiments)}; checkpoints are in {trainer.checkpoint_callback.dirpath}")


if __name__ == "__main__":
    main()
