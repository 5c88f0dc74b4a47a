"""What a call with a medium costs the thread that makes it: an image, 16 small ones, a table, a histogram."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks._case import Case, Measured
from benchmarks._counts import wandb_rows
from benchmarks._settings import PACKAGES, arguments, need, prepare

TITLE = "What a medium costs"
ABOUT = """\
How long one call takes the thread that makes it, in ms, with 20 ms between two calls, in which what the call leaves to
do is done, or a part of it:

* *image*: one of 512 x 512 random pixels in RGB, which are the most work for a PNG; *16 images*: of 64 x 64 pixels;
  all are uint8 arrays, a new one in each call;
* *table*: 1,000 rows of 10 columns; *histogram*: a million numbers in 64 bins;
* *bytes*: what an image takes on the disk for each byte of its PNG, in the run directory or, without accel_track, with
  the backend."""
COLUMNS = {
    "image": "image",
    "images": "16 images",
    "table": "table",
    "histogram": "histogram",
    "bytes": "bytes",
}
MAIN = "image"

_case = partial(Case, "media")
CASES = [
    _case("facade tensorboard", "facade", "tensorboard", against="raw tensorboard", quick=True),
    _case("facade wandb", "facade", "wandb", against="raw wandb"),
    _case("facade mlflow", "facade", "mlflow", against="raw mlflow"),
    _case("facade nine trackers", "facade", "nine", against="facade tensorboard"),
    _case("facade tensorboard (process)", "facade", "tensorboard", "process", against="raw tensorboard"),
    _case("raw tensorboard", "raw", "tensorboard", quick=True),
    _case("raw wandb", "raw", "wandb"),
    _case("raw mlflow", "raw", "mlflow"),
    _case("PL wandb", "PL", "wandb"),
    _case("HF tensorboard", "HF", "tensorboard"),
    _case("HF wandb", "HF", "wandb"),
]
_CALLS, _WARM, _PAUSE = 20, 2, 0.02
_SIZE, _SMALL, _SEVERAL, _ROWS, _COLUMNS, _NUMBERS, _BINS = 512, 64, 16, 1000, 10, 1_000_000, 64
_NINE = ("tensorboard", "wandb", "comet_ml", "mlflow", "aim", "clearml", "dvclive", "swanlab", "trackio")
_PATIENCE = 600.0

Call = Callable[[int], object]


class Calls(NamedTuple):
    """How a system logs each medium with a step; None where it has no way."""

    image: Call
    images: Call
    table: Call | None
    histogram: Call | None
    finish: Callable[[], object]


class Data:
    """What is logged, another one for each step, made before the clock runs."""

    def __init__(self, calls: int) -> None:
        """Make it."""
        import numpy as np

        random = np.random.default_rng(0)
        self.image = [random.integers(0, 256, (_SIZE, _SIZE, 3), np.uint8) for _ in range(calls)]
        self.images = [random.integers(0, 256, (_SEVERAL, _SMALL, _SMALL, 3), np.uint8) for _ in range(calls)]
        self.columns = [f"column {number}" for number in range(_COLUMNS)]
        self.table = [random.normal(size=(_ROWS, _COLUMNS)).tolist() for _ in range(calls)]
        self.numbers = [random.normal(size=_NUMBERS).astype(np.float32) for _ in range(2)]


def run(case: Case, folder: Path, short: bool) -> Measured:
    """Time the calls of each kind in turn, then have everything stored and count it."""
    for backend in _NINE if case.backend == "nine" else (case.backend,):
        need(PACKAGES[backend])
    prepare(case.backend, folder)
    calls = 2 if short else _CALLS
    data = Data(calls + _WARM)
    system = {"facade": _facade, "raw": _raw, "PL": _lightning, "HF": _hugging_face}[case.system]
    logs: Calls = system(case, folder, data)
    values, logged = {}, 0
    for name in ("image", "images", "table", "histogram"):
        if (call := getattr(logs, name)) is not None:
            values[name] = _median(call, calls)
            if name != "histogram" or case.backend != "mlflow":  # where it is no medium of its own
                logged += (calls + _WARM) * (_SEVERAL if name == "images" and not _is_grid(case) else 1)
    logs.finish()
    size, found = _stored(case, folder)
    values["bytes"] = size / _png_size(data)
    return Measured(values, logged, found)


def _is_grid(case: Case) -> bool:
    """Whether several images become one: Hugging Face's tracker calls `SummaryWriter.add_images`."""
    return case.system == "HF" and case.backend == "tensorboard"


