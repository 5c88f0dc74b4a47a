"""What every command has: help with an example and the exit codes, `--json`, and no heavy import."""

import subprocess
import sys
from typing import Any

import pytest
import typer.main

from accel_track.cli import app

COMMANDS = [
    *("ls", "show", "compare", "report", "top", "tail", "open", "alerts", "autopsy"),
    *("sync", "verify", "import", "move", "export", "tag", "note", "rename", "rm", "prune", "doctor", "demo"),
]


def test_these_are_all_commands() -> None:
    assert [command.callback.__name__.rstrip("_") for command in app.registered_commands] == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_and_the_exit_codes(command: str, invoke: Any) -> None:
    text = " ".join(invoke(command, "--help").stdout.split())
    assert f"Example: accel-track {command}" in text
    assert "Exit codes: 0 fine; 1" in text
    assert "--json" in text
    assert "<bool>" not in text
    assert "[[" not in text


def test_an_option_has_the_same_short_name_in_each_command() -> None:
    group: Any = typer.main.get_command(app)
    short: dict[str, set[str]] = {}
    for command in group.commands.values():
        for one in command.params:
            long = [name for name in one.opts if name.startswith("--")]
            if long:
                short.setdefault(long[0], set()).add(" ".join(name for name in one.opts if name not in long))
    assert {name: found for name, found in short.items() if len(found) > 1} == {}
    assert [short[name] for name in ("--dry-run", "--yes", "--follow")] == [{"-n"}, {"-y"}, {"-f"}]


def test_commands_that_only_read_import_nothing_heavy(make: Any) -> None:
    run = make(config={"lr": 1})
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom accel_track.cli import app\n"
        "for words in (['ls'], ['tail', sys.argv[1]], ['export', sys.argv[1], '--format', 'csv'], ['verify', sys.argv[1]], "
        "['prune', '--dry-run'], ['sync', '--dry-run', sys.argv[1]], ['show', sys.argv[1]]):\n"
        "    result = CliRunner().invoke(app, words)\n    assert result.exit_code == 0, (words, result.output)\n"
        "    heavy = {'torch', 'lightning', 'mlflow', 'wandb', 'pyarrow'} | ({'numpy'} if words[0] != 'show' else set())\n"
        "    assert not heavy & set(sys.modules), words\n"
    )
    subprocess.run([sys.executable, "-c", code, run.path], check=True, timeout=60)
