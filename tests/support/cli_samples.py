"""The samples in docs/commands and docs/report.md, but for the screen of `top`; `python -m` this module writes them."""

import contextlib
import json
import math
import os
import random
import re
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args
from unittest.mock import patch

from typer.testing import CliRunner

from accel_track.cli import app
from accel_track.records import Alert
from accel_track.registry import BackendName
from tests.support.made_runs import made

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [*sorted((DOCS / "commands").glob("*.md")), DOCS / "report.md"]
_BEGIN, _END = "<!-- {}: made by `python -m {}` -->\n", "<!-- end of {} -->\n"
_NOW = 1_769_860_800.0
"""2026-01-31 12:00 UTC."""

_FOUR = ("c0ffee", "badc0de", "fa11ed", "5eed01")
COMMANDS = {
    "ls": ["ls", "--metric", "val/acc:max"],
    "show": ["show", "c0ffee"],
    "show --metric": ["show", "c0ffee", "--metric", "*/loss"],
    "compare": ["compare", *_FOUR[:3]],
    "compare --seeds": ["compare", *_FOUR, "--seeds", "--metric", "val/*"],
    "tail": ["tail", "c0ffee", "-n", "3"],
    "tail, piped": ["tail", "c0ffee", "-n", "1"],
    "report": ["report", "c0ffee", "fa11ed", "-o", "report.html"],
    "alerts": ["alerts", "fa11ed"],
    "sync": ["sync", "fa11ed", "--to", "jsonl"],
    "verify": ["verify", "fa11ed", "--against", "jsonl"],
    "export": ["export", "fa11ed", "--format", "csv", "--output", "run.csv"],
    "import": ["import", "results.csv", "--set", "step=epoch", "--into", "runs"],
    "move": ["move", "results.csv", "--set", "step=epoch", "--into", "runs", "--to", "jsonl"],
    "prune": ["prune", "runs", "--dry-run"],
    "rename": ["rename", "c0ffee", "baseline"],
    "tag": ["tag", "baseline", "paper", "best"],
    "note": ["note", "badc0de", "another seed, the same curve"],
    "rm": ["rm", "fa11ed"],
    "doctor": ["doctor"],
}
"""The samples' commands, by their names, in the order in which they are called."""

_PIPED = ("tail, piped",)
_VARYING = [
    (r"[\d.]+ MiB", "1.4 MiB"),
    (r"imported-[0-9a-f]{12}", "imported-522d1ad3d1c7"),
    (r"^python .*", "python 3.11.7, accel-track 0.2.0, torch 2.13.0, lightning 2.6.6"),
]
"""What other versions of libraries and other folders change, and what stands for it."""


_OFFLINE = {"WANDB_MODE": "offline", "COMET_START_ONLINE": "0", "CLEARML_OFFLINE_MODE": "1", "HOME": "."}
_UNSET = ("ACCEL_TRACK_START_TIMEOUT", "SWANLAB_MODE", "SWANLAB_API_KEY", "MLFLOW_TRACKING_URI")
_VARIABLES = {"COLUMNS": "80", **_OFFLINE, **dict.fromkeys(_UNSET)}
"""The environment of the commands, in which SwanLab alone has no credentials."""


def _make_sweep() -> None:
    """Make the runs of a sweep, of which two differ in the seed alone."""
    sweep = (("steep", 0.02, 0), ("steep-again", 0.02, 1), ("flat", 0.002, 0), ("flat-again", 0.002, 1))
    for number, (name, lr, seed) in enumerate(sweep):
        chance, values = random.Random(f"{lr} {seed}"), []
        for step in range(0, 1000, 10):
            loss = 0.2 + 2 * math.exp(-step * lr) + chance.random() / 10
            values.append({"train": {"loss": loss}, "val": {"loss": loss + 0.1 + step / 5000, "acc": 1 - loss / 3}})
        config = {"optimizer": {"name": "adamw", "lr": lr}, "seed": seed, "batch_size": 64}
        about = {"command": ["train.py", "--lr", f"{lr:g}"], "host": "gpu-7", "pid": 4200 + number}
        late = Alert("val/loss rises", "0.82 at the end, 0.78 at step 460", "warning")
        raised = [late] * (name == "flat")
        where = {"digits": _FOUR[number], "config": config, "values": values, "each": 2.5, "every": 10}
        made("runs", "digits", name, _NOW + number, raised=raised, **where, **about)


