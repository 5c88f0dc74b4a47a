"""The samples of `show`, `compare` and `tail` in docs/command-line.md; `python -m` this module writes them."""

import contextlib
import math
import os
import random
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from typer.testing import CliRunner

from accel_track.cli import app
from accel_track.journal.directory import RunDirectory
from accel_track.journal.past import PastWriter

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"
BEGIN, END = "<!-- {}: made by `python -m tests.support.show_samples` -->\n", "<!-- end of {} -->\n"

_BEGUN = 1_769_860_800.0
"""2026-01-31 12:00 UTC."""

COMMANDS = {
    "show": ["show", "c0ffee"],
    "show --metric": ["show", "c0ffee", "--metric", "*/loss"],
    "compare": ["compare", "c0ffee", "badc0de", "fa11ed"],
    "compare --seeds": ["compare", *("c0ffee", "badc0de", "fa11ed", "5eed01"), "--seeds", "--metric", "val/*"],
    "tail": ["tail", "c0ffee", "-n", "2"],
}
"""The samples' commands, by their names."""

_IDS = ("c0ffee", "badc0de", "fa11ed", "5eed01")


def _make(number: int, name: str, lr: float, seed: int) -> None:
    run_id = f"20260131-12000{number}-{_IDS[number]}"
    run = RunDirectory.create("runs", "digits", name, ["train.py", "--lr", f"{lr:g}"], run_id)
    info = run.load()
    info.created, info.host, info.pid, info.status = _BEGUN + number, "gpu-7", 4200 + number, "finished"
    run.save(info)
    writer, chance = PastWriter(run.rank(), _BEGUN), random.Random(f"{lr} {seed}")
    writer.config({"optimizer": {"name": "adamw", "lr": lr}, "seed": seed, "batch_size": 64})
    for step in range(0, 1000, 10):
        writer.moment = _BEGUN + step / 4
        loss = 0.2 + 2 * math.exp(-step * lr) + chance.random() / 10
        values = {"train": {"loss": loss}, "val": {"loss": loss + 0.1 + step / 5000, "acc": 1 - loss / 3}}
        writer.metrics(values, step, {})
    writer.close()


@contextlib.contextmanager
def _runs() -> Iterator[None]:
    before = Path.cwd()
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for number, (name, lr, seed) in enumerate(
                (("steep", 0.02, 0), ("steep-again", 0.02, 1), ("flat", 0.002, 0), ("flat-again", 0.002, 1))
            ):
                _make(number, name, lr, seed)
            yield
        finally:
            os.chdir(before)


def samples() -> dict[str, str]:
    """Return what each command prints in 80 columns, and not on a terminal."""
    found = {}
    with _runs():
        for name, words in COMMANDS.items():
            paths = {one: str(path) for one in _IDS for path in Path("runs/.accel_track/digits").glob(f"*{one}")}
            result = CliRunner().invoke(app, [paths.get(word, word) for word in words], env={"COLUMNS": "80"})
            assert result.exit_code == 0, result.output
            text = re.sub(r" +$", "", result.stdout, flags=re.MULTILINE)
            found[name] = f"$ accel-track {shlex.join(words)}\n{text}"
    return found


def page(text: str) -> str:
    """Return the page with the samples in their places."""
    for name, sample in samples().items():
        before, rest = text.split(BEGIN.format(name))
        after = rest.split(END.format(name))[1]
        text = f"{before}{BEGIN.format(name)}\n```text\n{sample}```\n\n{END.format(name)}{after}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
