"""`accel-track top`: on a terminal, on screens of all sizes, without one."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from accel_track.cli._top_screen import View, screen
from accel_track.cli.top import _Screen
from accel_track.media import Text
from accel_track.views.running.activity import Activity
from tests.support.terminal import Terminal
from tests.support.top_sample import PAGE, page

TOP = "from accel_track.cli import app; app()"
TRAIN = """
import sys, time
import accel_track
run = accel_track.init("digits", "jsonl", project_dir="runs", run_name=sys.argv[1], config={"max_steps": 100_000})
for step in range(100_000):
    run.log({"loss": 1 / (step + 1), "acc": step / 100_000}, step)
    time.sleep(0.01)
"""


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """Return a function that opens a terminal with code in it."""
    opened: list[Terminal] = []

    def terminal(code: str, *arguments: object, **more: Any) -> Terminal:
        opened.append(Terminal(code, *arguments, **more))
        return opened[-1]

    yield terminal
    for one in opened:
        one.close()


def activity(*, ended: bool = False, wanted: str | None = None) -> Activity:
    """Return the activity of the working directory, looked at once."""
    found = Activity(Path(), lambda _: None, ended=ended, wanted=wanted)
    list(found.refresh())
    return found


def lines_of(found: Activity, view: View = View(), width: int = 80, height: int = 24) -> list[str]:  # noqa: B008
    """Return the screen as texts, none of which is too long."""
    lines = [line.plain for line in screen(found, view, width, height)]
    assert len(lines) <= height
    assert all(cell_len(line) <= width and line.isprintable() for line in lines), lines
    return lines


def test_trainings_are_followed_on_a_terminal(start: Any, terminal: Any) -> None:
    """One is killed with kill -9; keys; another size; the terminal is as it was in the end."""
    first = start(name="first")
    training = terminal(TRAIN, "second")
    top = terminal(TOP, "top", "runs", "--interval", "0.2")
    text = top.until(lambda text: "2 running" in text and text.count(" steps/s now") == 1 and "> " in text)
    assert "proj/first" in text
    assert text.splitlines()[2].startswith("> ")
    assert "digits/second" in text.splitlines()[2]  # the newest is above
    assert "of 100,000" in text
    assert "its process: cpu" in top.until(lambda text: "cpu" in text)
    top.press("j")
    top.until(lambda text: text.splitlines()[3].startswith("> "))
    top.press("\x1b[A")
    top.until(lambda text: text.splitlines()[2].startswith("> "))
    training.process.kill()
    text = top.until(lambda text: "1 running, 1 ended" in text)
    assert "proj/first" in text.splitlines()[2]
    assert "failed" in text.splitlines()[3]
    top.press("m")
    top.until(lambda text: "metric acc" in text.splitlines()[0] and "acc 0" in text)
    top.press("\r")
    text = top.until(lambda text: "DELIVERY" not in text)
    assert "killed or crashed" in text  # the chosen run is still chosen, wherever it is now
    top.resize(120, 40)
    top.until(lambda text: "last values" in text and "jsonl: " in text)
    top.press("?")
    top.until(lambda text: "the next metric, the one before" in text)
    top.press("q")
    assert top.end() == 0
    assert top.is_restored
    first.finish()


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM", "error"])
def test_the_terminal_is_as_it_was_whatever_ends_it(terminal: Any, how: str) -> None:
    failing = "import accel_track.cli._top_screen as it; it._nothing = None\n" if how == "error" else ""
    top = terminal(failing + TOP, "top", ".", NO_COLOR="1")
    if how == "error":
        assert top.end() == 1
    else:
        top.until(lambda text: "no run is running" in text)
        if how == "Ctrl-C":
            top.press("\x1a\x03")  # Ctrl-Z first, which would leave the screen half-way
        else:
            top.process.terminate()
        assert top.end() == {"Ctrl-C": 0, "SIGTERM": 143}[how]
    assert top.is_restored


def test_the_screen_in_the_docs_is_what_it_draws(tmp_path: Path) -> None:
    """Else: python -m tests.support.top_sample."""
    text = PAGE.read_text(encoding="utf-8")
    assert page(text, tmp_path) == text


def test_any_size_holds_any_run(start: Any) -> None:
    runs = [start(name=f"\N{BUG}名前{number}" * 9) for number in range(12)]
    odd = {"\x1b[31mred\x1b]0;title\x07": 1.0, "</script>[bold]": float("nan"), "text": "\x1b[2J" * 99}
    for count, run in enumerate(runs):
        for number in range(count):
            run.log({**odd, "loss": [1e308, -1e308, float("inf"), float("nan")][number % 4]}, number * 10**17)
    found = activity()
    for wanted in (None, *odd, "missing"):
        found.wanted = wanted
        list(found.refresh())
        for view in (View(), View(alone=True), View(helps=True), View(chosen=found.runs[-1].run.path)):
            for size in ((80, 24), (200, 50), (80, 12), (59, 15), (30, 5), (10, 3), (1, 1)):
                lines_of(found, view, *size)
    assert "12 running" in lines_of(found)[0]
    for one in found.runs:
        assert any(line.startswith("> ") for line in lines_of(found, View(chosen=one.run.path), 80, 14))
    for run in runs:
        run.finish()


def test_what_a_run_has_said_is_there(start: Any, invoke: Any) -> None:
    run = start()
    run.log({"loss": 1.0, "phase": "warm-up"}, 1)
    run.alert("the loss rises", "from \x1b[31m1\x1b[0m\nto 2", level="warning")
    run.log({"note": Text("a long story " * 20)}, 2)
    run.alert("over")
    found = activity()
    for view, height, wanted in (
        (View(), 14, ["info over"]),
        (View(alone=True), 24, ["warning the loss rises: from 1 to 2", "text note: a long story a long", "info over"]),
        (
            View(alone=True),
            40,
            ["text phase: warm-up", "warning the loss rises: from 1 to 2", "text note:", "info over"],
        ),
    ):
        said = [line for line in lines_of(found, view, 80, height) if re.match(r"\d\d:\d\d:\d\d ", line)]
        assert len(said) == len(wanted)
        assert all(line[9:].startswith(text) for line, text in zip(said, wanted, strict=True)), said
    (told,) = json.loads(invoke("top", "--json").stdout)
    assert [(one["level"], one["name"]) for one in told["said"][:2]] == [("info", "over"), ("", "note")]
    run.finish()


@pytest.mark.long
def test_ten_thousand_metrics(start: Any) -> None:
    run = start()
    run.log({f"layer/{number}/norm": float(number) for number in range(10_000)} | {"loss": 0.5}, 1)
    found = activity()
    assert "loss 0.5 at step 1" in "\n".join(lines_of(found))
    assert "more; m goes through them" in "\n".join(lines_of(found, View(alone=True), 100, 50))
    run.finish()


def test_keys(start: Any) -> None:
    runs = [start(name=name) for name in ("first", "second")]
    runs[0].log({"loss": 1.0, "acc": 0.5}, 1)
    found = activity()
    one = _Screen(found, None, 1.0)  # type: ignore[arg-type] - it draws nothing here
    for keys, chosen in (("jj", 1), ("kkk", 0), ("j", 1)):
        for key in keys:
            one._press(key)
        assert one._view.run(found.runs) is found.runs[chosen]
    turns = [one._press("m") or found.wanted for _ in range(4)]
    assert turns == ["acc", "loss", None, "acc"]
    one._press("M")
    assert found.wanted is None
    for run in runs:
        run.finish()
    assert not one._quits
    one._press("q")
    assert one._quits


def test_without_terminal_it_prints_what_there_is(start: Any, invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert invoke("top").stdout == "no run is running below .\n"
    assert json.loads(invoke("top", "--json").stdout) == []
    run = start(name="wide", config={"max_steps": 10})
    for step in range(6):
        run.log({"loss": 1 / (step + 1)}, step)
    monkeypatch.setenv("COLUMNS", "80")
    titles, line = invoke("top", "--once").stdout.splitlines()
    assert titles.split() == ["RUN", "NAME", "STEP", "STEP/S", "CURVE", "VALUE", "AGO", "DELIVERY"]
    assert line.split()[1:3] == ["proj/wide", "5"]
    assert "█" in line
    (told,) = json.loads(invoke("top", "--json").stdout)
    assert told["name"] == "wide"
    assert told["status"] == "running"
    assert (told["step"], told["total_steps"], told["metric"]) == (5, 10, "loss")
    assert told["last"]["value"] == pytest.approx(1 / 6)
    assert told["trackers"]["lines"]["pending"] == told["trackers"]["lines"]["delivered"] + 7
    run.finish()
    assert json.loads(invoke("top", "--json").stdout) == []
    (told,) = json.loads(invoke("top", "--ended", "--json").stdout)
    assert told["status"] == "finished"
    invoke("top", "--interval", "0", code=2)
    invoke("top", "missing", code=2)


def test_damaged_runs_do_not_hide_the_others(start: Any, invoke: Any) -> None:
    good, bad, linked = start(), start(), start()
    paths = [one.run.path for one in activity().runs]
    names = {path: (path / "run.json").read_text() for path in paths}
    (paths[0] / "run.json").write_text('{"run_id": 7}')
    (paths[1] / "loop").symlink_to("/")
    result = invoke("top", "--json")
    assert [one["path"] for one in json.loads(result.stdout)] == [str(paths[2])]
    assert "run.json is damaged" in result.stderr
    assert "is a link" in result.stderr
    found = Activity(Path(), lambda _: None)
    list(found.refresh())
    assert "1 unreadable" in lines_of(found)[0]
    (paths[0] / "run.json").write_text(names[paths[0]])
    (paths[1] / "loop").unlink()
    for run in (good, bad, linked):
        run.finish()


def test_a_damaged_cursor_is_told_beside_the_run(start: Any) -> None:
    run = start()
    run.log({"loss": 1.0}, 1)
    (one,) = activity().runs
    one.run.cursor("lines").parent.mkdir(parents=True, exist_ok=True)
    one.run.cursor("lines").write_text("[]")
    found = activity()
    assert "is not a cursor" in "\n".join(lines_of(found, width=200))
    run.finish()
