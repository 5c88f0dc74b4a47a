"""The tables of docs/migrating/accelerate.md: `python -m tests.support.accelerate_names` writes them."""

import inspect
import re
import types
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from accel_track import Accelerator, absent

PAGE = Path(__file__).parents[2] / "docs" / "migrating" / "accelerate.md"
BEGIN, END = "<!-- tables: made by `python -m tests.support.accelerate_names` -->\n", "<!-- end of the tables -->\n"
_PLAIN = "is not here"
_FEW = 4
"""Names that fit into a table beside what to use instead."""
_REASONS = {
    absent.SHARDED.removeprefix("it "): "**Sharded training** (DeepSpeed, FSDP, Megatron-LM, tensor or context "
    "parallelism): keep accelerate's own `Accelerator`, and give it this package's trackers by "
    "`log_with=[as_accelerate_tracker(…)]`",
    absent.HELPER.removeprefix(
        "it "
    ): "**Helpers**: import these from accelerate, which may be installed beside this package",
    absent.LARGE.removeprefix("it "): "**Large models on several devices**: import these from accelerate, too",
    absent.FP8.removeprefix("it "): '**FP8**: `mixed_precision` is `"no"`, `"fp16"` or `"bf16"` here',
}
"""What the page says of many names, in place of what the error of one says."""


def _public(module: Any, within: str = "") -> list[str]:
    """Return the names of a module that are no modules; with `within`, only what is defined there."""
    return [
        name
        for name in dir(module)
        if not name.startswith("_")
        and not isinstance(value := getattr(module, name), types.ModuleType)
        and (not within or getattr(value, "__module__", "").startswith(within))
    ]


def places() -> dict[str, tuple[list[str], set[str], Any]]:
    """Return for each place its names in accelerate, those that are here, and what there is to say of one that is not."""
    import accelerate
    import accelerate.logging
    import accelerate.state
    import accelerate.utils

    theirs = accelerate.Accelerator
    public = [name for name in dir(theirs) if not name.startswith("_")]
    arguments = [name for name in inspect.signature(theirs.__init__).parameters if name != "self"]
    refused = {"deepspeed_plugin", "fsdp_plugin", "megatron_lm_plugin"}
    here = set(inspect.signature(Accelerator.__init__).parameters) - refused
    hints = absent.ARGUMENTS | dict.fromkeys(refused, absent.SHARDED)
    states = ["AcceleratorState", "DistributedType", "GradientState", "PartialState", "is_initialized"]
    own = {
        place: set(dir(import_module(place))) for place in ("accel_track", "accel_track.logging", "accel_track.utils")
    }
    own["accel_track.state"] = set(import_module("accel_track.state").__all__)
    return {
        "Arguments of `Accelerator`": (arguments, here, hints.get),
        "Attributes of `Accelerator`": (public, set(dir(Accelerator)), absent.ACCELERATOR.get),
        "`accelerate`": (_public(accelerate), own["accel_track"], absent.PACKAGE.get),
        "`accelerate.utils`": (_public(accelerate.utils), own["accel_track.utils"], absent.in_utils),
        "`accelerate.logging`": (["MultiProcessAdapter", "get_logger"], own["accel_track.logging"], {}.get),
        "`accelerate.state`": (
            states,
            own["accel_track.state"],
            {"GradientState": "is not here: use `gradient_state` of the `Accelerator`"}.get,
        ),
    }


def _folded(title: str, names: list[str]) -> str:
    """Return names that a reader unfolds."""
    title = re.sub(r"`([^`]+)`", r"<code>\1</code>", title)
    inside = f"<summary>{title}</summary>\n\n{', '.join(f'`{name}`' for name in names)}"
    return f'<details markdown="1">\n{inside}\n\n</details>'


def _heading(hint: str) -> str:
    """Return what to do without some names, from what their errors say."""
    hint = _REASONS.get(hint.removeprefix("it "), hint)
    hint = re.sub(r"^(it )?is not (here: |needed: (?=[a-z]))", "", hint)
    return hint[0].upper() + hint[1:]


def tables() -> str:
    """Return what is here, place by place, and what is not, by what to use instead."""
    here_of, instead = [], dict[str, list[str]]()
    for place, (names, here, about) in places().items():
        there = [name for name in names if name in here]
        here_of.append(_folded(f"{place}: {len(there)} of {len(names)}", there))
        for name in names:
            if name not in here:
                group = instead.setdefault(_heading(about(name) or _PLAIN), [])
                group += [] if name in group else [name]
    parts = [
        f"The names are those of accelerate {version('accelerate')}.",
        "### What is here",
        *here_of,
        "### What to use instead",
    ]
    few = {hint: names for hint, names in instead.items() if len(names) <= _FEW}
    rows = [f"| {', '.join(f'`{name}`' for name in names)} | {hint} |" for hint, names in few.items()]
    parts.append("\n".join(["| Not here | Instead |", "|---|---|", *rows]))
    for hint, names in instead.items():
        if hint not in few:
            parts += [f"{hint}.", _folded(f"{len(names)} names", names)]
    return "\n\n".join(parts) + "\n"


def page(text: str) -> str:
    """Return the page with the tables in their place."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{tables()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
