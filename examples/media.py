"""Images, tables, sound, video and all other media to every backend, offline.

    python examples/media.py --dir runs
    python examples/media.py --dir runs tensorboard mlflow

In a Git repository, DVCLive makes a folder `.dvc` at its root.
"""

import argparse
import os
import warnings
from pathlib import Path

import numpy as np

PARSER = argparse.ArgumentParser(description=__doc__.splitlines()[0])
PARSER.add_argument("log_with", nargs="*", default=["all"], help="names of backends; default: all that are installed")
PARSER.add_argument("--dir", default="runs", help="where to put everything")
PARSER.add_argument("--steps", type=int, default=3)
ARGUMENTS = PARSER.parse_args()
FOLDER = Path(ARGUMENTS.dir).resolve()

# The SDKs read these when they are imported. Without them, those that have a service need its credentials.
os.environ |= {
    "WANDB_MODE": "offline",
    "COMET_START_ONLINE": "0",
    "CLEARML_OFFLINE_MODE": "1",
    "SWANLAB_MODE": "offline",
    "HF_HUB_OFFLINE": "1",
    "TRACKIO_DIR": str(FOLDER / "trackio"),
    "CLEARML_CACHE_DIR": str(FOLDER / "clearml"),
}

from accel_track import Accelerator, media  # noqa: E402
from accel_track.tracking import get_available_trackers  # noqa: E402

WHERE = {
    "tensorboard": "tensorboard --logdir {}",
    "mlflow": "mlflow ui --backend-store-uri sqlite:///{}/mlflow.db",
    "trackio": "TRACKIO_DIR={}/trackio trackio show",
    "aim": "aim up --repo {}",
    "wandb": "wandb sync {}/wandb/offline-run-*",
    "comet_ml": "comet upload {}/comet_ml/*.zip",
    "swanlab": "swanlab sync {}/swanlog/run-*",
    "dvclive": "the folder {}/shapes",
    "clearml": "clearml.Task.import_offline_session(...) with a session of {}/clearml",
}


def square(step: int, size: int = 64) -> np.ndarray:
    """An image that says which step it is of: a square that moves to the right."""
    image = np.full((size, size, 3), 240, np.uint8)
    left = 6 + 8 * (step % 5)
    image[20:44, left : left + 24] = (200, 60, 40)
    return image


def main() -> None:
    rng = np.random.default_rng(0)
    names = get_available_trackers() if ARGUMENTS.log_with == ["all"] else ARGUMENTS.log_with
    kwargs = {"dvclive": {"save_dvc_exp": False}} if "dvclive" in names else {}  # no commit to a Git repository
    accelerator = Accelerator(log_with=names, project_dir=FOLDER)
    accelerator.init_trackers("shapes", config={"steps": ARGUMENTS.steps}, init_kwargs=kwargs)
    for step in range(ARGUMENTS.steps):
        time = np.arange(4000) / 8000
        angles = rng.uniform(0, 2 * np.pi, 200)
        ring = np.stack([np.cos(angles), np.sin(angles), rng.normal(0, 0.1, 200)], axis=1)
        targets = rng.integers(0, 3, 60)
        guesses = np.where(rng.random(60) < 0.5 + 0.1 * step, targets, rng.integers(0, 3, 60))
        accelerator.log(
            {
                "loss": 1 / (step + 1),
                "one/image": media.Image(square(step), caption=f"step {step}"),
                "several/images": [media.Image(square(step + i), caption=f"{i} ahead") for i in range(3)],
                "a/table": media.Table([[step, "square", 0.5], [step, "ring", 0.25]], ["step", "shape", "share"]),
                "a/histogram": media.Histogram(rng.normal(step, 1, 1000)),
                "a/text": media.Text(f"# Step {step}\n\nA text in *Markdown*."),
                "a/sound": media.Audio(np.sin(2 * np.pi * 220 * (step + 1) * time) / 2, sample_rate=8000),
                "a/video": media.Video(np.stack([square(frame) for frame in range(5)]), fps=4),
                "a/page": media.Html(f"<h1>Step {step}</h1><p>A page.</p>"),
                "a/ring": media.Points3D(ring),
                "a/confusion": media.ConfusionMatrix(targets, guesses, labels=["square", "ring", "star"]),
            },
            step=step,
        )
    accelerator.log_artifact(__file__, "script", type="code")
    accelerator.end_training()
    for name in names:
        print(f"{name}: {WHERE.get(name, '{}').format(FOLDER)}")
    print(f"look at it: accel-track ls {FOLDER}")


if __name__ == "__main__":
    warnings.filterwarnings("ignore", module=r"(?!accel_track)")
    main()