def _make_table() -> None:
    """Make the table of another program, in a folder of that program."""
    rows = (f"{epoch},{1 / (epoch + 1):.3f},{epoch / 10}" for epoch in range(10))
    Path("results.csv").write_text("\n".join(("epoch,loss,acc", *rows)), encoding="utf-8")


def _make_list() -> None:
    """Make runs of two projects, as they are in the course of days."""
    hour = 3600.0
    for project, name, ago, status, best, count, pending in (
        ("digits", "baseline", 200 * hour, "finished", 0.9312, 1200, 0),
        ("digits", "wide-3", 50 * hour, "failed", 0.8841, 410, 0),
        ("digits", "wide-4", 49 * hour, "finished", 0.9477, 1200, 240),
        ("language-model", "tokens-32k-cosine", 5 * hour, "interrupted", 0.4102, 800, 0),
        ("language-model", "tokens-64k", 2 * hour, "preempted", 0.3995, 600, 100),
    ):
        values = [{"val/acc": best if step == count // 2 else best / 2} for step in range(count)]
        made("runs", project, name, _NOW - ago, status=status, values=values, each=6.0, pending=pending)


@contextlib.contextmanager
def _elsewhere() -> Iterator[None]:
    """Be in an empty folder, in UTC."""
    before, zone = Path.cwd(), os.environ.get("TZ")
    with TemporaryDirectory() as folder:
        Path(folder, "work").mkdir()
        os.chdir(Path(folder, "work"))
        os.environ["TZ"] = "UTC"
        time.tzset()
        try:
            yield
        finally:
            os.chdir(before)
            os.environ.pop("TZ") if zone is None else os.environ.update(TZ=zone)
            time.tzset()


def _printed(name: str, words: list[str]) -> str:
    """Return a command and what it prints in 80 columns."""
    with contextlib.ExitStack() as stack:
        if name not in _PIPED:
            for command in ("ls", "tail"):
                stack.enter_context(patch(f"accel_track.cli.{command}.is_terminal", lambda: True))
        stack.enter_context(
            patch("accel_track.registry.known_names", lambda: sorted({*get_args(BackendName)} - {"all"}))
        )
        result = CliRunner().invoke(app, words, env=_VARIABLES, input="y\n")
    assert result.exit_code == 0, result.output
    text = re.sub(r" +$", "", result.output, flags=re.MULTILINE)
    for pattern, plain in _VARYING:
        text = re.sub(pattern, plain, text, flags=re.MULTILINE)
    return f"$ accel-track {shlex.join(words)}{' | cat' * (name in _PIPED)}\n{text}"


def documents() -> dict[str, Any]:
    """Return what commands print with `--json`."""
    found = {}
    with patch("time.time", lambda: _NOW), _elsewhere():
        _make_sweep()
        _make_table()
        for name, words in COMMANDS.items():
            if not name.startswith(("ls", "tail", "doctor")):
                more = {"sync": ["--verify"], "move": ["--verify"], "rm": ["-y"]}.get(name, [])
                result = CliRunner().invoke(app, [*words, *more, "--json"], env=_VARIABLES)
                found[name] = json.loads(result.stdout)
        found["ls"] = json.loads(CliRunner().invoke(app, ["ls", "--json"], env=_VARIABLES).stdout)
    return found


def samples() -> dict[str, str]:
    """Return what each command prints."""
    found = {}
    with patch("time.time", lambda: _NOW):
        with _elsewhere():
            _make_list()
            found["ls"] = _printed("ls", COMMANDS["ls"])
        with _elsewhere():
            _make_sweep()
            _make_table()
            found |= {name: _printed(name, words) for name, words in COMMANDS.items() if name != "ls"}
    return found


def placed(text: str, name: str, sample: str, module: str = "tests.support.cli_samples") -> str:
    """Return a page with a sample in its place."""
    begin, end = _BEGIN.format(name, module), _END.format(name)
    before, rest = text.split(begin)
    return f"{before}{begin}\n```text\n{sample}```\n\n{end}{rest.split(end)[1]}"


def page(text: str, found: dict[str, str]) -> str:
    """Return a page with those of the samples that it has a place for."""
    for name in names_in(text):
        text = placed(text, name, found[name])
    return text


def names_in(text: str) -> list[str]:
    """Return the names of the samples that a page has a place for."""
    return re.findall(_BEGIN.format("(.+)", re.escape("tests.support.cli_samples")), text)


if __name__ == "__main__":
    made_now = samples()
    for place in PAGES:
        place.write_text(page(place.read_text(encoding="utf-8"), made_now), encoding="utf-8")
