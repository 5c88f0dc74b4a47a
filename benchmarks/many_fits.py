"""What many fits in one process leave behind, as a sweep has them: memory, descriptors, threads."""

from __future__ import annotations

import gc
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks._case import Case, Measured
from benchmarks._clients import open_client
from benchmarks._counts import count

TITLE = "Many fits in one process"
ABOUT = """\
A thousand fits of two steps, each with a logger of its own that nobody finishes, after a hundred to warm up: resident
memory in kB and time in ms for each fit, and how many more descriptors and threads there are at the end."""
COLUMNS = {"kB": "kB", "ms": "ms", "files": "descriptors", "threads": "threads"}
MAIN = "kB"

_case = partial(Case, "many_fits", once=True)
_NONE = "logger=False"
CASES = [
    _case(_NONE),
    _case("logger tensorboard", "logger", "tensorboard", against=_NONE, quick=True),
    _case("PL tensorboard", "PL", "tensorboard", against=_NONE),
]
_STEPS = 2


def run(case: Case, folder: Path, short: bool) -> Measured:
    """Fit many times, then count what was stored."""
    import psutil
    import torch

    torch.set_num_threads(1)
    warm_up, times = (2, 4) if short else (100, 1000)
    process = psutil.Process()

    def left() -> tuple[int, int, int]:
        gc.collect()
        time.sleep(2)  # what was collected ends in the background
        return process.memory_info().rss, process.num_fds(), process.num_threads()

    for number in range(warm_up):
        _fit(case, folder / f"warm-up-{number}")
    before, begin = left(), time.perf_counter()
    for number in range(times):
        _fit(case, folder / str(number))
    took = time.perf_counter() - begin
    memory, files, threads = (after - earlier for after, earlier in zip(left(), before, strict=True))
    values = {"kB": memory / times / 1000, "ms": took / times * 1000, "files": files, "threads": threads}
    if not case.system:
        return Measured(values)
    found = [count(case.backend, folder / str(number)) for number in range(times)]
    return Measured(values, times * _STEPS, sum(once for once, _ in found), sum(again for _, again in found))


def _fit(case: Case, folder: Path) -> None:
    from lightning.pytorch import Trainer
    from lightning.pytorch.demos.boring_classes import BoringModel

    class Model(BoringModel):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            output = super().training_step(batch, batch_idx)
            self.log("metric_0", output["loss"])
            return output

    folder.mkdir()
    logger = open_client(case, folder).logger if case.system else False
    off = dict.fromkeys(("enable_progress_bar", "enable_checkpointing", "enable_model_summary"), False)
    trainer = Trainer(
        logger=logger, max_steps=_STEPS, limit_val_batches=0, log_every_n_steps=1, accelerator="cpu", devices=1, **off
    )
    trainer.fit(Model())
