"""docs/migrating/closed-service.md, command by command: an export of tables becomes runs, a page, and a backend's runs."""

import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

from accel_track.cli import app
from accel_track.journal.directory import find_runs

PAGE = Path(__file__).parents[2] / "docs" / "migrating" / "closed-service.md"


def commands(text: str) -> list[list[str]]:
    """Return the arguments of the page's commands, with a backend for which no server has to be started."""
    blocks = "".join(re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    blocks = blocks.replace("mlflow --set mlflow.tracking_uri=http://localhost:5000", "jsonl").replace(
        "mlflow", "jsonl"
    )
    return [shlex.split(line, comments=True)[1:] for line in blocks.splitlines()]


def test_an_export_becomes_runs() -> None:
    text = PAGE.read_text(encoding="utf-8")
    (export,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    exec(export, {})
    listed = []
    for arguments in commands(text):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, (arguments, result.output)
        listed.append(len(list(find_runs("runs"))))
        if arguments[0] == "verify":
            assert "2 of 2 values" in result.output
    assert listed[:2] == [0, 2], "-n imports nothing, the next command does"
    assert {run.load().name: run.load().project for run in find_runs("runs")} == {"DIG-1": "digits", "DIG-2": "digits"}
    assert Path("old-runs.html").stat().st_size > 1000
