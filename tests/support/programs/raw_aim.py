"""Write runs with Aim itself, as its users do: `python raw_aim.py whole|killed FOLDER`."""

import math
import os
import signal
import sys
from pathlib import Path

import aim
import numpy as np
from PIL import Image

PIXELS = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3)
QUIET = {"system_tracking_interval": None, "capture_terminal_logs": False}


def whole(folder: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "green")]
    frames[0].save("a.gif", save_all=True, append_images=frames[1:])
    Path("a.txt").write_text("one")
    run = aim.Run(repo=folder, experiment="digits", **QUIET)
    run.name = "first"
    run["hparams"] = {"lr": 0.5, "model": {"layers": 3, "sizes": [1, 2, "x"]}, "none": None, "on": True}
    run["seed"] = 7
    for step in range(20):
        for subset in ("train", "val"):
            run.track({"loss": 1 / (step + 1), "acc": step}, step=step, context={"subset": subset})
        run.track(step / 7, name="plain", step=step, epoch=step // 5)
    run.track(99.0, name="plain", step=3)
    run.track(math.nan, name="bad", step=0)
    run.track(math.inf, name="bad", step=1)
    run.track(3, name="mixed")
    run.track(3.5, name="mixed")
    run.track(aim.Text("hello"), name="text", step=2)
    run.track([aim.Text("x"), aim.Text("y")], name="texts", step=2)
    run.track(aim.Image(PIXELS, caption="noise"), name="image", step=4)
    run.track([aim.Image(PIXELS, caption="one"), aim.Image(PIXELS[::-1])], name="several", step=4)
    run.track(aim.Image("a.gif"), name="moving", step=4)
    run.track(aim.Distribution(np.arange(10), bin_count=5), name="histogram", step=4)
    run.track(aim.Audio(np.zeros(100, np.float32), rate=8000, caption="hum"), name="sound", step=4)
    run.set_artifacts_uri(f"file://{Path(folder, 'kept').absolute()}")
    run.log_artifact("a.txt", "deep/a.txt", block=True)
    run.log_warning("a warning")
    run.report_successful_finish()
    run.close()
    second = aim.Run(repo=folder, experiment="digits", **QUIET)
    second.name = "second"
    second.set_artifacts_uri(f"file://{Path('outside').absolute()}")
    second.log_artifact("a.txt", "a.txt", block=True)
    second.track(1.0, name="loss", context={"subset": "val", "fold": 2})
    second.track(2.0, name="val/loss")
    second.track(3.0, name="loss", context={"subset": "val"})
    second.close()


def killed(folder: str) -> None:
    run = aim.Run(repo=folder, experiment="digits", **QUIET)
    run.name = "killed"
    for step in range(500):
        run.track({"loss": step / 7, "acc": step}, step=step)
    os.kill(os.getpid(), signal.SIGKILL)


{"whole": whole, "killed": killed}[sys.argv[1]](sys.argv[2])
