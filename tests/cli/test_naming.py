"""Naming a run: every way to name one, which one wins, and what is said where a word means several or none."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from accel_track.journal.directory import RunDirectory
from tests.support.made_runs import made

DAY = 86_400.0


@pytest.fixture(autouse=True)
def runs() -> dict[str, RunDirectory]:
    """Make runs in two logging directories; the digits of their ids are made to be mixed up."""
    now = time.time()
    return {
        "old": made("runs", "digits", "baseline", now - 9 * DAY, digits="aaaa01"),
        "wide": made("runs", "digits", "wide", now - 5 * DAY, digits="bbbb01"),
        "other": made("elsewhere/deep", "letters", "baseline", now - 3 * DAY, digits="cccc01"),
        "new": made("runs", "digits", "latest", now - DAY, digits="dddd02"),
    }


def shown(invoke: Any, *words: Any, **more: Any) -> str:
    return str(json.loads(invoke(*words, "--json", **more).stdout)["run_id"])


@pytest.mark.parametrize(
    ("word", "which"),
    [
        ("aaaa01", "old"),
        ("aa01", "old"),
        ("2", "new"),  # an end of an id, before any other part
        ("cccc", "other"),
        ("wide", "wide"),
        ("digits/wide", "wide"),
        ("digits/baseline", "old"),
        ("letters/baseline", "other"),
        ("letters/01", "other"),
        ("latest", "new"),
        ("latest:digits", "new"),
        ("latest:letters", "other"),
        ("digits/latest", "new"),
        ("@1", "new"),
        ("@2", "other"),
        ("@4", "old"),
    ],
)
def test_a_word_means_a_run(runs: dict[str, RunDirectory], invoke: Any, word: str, which: str) -> None:
    assert shown(invoke, "show", word) == runs[which].path.name


def test_paths_and_whole_ids(runs: dict[str, RunDirectory], invoke: Any) -> None:
    run = runs["old"]
    for word in (run.path, run.path.absolute(), run.path.name, f"digits/{run.path.name}"):
        assert shown(invoke, "show", word) == run.path.name


def test_a_run_directory_at_a_path_wins_and_another_folder_does_not(runs: dict[str, RunDirectory], invoke: Any) -> None:
    Path("wide").mkdir()
    assert shown(invoke, "show", "wide") == runs["wide"].path.name
    Path("wide").rmdir()
    shutil.copytree(runs["old"].path, "wide")
    assert shown(invoke, "show", "wide") == runs["old"].path.name
    Path("empty").mkdir()
    assert "is not a run directory" in invoke("show", "empty", code=2).stderr


def test_a_whole_id_wins_over_a_name(runs: dict[str, RunDirectory], invoke: Any) -> None:
    made("runs", "digits", runs["old"].path.name, time.time(), digits="eeee03")
    assert shown(invoke, "show", runs["old"].path.name) == runs["old"].path.name


def test_a_short_name_wins_over_the_end_of_an_id(invoke: Any) -> None:
    run = made("runs", "digits", "01", time.time(), digits="eeee03")
    assert shown(invoke, "show", "01") == run.path.name


def test_a_name_that_is_a_short_id_is_ambiguous(invoke: Any) -> None:
    made("runs", "digits", "aaaa01", time.time(), digits="eeee03")
    lines = invoke("show", "aaaa01", code=2).stderr.splitlines()
    assert "may be any of 2 runs" in lines[0]
    assert lines[2].split() == ["eeee03", "digits", "aaaa01", "0s", "ago"]
    assert lines[3].split() == ["aaaa01", "digits", "baseline", "9d", "ago"]


def test_candidates_are_listed(invoke: Any) -> None:
    result = invoke("show", "baseline", code=2)
    assert [line.split()[0] for line in result.stderr.splitlines()[1:]] == ["run", "cccc01", "aaaa01"]
    assert result.stdout == ""
    shutil.copytree("runs", "copy")
    assert "copy/.accel_track/digits" in invoke("show", "aaaa01", code=2).stderr


@pytest.mark.parametrize(
    "word", ["", " ", "@0", "@99", "latest:", "latest:nothing", "nothing/wide", "/", "x" * 5000, "\x1b[31m"]
)
def test_a_word_that_means_nothing_is_told_in_one_line(invoke: Any, word: str) -> None:
    result = invoke("show", word, code=2)
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "\x1b" not in result.stderr


def test_near_names_are_told(invoke: Any) -> None:
    assert "near it is wide" in invoke("show", "wibe", code=2).stderr


def test_another_directory(runs: dict[str, RunDirectory], invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(invoke, "-C", "elsewhere", "show", "baseline") == runs["other"].path.name
    assert shown(invoke, "-C", "elsewhere", "show", "deep/.accel_track/letters/" + runs["other"].path.name)
    assert "below elsewhere" in invoke("-C", "elsewhere", "show", "wide", code=2).stderr
    monkeypatch.setenv("ACCEL_TRACK_DIR", "elsewhere")
    assert shown(invoke, "show", "latest") == runs["other"].path.name
    assert len(json.loads(invoke("ls", "--json").stdout)) == 1
    assert shown(invoke, "-C", "runs", "show", "latest") == runs["new"].path.name
    assert len(json.loads(invoke("-C", ".", "ls", "--json").stdout)) == 4
    assert len(json.loads(invoke("prune", "--dry-run", "--json").stdout)) == 1
    assert "does not exist" in invoke("-C", "nothing", "ls", code=2).stderr
    monkeypatch.setenv("ACCEL_TRACK_DIR", "")
    assert shown(invoke, "show", "latest") == runs["new"].path.name


def test_a_damaged_run_is_named_by_its_folders(runs: dict[str, RunDirectory], invoke: Any) -> None:
    (runs["wide"].path / "run.json").write_text("{")
    assert "damaged" in invoke("show", "bbbb01", code=2).stderr
    assert "damaged" in invoke("show", "digits/bbbb01", code=2).stderr
    assert shown(invoke, "show", "latest") == runs["new"].path.name


def test_patterns_mean_several_where_several_can_be(runs: dict[str, RunDirectory], invoke: Any) -> None:
    told = json.loads(invoke("sync", "digits/*", "--json").stdout)
    assert {Path(one["path"]).name for one in told} == {runs[one].path.name for one in ("old", "wide", "new")}
    assert "may be any of 3" in invoke("show", "digits/*", code=2).stderr
    assert "no run 'nothing*'" in invoke("sync", "nothing*", code=2).stderr


def test_odd_names(invoke: Any) -> None:
    now = time.time()
    for number, name in enumerate(("ünïcode", "-x", "a b", "[1]", "$HOME", "wide*")):
        made("runs", "p", name, now + number, digits=f"{number:06d}")
        assert shown(invoke, "show", f"p/{name}").endswith(f"{number:06d}")


def test_where_there_is_no_run_the_place_is_told(invoke: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert f"no run below {empty}; -C DIR" in invoke("-C", empty, "show", "latest", code=2).stderr
    monkeypatch.chdir(empty)
    assert "no run below the working directory; -C DIR" in invoke("show", "latest", code=2).stderr