def _median(call: Call, calls: int) -> float:
    times = []
    for step in range(calls + _WARM):
        begin = time.perf_counter()
        call(step)
        times.append(time.perf_counter() - begin)
        time.sleep(_PAUSE)
    return statistics.median(times[_WARM:]) * 1000


def _png_size(data: Data) -> float:
    import io

    from PIL import Image

    total = 0
    for pixels in data.image:
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        total += len(stream.getvalue())
    return total / len(data.image)


def _facade(case: Case, folder: Path, data: Data) -> Calls:
    from accel_track import Accelerator

    names = list(_NINE) if case.backend == "nine" else [case.backend]
    plain = case.delivery != "thread"
    kwargs = {name: given for name in names if (given := arguments(name, folder, plain=plain))}
    accelerator = Accelerator(
        log_with=names,
        project_dir=folder,
        cpu=True,
        delivery=case.delivery,  # type: ignore[arg-type] # a mode
        start_timeout=_PATIENCE,
        finish_timeout=_PATIENCE,
    )
    accelerator.init_trackers(folder.name, init_kwargs=kwargs)
    return Calls(
        lambda step: accelerator.log_images({"image": data.image[step]}, step),
        lambda step: accelerator.log_images({"images": data.images[step]}, step),
        lambda step: accelerator.log_table("table", data.columns, data.table[step], step=step),
        lambda step: accelerator.log_histogram({"histogram": data.numbers[step % 2]}, step, bins=_BINS),
        accelerator.end_training,
    )


def _raw(case: Case, folder: Path, data: Data) -> Calls:
    return {"tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow}[case.backend](folder, data)


def _tensorboard(folder: Path, data: Data) -> Calls:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder))

    def images(step: int) -> None:
        for place, pixels in enumerate(data.images[step]):
            writer.add_image(f"images/{place}", pixels, step, dataformats="HWC")

    return Calls(
        lambda step: writer.add_image("image", data.image[step], step, dataformats="HWC"),
        images,
        None,
        lambda step: writer.add_histogram("histogram", data.numbers[step % 2], step),
        writer.close,
    )


def _wandb(folder: Path, data: Data) -> Calls:
    import wandb

    run = wandb.init(project=folder.name, **arguments("wandb", folder))
    return Calls(
        lambda step: run.log({"image": wandb.Image(data.image[step])}),
        lambda step: run.log({"images": [wandb.Image(pixels) for pixels in data.images[step]]}),
        lambda step: run.log({"table": wandb.Table(columns=data.columns, data=data.table[step])}),
        lambda step: run.log({"histogram": wandb.Histogram(data.numbers[step % 2], num_bins=_BINS)}),
        run.finish,
    )


def _mlflow(folder: Path, data: Data) -> Calls:
    from mlflow import MlflowClient

    client = MlflowClient()
    place = (folder / "artifacts").as_uri()
    run = client.create_run(client.create_experiment(folder.name, artifact_location=place)).info.run_id

    def images(step: int) -> None:
        for number, pixels in enumerate(data.images[step]):
            client.log_image(run, pixels, key=f"images {number}", step=step, synchronous=True)

    def table(step: int) -> None:
        columns = {name: [row[place] for row in data.table[step]] for place, name in enumerate(data.columns)}
        client.log_table(run, columns, f"table/{step}.json")

    return Calls(
        lambda step: client.log_image(run, data.image[step], key="image", step=step, synchronous=True),
        images,
        table,
        None,
        lambda: client.set_terminated(run),
    )


