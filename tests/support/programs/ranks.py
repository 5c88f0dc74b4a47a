"""Run by test_ranks.py: a Trainer in two processes, each of which writes what it sees to `seen-<rank>.json`.

Lightning starts the processes (`--strategy`), or torchrun does.
"""

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))

from lightning.fabric.loggers.logger import _DummyExperiment
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint

from accel_track import AccelTrackLogger
from tests.support.models import Tiny, batches, trainer


class Seen(Callback):
    """Uses everything public on every rank, and writes down who the run is there."""

    def on_fit_end(self, trainer, pl_module):
        logger = trainer.logger
        seen = {
            "version": logger.version,
            "run_id": logger._session.run_id,
            "folder": trainer.checkpoint_callback.dirpath,
            "log_dir": trainer.log_dir,
            "dummy": isinstance(logger.experiment, _DummyExperiment),
            "experiments": sorted(logger.experiments),
            "trackers": sorted(tracker.name for tracker in logger.trackers),
            "opens": logger._session.run is not None,
        }
        if seen["dummy"]:
            logger.experiment.config.update({"anything": 1})["goes"].here()
        if seen["dummy"] or "tensorboard" in seen["experiments"]:
            logger.get_tracker("tensorboard").flush()
            logger.get_tracker("tensorboard", unwrap=True).add_scalar(f"native-{trainer.global_rank}", 1.0, 3)
        logger.log_metrics({f"own-{trainer.global_rank}": 1.0}, step=3)
        logger.log_hyperparams({f"rank-{trainer.global_rank}": True}, {"hp": 1.0}, step=3)
        logger.log_graph(pl_module)
        logger.save()
        Path(f"seen-{trainer.global_rank}.json").write_text(json.dumps(seen))


class Ends(Callback):
    """Ends rank 1 in the third step, which rank 0 waits for; the two before are logged by then."""

    def __init__(self, how):
        self.how = how

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx != 2:
            return
        trainer.strategy.barrier()
        if trainer.global_rank == 0 and self.how == "kill":
            time.sleep(60)  # killed by Lightning, which looks after the processes that it has started
        if trainer.global_rank == 1 and self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if trainer.global_rank == 1 and self.how == "raise":
            raise ValueError("planned failure")


class FailsInTest(Tiny):
    """Fits, and cannot be tested."""

    def test_step(self, batch):
        raise ValueError("planned failure of the test")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("trackers", nargs="+")
    parser.add_argument("--strategy", default="ddp")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--ends", choices=["kill", "raise"])
    parser.add_argument("--ckpt-path")
    parser.add_argument("--failing-test", action="store_true")
    parser.add_argument("--all-ranks", action="store_true")
    parser.add_argument(
        "--twice", action="store_true", help="another run after the first, which is finished on all ranks"
    )
    options = parser.parse_args()
    logger = AccelTrackLogger(options.trackers, name="digits", save_dir="runs", all_ranks=options.all_ranks)
    callbacks = [ModelCheckpoint(), Ends(options.ends) if options.ends else Seen()]
    two = trainer(
        logger,
        strategy=options.strategy,
        devices=2 // options.nodes,
        num_nodes=options.nodes,
        callbacks=callbacks,
        log_every_n_steps=1,
    )
    model = (FailsInTest if options.failing_test else Tiny)()
    two.fit(model, batches(), batches(), ckpt_path=options.ckpt_path)
    two.test(model, batches(), verbose=False)
    print("the launching process sees", logger.log_dir)
    if options.twice:
        logger.finish()
        two.test(model, batches(), verbose=False)
