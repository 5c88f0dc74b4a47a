"""Write runs with SwanLab itself, as its users do: `python raw_swanlab.py whole|killed LOG_DIR`."""

import math
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import swanlab
from PIL import Image

PROBES = ("hardware", "requirements", "conda", "git", "runtime", "monitor")
QUICK = {"settings": swanlab.Settings(probe=swanlab.Settings.Probe(**dict.fromkeys(PROBES, False)))}
PIXELS = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3)


def whole(folder: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "green")]
    frames[0].save("a.gif", save_all=True, append_images=frames[1:])
    Path("a.txt").write_text("one")
    config = {"lr": 1e-5, "model": {"layers": 3, "sizes": [1, 2]}, "bad": math.nan, "date": "2025-01-01", "on": "yes"}
    run = swanlab.init(project="digits", name="first", config=config, log_dir=folder, **QUICK)
    for step in range(20):
        run.log({"loss": 1 / (step + 1), "train": {"acc": step}}, step=step)
    run.log({"loss": 9.0}, step=3)
    run.log({"loss": math.nan, "up": math.inf, "down": -math.inf}, step=20)
    run.log({"counted": 1.0})
    table = swanlab.echarts.Table().add(["n", "x"], [[1, 0.5], [2, "two"]])
    run.log(
        {
            "text": swanlab.Text("hello", caption="c"),
            "long": swanlab.Text("x" * 100_000),
            "image": swanlab.Image(PIXELS, caption="noise"),
            "several": [swanlab.Image(PIXELS, caption="one"), swanlab.Image(PIXELS[::-1], caption="two")],
            "moving": swanlab.Video("a.gif", caption="v"),
            "page": swanlab.Html("<b>ü</b>", caption="p"),
            "points": swanlab.Object3D(np.arange(12.0).reshape(4, 3), caption="o"),
            "coloured": swanlab.Object3D(np.arange(12.0).reshape(2, 6)),
            "table": table,
            "bars": swanlab.echarts.Bar().add_xaxis(["q", "w"]).add_yaxis("y", [1, 2]),
        },
        step=30,
    )
    run.save("a.txt")
    inside = Path(run.dir, "files", "own", "b.txt")
    inside.parent.mkdir()
    inside.write_text("two")
    run.save(str(inside), base_path=Path(run.dir, "files"))
    run.finish()
    for resume in ("never", "allow"):
        run = swanlab.init(project="digits", name="second", id="theid123", resume=resume, log_dir=folder, **QUICK)
        run.config.update({resume: 1})
        first = 0 if resume == "never" else 3
        for step in range(first, first + 5):
            run.log({"loss": step + (100.0 if first else 0.0)}, step=step)
        run.finish(state="crashed" if first else "success", error="no more" if first else None)
        time.sleep(1.1)  # the names of folders have seconds
    run = swanlab.init(project="other", log_dir=os.path.join(folder, "deep"), **QUICK)
    run.log({"loss": 2.0})
    run.finish(state="aborted")


def killed(folder: str) -> None:
    run = swanlab.init(project="digits", name="killed", log_dir=folder, **QUICK)
    for step in range(20_000):
        run.log({"loss": step / 7}, step=step)
    time.sleep(2)
    os.kill(os.getpid(), signal.SIGKILL)


{"whole": whole, "killed": killed}[sys.argv[1]](sys.argv[2])
