"""Calls of the program: the version, completion in the shell, and one line for each wrong call."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

import accel_track
from accel_track.cli import app
from tests.support.made_runs import made


def test_version(invoke: Any) -> None:
    assert invoke("--version").stdout == f"accel-track {accel_track.__version__}\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing"], "no such command 'nothing'"),
        (["--nothing"], "no such option"),
        (["ls", "--nothing"], "no such option"),
        (["ls", "a", "b"], "unexpected extra argument"),
        (["show"], "missing argument 'RUN'"),
        (["rm"], "missing argument 'RUN'"),
        (["rename", "latest"], "missing argument 'NAME'"),
        (["export", "latest"], "missing option '--format'"),
        (["export", "latest", "--format", "xml"], "'csv', 'parquet', 'jsonl'"),
        (["ls", "--limit", "1.5"], "'1.5' is no whole number|'1.5' is not a valid integer range"),
        (["sync", "latest", "--timeout", "soon"], "'soon' is no number|'soon' is not a valid float range"),
        (["sync", "latest", "--every", "0"], "'0' is less than 1|0 is not in the range x>=1"),
        (["prune", "--older-than", "-1"], "'-1' is less than 0|-1.0 is not in the range x>=0"),
        (["prune", "nowhere"], "'nowhere' does not exist"),
        (["import", "nowhere"], "'nowhere' does not exist"),
        (["import", ".", "--from", "nothing"], "nothing"),
        (["demo", "--epochs", "x"], "'x' is no whole number|'x' is not a valid integer range"),
        (["-C"], "requires an argument"),
    ],
)
def test_a_wrong_call_is_told_in_one_line_of_our_own(invoke: Any, words: list[str], told: str) -> None:
    result = invoke(*words, code=2)
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("accel-track")
    assert any(words in result.stderr for words in told.split("|"))  # earlier versions of typer have click's words
    assert not any(text in result.stderr for text in ("Value error", "Input should", "Traceback", "╭"))


def test_without_arguments_there_is_the_help_alone(invoke: Any) -> None:
    result = invoke(code=2)
    assert "Usage: accel-track" in result.stdout
    assert result.stderr == ""


@pytest.fixture
def complete(invoke: Any) -> Callable[..., list[str]]:
    def complete(*words: str) -> list[str]:
        line = " ".join(["accel-track", *words])
        variables = {"_ACCEL_TRACK_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words))}
        return sorted(invoke(env=variables, prog_name="accel-track").stdout.split())

    return complete


def test_runs_are_completed(complete: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    assert complete("show", "") == []
    now = time.time()
    made("runs", "digits", "wide", now, digits="abcdef")
    made("runs", "digits", "widest", now - 9, digits="abc123")
    made("elsewhere", "digits", "other", now - 9, digits="abc999")
    assert complete("show", "ab") == ["abc123", "abc999", "abcdef"]
    assert complete("rm", "abcdef", "wi") == ["wide", "widest"]
    assert complete("sync", "digits/o") == ["digits/other"]
    assert complete("-C", "elsewhere", "show", "") == ["abc999", "latest"]
    monkeypatch.setenv("ACCEL_TRACK_DIR", "runs")
    assert complete("show", "la") == ["latest"]
    assert complete("show", "abc") == ["abc123", "abcdef"]
    assert complete("sh") == ["show"]


def test_completion_is_silent_where_runs_are_damaged(complete: Callable[..., list[str]]) -> None:
    (made("runs", "p", "a", 1e9, digits="abcdef").path / "run.json").write_text("{")
    assert complete("show", "ab") == ["abcdef"]


@pytest.mark.parametrize(("error", "code"), [(KeyError("ours"), None), (KeyboardInterrupt(), 130)])
def test_errors_of_ours_keep_their_traceback_and_ctrl_c_its_code(
    error: BaseException, code: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("accel_track.cli.ls.find_runs", fail)
    result = CliRunner().invoke(app, ["ls"])
    assert result.output == ""
    if code is None:
        assert result.exception is error
    else:
        assert result.exit_code in (1, code)  # with earlier versions of typer, 1
