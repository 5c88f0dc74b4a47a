"""Run by test_logger.py: fit and test in two processes that the Trainer starts itself."""

import os
import sys

# Run as a script, also by the processes that Lightning starts: the repository is not on the path by itself.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))

from accel_track import AccelTrackLogger
from tests.support.models import Tiny, batches, trainer

if __name__ == "__main__":
    strategy, folder = sys.argv[1:]
    logger = AccelTrackLogger("tensorboard", name="digits", save_dir=folder)
    model = Tiny()
    with_logger = trainer(logger, strategy=strategy, devices=2, default_root_dir=folder, enable_checkpointing=False)
    with_logger.fit(model, batches())
    with_logger.test(model, batches(), verbose=False)
