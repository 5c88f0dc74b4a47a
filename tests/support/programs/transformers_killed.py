"""A transformers Trainer that saves a checkpoint after step 4 and is killed in step 6.

Arguments: the folder.
"""

import os
import signal
import sys
from typing import Any

from transformers import TrainerCallback

from accel_track.bridges import AccelTrackTrainerCallback
from tests.support.transformer import tiny


class Killed(TrainerCallback):
    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 6:
            os.kill(os.getpid(), signal.SIGKILL)


ours = AccelTrackTrainerCallback("tensorboard")
tiny(sys.argv[1], [ours, Killed()], max_steps=8, save_steps=4).train()
