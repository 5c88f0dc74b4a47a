"""The tables of docs/migrating/accelerate.md: `python -m tests.support.accelerate_names` writes them."""

import inspect
import types
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from accel_track import Accelerator, absent

PAGE = Path(__file__).parents[2] / "docs" / "migrating" / "accelerate.md"
BEGIN, END = "<!-- tables: made by `python -m tests.support.accelerate_names` -->\n", "<!-- end of the tables -->\n"
_PLAIN = "is not here"


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
            {"GradientState": "is not here: use `accelerator.gradient_state`"}.get,
        ),
    }


def tables() -> str:
    """Return the tables, with the counts above them."""
    parts = []
    for place, (names, here, about) in places().items():
        there = [name for name in names if name in here]
        lines = [f"### {place}: {len(there)} of {len(names)}\n", ", ".join(f"`{name}`" for name in there) + "."]
        groups: dict[str, list[str]] = {}
        for name in names:
            if name not in here:
                groups.setdefault(about(name) or _PLAIN, []).append(f"`{name}`")
        if groups:
            rows = [f"| {', '.join(members)} | {hint} |" for hint, members in sorted(groups.items())]
            lines += ["\n| Not here | What each of these is, or what to use |", "|---|---|", *rows]
        parts.append("\n".join(lines))
    head = f"Compared with accelerate {version('accelerate')}.\n\n"
    return head + "\n\n".join(parts) + "\n"


def page(text: str) -> str:
    """Return the page with the tables in their place."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{tables()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
