"""Run by test_resume.py: a fit that may be killed, or goes on from a checkpoint."""

import argparse
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))

from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint

from accel_track import AccelTrackCallback, AccelTrackLogger
from tests.support.models import Tiny, batches, trainer


class End(Callback):
    """Ends the process the hard way, with a delay for the trackers to have what was logged before or not."""

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == options.kill_at:
            if options.deliver:
                trainer.logger.open().flush()
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("trackers", nargs="+")
    parser.add_argument("--kill-at", type=int)
    parser.add_argument("--deliver", action="store_true")
    parser.add_argument("--ckpt-path")
    parser.add_argument("--version")
    parser.add_argument("--resume")
    parser.add_argument("--own", action="store_true", help="a run of the callback's own")
    parser.add_argument("--every", type=int, default=5)
    options = parser.parse_args()
    arguments = {"name": "digits", "save_dir": "runs", "version": options.version, "resume": options.resume}
    quiet = {"log_system": False, "log_throughput": False, "log_environment": False, "log_learning_rate": False}
    if options.own:
        logger, callbacks = False, [AccelTrackCallback(options.trackers, **arguments, **quiet)]
    else:
        logger, callbacks = AccelTrackLogger(options.trackers, **arguments), []
    saved = ModelCheckpoint("ckpts", every_n_train_steps=options.every, save_top_k=-1, save_last=True)
    if options.every == 0:  # at the end of validations
        saved = ModelCheckpoint("ckpts", save_last=True)
    fit = trainer(logger, max_epochs=3, log_every_n_steps=1, callbacks=[saved, End(), *callbacks])
    fit.fit(Tiny(), batches(), batches(), ckpt_path=options.ckpt_path)