def _lightning(_: Case, folder: Path, data: Data) -> Calls:
    from lightning.pytorch.loggers import WandbLogger

    logger = WandbLogger(save_dir=str(folder), project=folder.name, offline=True)
    _ = logger.experiment
    return Calls(
        lambda step: logger.log_image("image", [data.image[step]], step),
        lambda step: logger.log_image("images", list(data.images[step]), step),
        lambda step: logger.log_table("table", data.columns, data.table[step], step=step),
        None,
        logger.experiment.finish,
    )


def _hugging_face(case: Case, folder: Path, data: Data) -> Calls:
    need("accelerate")
    from accelerate import Accelerator

    accelerator = Accelerator(log_with=case.backend, project_dir=str(folder), cpu=True)
    kwargs = {case.backend: given} if (given := arguments(case.backend, folder)) else {}
    accelerator.init_trackers(folder.name, init_kwargs=kwargs)
    tracker: Any = accelerator.get_tracker(case.backend)
    formats = {"dataformats": "NHWC"} if case.backend == "tensorboard" else {}
    return Calls(
        lambda step: tracker.log_images({"image": data.image[step][None]}, step, **formats),
        lambda step: tracker.log_images({"images": data.images[step]}, step, **formats),
        (lambda step: tracker.log_table("table", data.columns, data.table[step], step=step))
        if case.backend == "wandb"
        else None,
        None,
        accelerator.end_training,
    )


def _stored(case: Case, folder: Path) -> tuple[float, int]:
    """Return the bytes that an image takes, and how many media the backend's reader, or its folder, has."""
    read = {"wandb": _in_wandb, "mlflow": _in_mlflow}.get(case.backend, _in_event_file)
    size, found = read(folder)
    return (_in_run_directory(folder) if case.system == "facade" else size), found


def _in_event_file(folder: Path) -> tuple[float, int]:
    from tensorboard.backend.event_processing.event_accumulator import STORE_EVERYTHING_SIZE_GUIDANCE, EventAccumulator

    (file,) = folder.rglob("events.out.tfevents.*")
    events = EventAccumulator(str(file.parent), STORE_EVERYTHING_SIZE_GUIDANCE)
    events.Reload()
    tags = events.Tags()
    images = {tag: [len(one.encoded_image_string) for one in events.Images(tag)] for tag in tags["images"]}
    single = [size for tag, sizes in images.items() if tag.split("/")[0] == "image" for size in sizes]
    histograms = sum(len(events.Histograms(tag)) for tag in tags["histograms"])
    tables = sum(len(events.Tensors(tag)) for tag in tags["tensors"] if tag.endswith("text_summary"))
    return statistics.mean(single), sum(map(len, images.values())) + histograms + tables


def _in_wandb(folder: Path) -> tuple[float, int]:
    pictures = list(folder.rglob("files/media/images/*.png"))
    single = [file.stat().st_size for file in pictures if file.name.startswith("image_")]
    tables = list(folder.rglob("files/media/table/*.table.json"))
    fields = [name for row in wandb_rows(folder) for name in row]
    histograms = sum(name in ("histogram", "histogram/_type") for name in fields)
    return statistics.mean(single), len(pictures) + len(tables) + histograms


def _in_mlflow(folder: Path) -> tuple[float, int]:
    pictures = list(folder.rglob("artifacts/**/images/*.png"))
    single = [file.stat().st_size for file in pictures if file.name.startswith("image+")]
    tables = list(folder.rglob("artifacts/**/table*/**/*.json"))
    return statistics.mean(single), len(pictures) + len(tables)


def _in_run_directory(folder: Path) -> float:
    media = folder.rglob(".accel_track/*/*/rank-*/media/*.png")
    large = [file.stat().st_size for file in media if file.stat().st_size > _SIZE * _SIZE]
    return statistics.mean(large)
