"""A script for accelerate that is killed: 20 values are in the journal, and no tracker has been told of the end."""

import os
import signal
import sys

from accelerate import Accelerator

from accel_track.bridges import as_accelerate_tracker

tracker = as_accelerate_tracker("tensorboard", project_dir=sys.argv[1], run_name="killed", delivery=sys.argv[2])
accelerator = Accelerator(cpu=True, log_with=[tracker])
accelerator.init_trackers("training", config={"lr": 0.1})
begin = int(sys.argv[3])
for step in range(begin, begin + 20):
    accelerator.log({"loss": step / 2}, step)
if len(sys.argv) > 4:
    accelerator.end_training()
else:
    os.kill(os.getpid(), signal.SIGKILL)
