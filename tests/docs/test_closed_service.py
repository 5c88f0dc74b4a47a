"""docs/migrating/closed-service.md, block by block: an export of tables becomes runs, a page, and a backend's runs."""

import re
import shlex
from pathlib import Path
from string import Template

from typer.testing import CliRunner

from accel_track.cli import app
from accel_track.journal.directory import find_runs

PAGE = Path(__file__).parents[2] / "docs" / "migrating" / "closed-service.md"


def commands(block: str) -> list[list[str]]:
    """Return the arguments of a block's commands, with a backend that begins quicker."""
    variables: dict[str, str] = {}
    found = []
    for line in block.replace("mlflow", "jsonl").splitlines():
        words = shlex.split(Template(line).substitute(variables), comments=True)
        name, equals, value = words[0].partition("=")
        if equals:
            variables[name] = value
        else:
            found.append(words[1:])
    return found


def test_an_export_becomes_runs() -> None:
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    listed = []
    for language, block in blocks:
        if language != "bash":
            exec(block, names)  # the page's own programs
            continue
        for arguments in commands(block):
            result = CliRunner().invoke(app, arguments)
            assert result.exit_code == 0, (arguments, result.output)
            listed.append(len(list(find_runs("runs"))))
            if arguments[0] == "verify":
                assert "2 of 2 values" in result.output
    assert listed[:2] == [0, 2], "-n imports nothing, the next command does"
    assert {run.load().name: run.load().project for run in find_runs("runs")} == {"DIG-1": "digits", "DIG-2": "digits"}
    assert Path("old-runs.html").stat().st_size > 1000
