"""Write runs with Trackio itself, as its users do: `python raw_trackio.py whole|waiting|killed PROJECT`."""

import math
import os
import signal
import sys
import time
import wave
from pathlib import Path

import numpy as np
import trackio
from PIL import Image

PIXELS = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3)
POINTS = np.arange(12, dtype=np.float32).reshape(4, 3)


def files() -> None:
    with wave.open("a.wav", "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(200))
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "green")]
    frames[0].save("a.gif", save_all=True, append_images=frames[1:])
    Path("a.mp4").write_bytes(b"mp4")
    Path("a.obj").write_text("v 0 0 0\n")
    Path("data/deep").mkdir(parents=True)
    Path("data/a.txt").write_text("one")
    Path("data/deep/b.bin").write_bytes(b"two")


def whole(project: str) -> None:
    files()
    config = {"lr": 0.5, "model": {"layers": 3, "sizes": [1, 2]}, "bad": math.nan, "note": "ü"}
    run = trackio.init(project=project, name="first", config=config)
    for step in range(20):
        run.log({"loss": 1 / (step + 1), "train": {"acc": step}, "count": step}, step=step)
    run.log({"loss": 9.0}, step=3)
    run.log({"loss": math.nan, "up": math.inf, "down": -math.inf, "text": "hello"}, step=20)
    run.log({"step": 1, "__odd": 2, "list": [1, 2.5], "nothing": None}, step=21)
    table = trackio.Table(columns=["n", "x"], data=[[1, 0.5], [2, "two"]])
    run.log(
        {
            "image": trackio.Image(PIXELS, caption="noise"),
            "moving": trackio.Image("a.gif"),
            "sound": trackio.Audio("a.wav", caption="hum"),
            "film": trackio.Video("a.mp4"),
            "page": trackio.Html("<b>ü</b>"),
            "points": trackio.Object3D(POINTS),
            "model3d": trackio.Object3D("a.obj"),
            "table": table,
            "histogram": trackio.Histogram(np.arange(10), num_bins=5),
            "report": trackio.Markdown("# Title"),
            "trace": trackio.Trace([{"role": "user", "content": "hi"}]),
        },
        step=22,
    )
    artifact = trackio.Artifact("data", type="dataset", metadata={"rows": 3})
    artifact.add_dir("data")
    run.log_artifact(artifact)
    run.finish()
    second = trackio.init(project=project, name="second", config={"lr": 0.25})
    second.log({"loss": 2.0})
    second.log({"loss": 3.0})
    second.log_artifact("data/a.txt", name="again", type="model")
    second.finish()


def waiting(project: str) -> None:
    for number in range(2):
        run = trackio.init(project=project, name=f"waiting-{number}", config={"lr": 0.5, "number": number})
        for step in range(5):
            run.log({"loss": step / 7, "image": trackio.Image(PIXELS)}, step=step)
            time.sleep(0.3)  # longer than a file of rows waits to be written
        run.log({"bad": math.nan}, step=5)
        run.finish()


def killed(project: str) -> None:
    run = trackio.init(project=project, name="killed")
    for step in range(100):
        run.log({"loss": step / 7}, step=step)
    time.sleep(2)
    os.kill(os.getpid(), signal.SIGKILL)


{"whole": whole, "waiting": waiting, "killed": killed}[sys.argv[1]](sys.argv[2])
