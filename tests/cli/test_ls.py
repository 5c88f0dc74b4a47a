"""`accel-track ls`: its columns, order and filters, on a terminal, between tabs and in JSON."""

import json
import math
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from rich.cells import cell_len

from accel_track.cli._lines import Shape, fitted
from tests.support.made_runs import made

DAY = 86_400.0
Listing = Callable[..., list[str]]


@pytest.fixture
def names(invoke: Any) -> Listing:
    """Make four runs, and return a function that returns the names of those that `ls` lists."""
    now = time.time()
    for n, (name, status, lr) in enumerate(
        [("a", "finished", 0.1), ("b", "failed", 0.01), ("c", "running", 1), ("d", "finished", None)]
    ):
        made(
            "runs",
            "letters" if n % 2 else "digits",
            name,
            now - (9 - 2 * n) * DAY,
            status=status,
            config={"optimizer": {"lr": lr}, "seed": n} if lr else None,
            values=[{"val": {"acc": acc}} for acc in (0.1 * n, 0.5 + 0.1 * n, 0.3)] if n != 3 else [{"x": math.nan}],
            pending=n if n < 3 else 0,
            tags=["paper", name],
        )

    def names(*words: Any, **more: Any) -> list[str]:
        return [one["name"] for one in json.loads(invoke("ls", "--json", *words, **more).stdout)]

    return names


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "abcd"),
        (["--project", "digits"], "ac"),
        (["--project", "let*", "--project", "nothing"], "bd"),
        (["--status", "finished"], "ad"),
        (["--status", "failed", "--status", "damaged"], "bc"),  # the process of c is gone
        (["--tag", "paper", "--tag", "b"], "b"),
        (["--since", "6d"], "cd"),
        (["--since", "100h"], "d"),
        (["--since", "2001-01-01"], "abcd"),
        (["--limit", 2], "cd"),
        (["--sort", "name", "--limit", 2], "cd"),
        (["--sort", "-name"], "dcba"),
        (["--sort", "val/acc:max"], "dabc"),
        (["--sort", "optimizer.lr"], "dbac"),
        (["--sort", "pending", "--limit", 1], "c"),
        (["--sort", "-created"], "dcba"),
        (["--where", "val/acc:max > 0.55"], "bc"),
        (["--where", "optimizer/lr < 0.05 and status == failed"], "b"),
        (["--where", "seed != 1"], "ac"),
        (["--where", "x == nan"], "d"),
        (["--where", "val/acc == 0.3", "--project", "digits", "--sort", "-age"], "ac"),
    ],
)
def test_choice_and_order(names: Listing, words: list[Any], expected: str) -> None:
    assert "".join(names(*words)) == expected


def test_a_run_without_its_run_json_is_damaged_and_not_hidden(invoke: Any) -> None:
    made("runs", "digits", "whole", time.time())
    run = made("runs", "digits", "lost", time.time())
    (run.path / "run.json").unlink()
    listed = invoke("ls", "--status", "damaged", code=1)
    assert run.path.name in listed.stdout
    assert "run.json is missing" in listed.stderr
    assert "accel-track export" in listed.stderr
    assert len(json.loads(invoke("ls", "--json", code=1).stdout)) == 2
    for words, code in ((["verify"], 1), (["show"], 2), (["export", "--format", "jsonl"], 0), (["rm", "-y"], 1)):
        invoke(words[0], run.path.name, *words[1:], code=code)
    kept = {one["run_id"]: one["kept"] for one in json.loads(invoke("prune", "-n", "--json", code=1).stdout)}
    assert "run.json is missing" in kept[run.path.name]


def test_columns_of_choice(names: Listing, invoke: Any) -> None:
    names()
    words = ["ls", "--metric", "val/acc:max", "--metric", "x", "--config", "optimizer.lr"]
    titles, *rows = (line.split("\t") for line in invoke(*words).stdout.splitlines())
    assert titles[-3:] == ["val/acc:max", "x", "optimizer.lr"]
    assert rows[1][-3:] == ["0.6", "", "0.01"]
    assert rows[3][-3:] == ["", "nan", ""]
    told = json.loads(invoke(*words, "--json").stdout)
    assert told[0]["values"] == {"val/acc:max": 0.5, "x": None, "optimizer.lr": 0.1}
    assert told[3]["values"]["x"] == "NaN"
    assert (told[2]["short"], told[2]["pending"], told[2]["duration"]) == (told[2]["run_id"][-6:], 2, 3.0)


