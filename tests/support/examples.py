"""The examples as a user runs them, and the list of them in examples/README.md: `python -m tests.support.examples` writes it."""

import ast
import os
import re
import sys
from pathlib import Path

from tests.support import warm

EXAMPLES = Path(__file__).parents[2] / "examples"
PAGE = EXAMPLES / "README.md"
GROUPS = {
    "Training": ["digits_lightning", "digits_accelerator", "lightning_cli", "media"],
    "Clusters": ["torchrun_plain", "preemption", "cluster"],
    "Several runs": ["k_fold", "optuna_study", "hydra_sweep"],
    "Trackers of your own": ["custom_tracker", "plugin_package", "mixed"],
    "Other libraries": ["accelerate_script", "ignite_loop"],
}
_COMMAND = re.compile(r"^ *(?:python|torchrun|sbatch|bash) (?:.*\\\n)*.*", re.MULTILINE)
"""A command, with the lines that go on with it; the formatter takes the indentation of some away."""
_BEGIN = """\
# Examples

Each reads from top to bottom, works on a laptop without an account, and says at its end where to look. They take names
of backends; what a backend needs is on [its page](../docs/backends/index.md). In a copy of the repository ([Install](../docs/start/install.md)):

```bash
python -m pip install -c constraints.txt '.[demo]'
```
"""


def run(name: str, *arguments: str, by: tuple[str, ...] = (), env: dict[str, str] | None = None) -> str:
    """Run an example, and what it says to look at its run with; return what it has printed.

    Args:
        name: Its file.
        arguments: Its arguments.
        by: Python's arguments before the file, such as those of a launcher.
        env: Variables that are added.
    """
    command = [sys.executable, *by, str(EXAMPLES / name), *arguments]
    variables = {**os.environ, "COLUMNS": "200", **(env or {})}
    if by:
        variables |= {"OMP_NUM_THREADS": "1", **warm.NOT_MEASURED}
    done = warm.run(command, timeout=150, env=variables)
    assert done.returncode == 0, done.stderr
    look_at_it = done.stdout.splitlines()[-1]
    assert look_at_it.startswith("look at it: accel-track "), done.stdout
    looked = [sys.executable, "-m", "accel_track", *look_at_it.split()[4:]]
    warm.run(looked, check=True, timeout=60)
    return done.stdout


def _told(name: str) -> tuple[str, str, list[str]]:
    """Return an example's file or folder, what it shows, and how to run it."""
    if name == "plugin_package":
        text = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
        title = re.search(r"^# (.*)", text)
        block = re.search(r"```bash\n(.*?)```", text, re.DOTALL)
        assert title
        assert block
        return name, f"{title[1]}, with its test.", block[1].splitlines()
    place = f"{name}.py" if (EXAMPLES / f"{name}.py").exists() else f"{name}/train.py"
    told = ast.get_docstring(ast.parse((EXAMPLES / place).read_text(encoding="utf-8")), clean=False)
    assert told, f"{place} does not say what it shows"
    what, _, rest = told.partition("\n")
    commands = [line.removeprefix("    ") for command in _COMMAND.findall(rest) for line in command.splitlines()]
    assert commands, f"{place} does not say how to run it"
    return place if place.endswith(f"{name}.py") else name, what, commands


def page() -> str:
    """Return the page."""
    parts = [_BEGIN]
    for title, names in GROUPS.items():
        parts.append(f"## {title}\n")
        for name in names:
            place, what, commands = _told(name)
            parts.append("\n".join([f"### [{place}]({place})\n", f"{what}\n", "```bash", *commands, "```\n"]))
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
