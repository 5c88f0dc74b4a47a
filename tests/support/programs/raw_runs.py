"""Write a small run with a library itself, as its users do: `python raw_runs.py KIND FOLDER`, printing the place."""

import csv
import json
import os
import sys
from pathlib import Path

import numpy as np

PIXELS = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3)
CONFIG = {"lr": 0.5, "layers": 3}
ROWS = [{"step": n, "time": 1.7e9 + n, "loss": 1 / (n + 1), "train/acc": n / 32, "note": None} for n in range(20)]
ROWS[-1] |= {"loss": float("nan"), "note": "the end"}
VALUES = [{name: row[name] for name in ("loss", "train/acc")} for row in ROWS]


def aim(folder: Path) -> Path:
    from aim import Image, Run, Text
    from PIL import Image as Pil

    run = Run(repo=str(folder), experiment="digits", system_tracking_interval=None, log_system_params=False)
    run["hparams"] = CONFIG
    for step, values in enumerate(VALUES):
        run.track(values, step=step)
    run.track(Text("hello"), name="text", step=19)
    run.track(Image(Pil.fromarray(PIXELS)), name="image", step=19)
    run.close()
    return folder


def clearml(_: Path) -> Path:
    from clearml import Task

    task = Task.init(
        project_name="digits", task_name="first", auto_connect_frameworks=False, auto_connect_arg_parser=False
    )
    task.connect(CONFIG)
    for step, values in enumerate(VALUES[:-1]):
        task.get_logger().report_scalar("loss", "loss", values["loss"], step)
        task.get_logger().report_scalar("train", "acc", values["train/acc"], step)
    task.get_logger().report_image("image", "image", iteration=19, image=PIXELS)
    task.close()
    return Path(task.get_offline_mode_folder())


def comet_ml(folder: Path) -> Path:
    import comet_ml

    run = comet_ml.OfflineExperiment(project_name="digits", workspace="us", offline_directory=str(folder))
    run.set_name("first")
    run.log_parameters(CONFIG)
    for step, values in enumerate(VALUES):
        run.log_metrics(values, step=step)
    run.log_text("hello", step=19)
    run.log_image(PIXELS, name="image", step=19)
    run.end()
    return folder


def csv_logs(folder: Path) -> Path:
    from lightning.pytorch.loggers import CSVLogger

    logger = CSVLogger(str(folder), name="digits")
    logger.log_hyperparams(CONFIG)
    for step, values in enumerate(VALUES):
        logger.log_metrics(values, step)
    logger.finalize("success")
    return folder


def dvclive(folder: Path) -> Path:
    from dvclive import Live

    with Live(str(folder / "dvclive"), save_dvc_exp=False, report=None, dvcyaml=None) as live:
        live.log_params(CONFIG)
        for step, values in enumerate(VALUES):
            live.step = step
            for name, value in values.items():
                live.log_metric(name, value)
        live.log_image("image.png", PIXELS)
    return folder


def mlflow(folder: Path) -> Path:
    import mlflow

    uri = f"sqlite:///{folder}/mlflow.db"
    mlflow.set_tracking_uri(uri)
    mlflow.create_experiment("digits", artifact_location=(folder / "artifacts").as_uri())
    mlflow.set_experiment("digits")
    with mlflow.start_run(run_name="first"):
        mlflow.log_params(CONFIG)
        for step, values in enumerate(VALUES):
            mlflow.log_metrics(values, step=step)
        mlflow.log_image(PIXELS, key="image", step=19)
        mlflow.log_text("hello", "notes.txt")
    return folder


def swanlab(folder: Path) -> Path:
    import swanlab

    probes = ("hardware", "requirements", "conda", "git", "runtime", "monitor")
    settings = swanlab.Settings(probe=swanlab.Settings.Probe(**dict.fromkeys(probes, False)))
    run = swanlab.init(project="digits", name="first", config=CONFIG, log_dir=str(folder), settings=settings)
    for step, values in enumerate(VALUES):
        run.log(values, step=step)
    run.log({"text": swanlab.Text("hello"), "image": swanlab.Image(PIXELS, caption="noise")}, step=20)
    run.finish()
    return folder


def tensorboard(folder: Path) -> Path:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder / "first")) as writer:
        for row, values in zip(ROWS, VALUES, strict=True):
            for name, value in values.items():
                writer.add_scalar(name, value, row["step"], walltime=row["time"])
        writer.add_text("text", "hello", 19)
        writer.add_image("image", PIXELS, 19, dataformats="HWC")
        writer.add_histogram("bins", np.arange(100.0), 19)
        writer.add_hparams(CONFIG, {"best": 0.25})
    return folder


def trackio(folder: Path) -> Path:
    os.environ["TRACKIO_DIR"] = str(folder)
    import trackio

    run = trackio.init(project="digits", name="first", config=CONFIG)
    for step, values in enumerate(VALUES):
        run.log(values, step=step)
    run.log({"note": "hello", "image": trackio.Image(PIXELS, caption="noise")}, step=20)
    run.finish()
    return folder


def wandb(folder: Path) -> Path:
    import wandb

    run = wandb.init(project="digits", name="first", dir=str(folder), config=CONFIG, mode="offline")
    for step, values in enumerate(VALUES):
        run.log(values, step=step)
    run.log({"note": "hello", "image": wandb.Image(PIXELS, caption="noise")}, step=20)
    (folder / "a.txt").write_text("one")
    run.log_artifact(str(folder / "a.txt"), name="data", type="dataset")
    run.finish()
    return folder


def csv_table(folder: Path) -> Path:
    with (folder / "table.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ROWS[0])
        writer.writeheader()
        writer.writerows(ROWS)
    return folder / "table.csv"


def jsonl(folder: Path) -> Path:
    (folder / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return folder / "table.jsonl"


def parquet(folder: Path) -> Path:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.Table.from_pylist(ROWS), folder / "table.parquet")
    return folder / "table.parquet"


MAKERS = {
    "aim": aim,
    "clearml": clearml,
    "comet_ml": comet_ml,
    "csv_logs": csv_logs,
    "dvclive": dvclive,
    "mlflow": mlflow,
    "swanlab": swanlab,
    "tensorboard": tensorboard,
    "trackio": trackio,
    "wandb": wandb,
    "csv": csv_table,
    "jsonl": jsonl,
    "parquet": parquet,
}

if __name__ == "__main__":
    place = MAKERS[sys.argv[1]](Path(sys.argv[2]))
    Path(sys.argv[2], "..", "place").write_text(str(place))