def test_names_that_no_run_has_are_told(names: Listing, invoke: Any) -> None:
    names()
    result = invoke("ls", "--metric", "val/ac", "--where", "lrr > 1", "--sort", "nothing")
    assert "no run has 'val/ac'; there is val/acc" in result.stderr
    assert "no run has 'lrr'" in result.stderr
    assert "no run has 'nothing'" in result.stderr
    assert len(result.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--where", "a >"], "--where: at 'a >'"),
        (["--where", ""], "--where: empty"),
        (["--status", "dead"], "known are running, finished"),
        (["--since", "yesterday"], "--since: 'yesterday' is neither"),
        (["--limit", "0"], "less than 1"),
        (["--limit", "x"], "'x' is no whole number"),
        (["nothing"], "does not exist"),
    ],
)
def test_wrong_options_are_told_in_one_line(invoke: Any, words: list[str], told: str) -> None:
    result = invoke("ls", *words, code=2)
    assert told in result.stderr
    assert result.stderr.count("\n") == 1


def test_times_are_local_or_in_utc(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made("runs", "p", "a", 1e9)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert "\t2001-09-09T10:46:40+09:00\t" in invoke("ls").stdout
        assert "\t2001-09-09T01:46:40+00:00\t" in invoke("ls", "--utc").stdout
    finally:
        monkeypatch.undo()
        time.tzset()


def test_fields_between_tabs_are_whole_and_a_line_each(invoke: Any) -> None:
    evil = "tab\there\x1b[31m\nand " + "long " * 30
    made("runs", "p", "x", 1e9, config={"evil": evil}, tags=[evil])
    lines = invoke("ls", "--config", "evil").stdout.splitlines()
    assert len(lines) == 2
    assert lines[1].count("\t") == lines[0].count("\t") == 9
    assert lines[1].endswith("\ttab here and " + "long " * 30)


def on_terminal(*words: str, columns: int = 80, **variables: str) -> list[str]:
    """Run `ls` on a terminal; return its lines."""
    main, other = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm", **variables}
    process = subprocess.Popen([sys.executable, "-m", "accel_track", "ls", *words], stdout=other, env=environment)
    os.close(other)
    output = b""
    while True:
        try:
            part = os.read(main, 65536)
        except OSError:  # the end of a terminal
            break
        if not part:
            break
        output += part
    os.close(main)
    assert process.wait(60) == 0
    return output.decode().splitlines()


def test_lines_on_a_terminal(names: Listing) -> None:
    names()
    made("runs", "a project with a long name", "日本語" * 20, time.time() - 5, tags=["paper"])
    lines = on_terminal("--metric", "val/acc:max")
    assert len(lines) == 6
    assert all("\x1b" not in lines[0] and cell_len(line) <= 80 + 9 * line.count("\x1b[0m") for line in lines)
    assert lines[0].split()[:5] == ["id", "project", "name", "status", "age"]
    assert "\x1b[31mfailed" in lines[2]
    assert "…" in lines[5]


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours(names: Listing, invoke: Any, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    names()
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("accel_track.cli._lines.is_terminal", lambda: True)
    monkeypatch.setattr("accel_track.cli.ls.is_terminal", lambda: True)
    lines = invoke("ls", "--metric", "val/acc:max", color=True).stdout.splitlines()
    assert any("\x1b" in line for line in lines) == (not variables)
    assert lines[0].split() == [
        *("id", "project", "name", "status", "created", "age", "duration", "records", "pending", "val/acc:max", "tags")
    ]


@pytest.mark.parametrize("width", [1, 5, 20, 40, 79, 80, 81, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    shapes = [
        *(Shape("id"), Shape("name", shrinks=True), Shape("status", style=lambda _: "\x1b[31m")),
        *(Shape("n", right=True), Shape("note", shrinks=True, spare=1)),
    ]
    rows = [["abc123", "名" * 50, "finished", 12345, "x" * 90], ["d", "\x1b[2J\ttab", "", "", ""], ["e"] * 5]
    for colours in (False, True):
        lines = list(fitted(shapes, rows, width, colours=colours))
        assert len(lines) == 4
        bare = [line.replace("\x1b[31m", "").replace("\x1b[0m", "") for line in lines]
        assert max(map(cell_len, bare)) <= width
        assert not any("\x1b" in line or "\t" in line for line in bare)
