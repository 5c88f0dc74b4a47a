"""Run directories made to harm: one clear line, exit code 2, nothing written."""

import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from accel_track.cli import app
from accel_track.journal import frames

COMMANDS = [["show"], ["sync"], ["sync", "--dry-run"], ["export", "--format", "csv"], ["verify"]]
NEED_RUN_JSON = COMMANDS[:3]

GOOD = {"run_id": "a", "project": "p", "created": 1.0}
RUN_JSONS = {
    "not json": "{",
    "not an object": "[]",
    "not text": b"\xff\xfe",
    "wrong type": json.dumps({**GOOD, "trackers": [1]}),
    "deep": "[" * 100_000,
    "deep value": json.dumps(GOOD)[:-1] + ', "trackers": {"lines": {"kwargs": {"a":' + "[" * 100_000,
    "path as name": json.dumps({**GOOD, "name": "../../evil"}),
    "path as project": json.dumps({**GOOD, "project": "/etc"}),
    "path as tracker": json.dumps({**GOOD, "trackers": {"../evil": {}}}),
    "dots": json.dumps({**GOOD, "project": ".."}),
    "later version": json.dumps({**GOOD, "version": 2}),
}


def everything(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


def one_clear_line(invoke: Any, command: list[str], path: Path) -> str:
    before = everything(Path.cwd())
    result = invoke(command[0], path, *command[1:], code=2)
    assert result.stdout == ""
    assert result.stderr.startswith("accel-track: ")
    assert result.stderr.count("\n") == 1
    assert everything(Path.cwd()) == before
    return str(result.stderr)


@pytest.mark.first(6)
@pytest.mark.parametrize("content", RUN_JSONS.values(), ids=RUN_JSONS)
@pytest.mark.parametrize("command", NEED_RUN_JSON, ids=" ".join)
def test_run_json(make: Any, invoke: Any, command: list[str], content: str | bytes) -> None:
    run = make()
    (run.path / "run.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert "run.json" in one_clear_line(invoke, command, run.path)
    assert invoke("ls", code=1).stderr.count("\n") == 1


@pytest.mark.parametrize(
    "content", ["", "[]", '{"segment": "a"}', '{"offset": -1}', "[" * 100_000, '{"offset": 1e400}']
)
@pytest.mark.parametrize("command", NEED_RUN_JSON, ids=" ".join)
def test_cursors(make: Any, invoke: Any, command: list[str], content: str) -> None:
    run = make()
    run.cursor("lines").parent.mkdir(exist_ok=True)
    run.cursor("lines").write_text(content)
    assert "lines.json is not a cursor" in one_clear_line(invoke, command, run.path)


@pytest.mark.first(4)
@pytest.mark.parametrize("field", ["segment", "offset", "seq"])
@pytest.mark.parametrize("number", [2**62, 2**63, 2**64, 10**30])
def test_cursors_with_gigantic_numbers(make: Any, field: str, number: int) -> None:
    run = make()
    run.cursor("lines").parent.mkdir(exist_ok=True)
    run.cursor("lines").write_text(json.dumps({field: number}))
    for command in COMMANDS:
        result = CliRunner().invoke(app, [command[0], str(run.path), *command[1:]])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code in (0, 1, 2)
        assert result.stderr.count("\n") <= 2


@pytest.mark.first(6)
@pytest.mark.parametrize(
    "place", ["run.json", "rank-00000", "rank-00000/cursors", "rank-00000/cursors/lines.json", "x"]
)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_symbolic_links(make: Any, invoke: Any, tmp_path: Path, command: list[str], place: str) -> None:
    run = make(delivery="thread")
    (tmp_path / "outside").mkdir()
    path = run.path / place
    if path.exists():
        path.rename(tmp_path / "outside" / path.name)
    path.symlink_to(tmp_path / "outside" / path.name)
    before = everything(tmp_path / "outside")
    assert "is a link or a device" in one_clear_line(invoke, command, run.path)
    assert everything(tmp_path / "outside") == before


def test_a_pipe_does_not_block(make: Any, invoke: Any) -> None:
    run = make()
    (run.path / "run.json").unlink()
    os.mkfifo(run.path / "run.json")
    for command in COMMANDS:
        invoke(command[0], run.path, *command[1:], code=2)


@pytest.mark.parametrize("length", [frames.LONGEST, frames.LONGEST + 1, 2**32 - 1])
def test_gigantic_lengths(make: Any, invoke: Any, length: int) -> None:
    run = make()
    with (run.rank() / "00000000.seg").open("ab") as file:
        file.write(struct.pack("<4sII", frames.MARKER, length, 0) + b"x" * 100)
    lines = invoke("export", run.path, "--format", "jsonl").stdout.splitlines()
    assert len(lines) == 5
    invoke("sync", run.path)


def test_garbage_between_segments_builds_nothing(make: Any, invoke: Any, written: Any) -> None:
    run = make()
    with (run.rank() / "00000000.seg").open("ab") as file:
        file.write(frames.frame(b"\x80\x04\x95pickle"))  # an undamaged frame that holds no record
        file.write(os.urandom(5000))
    (run.rank() / "00000001.seg").write_bytes(os.urandom(5000))
    (run.rank() / "00000002.seg").write_bytes(frames.header(0, 5, 0.0))
    assert len(invoke("export", run.path, "--format", "jsonl", code=1).stdout.splitlines()) == 5
    invoke("sync", run.path)
    assert len(written()) == 6


def test_integers_of_many_digits(make: Any, invoke: Any) -> None:
    run = make(config={"long": 2**40_000}, values={"long": 2**40_000})
    for command in (["show"], ["show", "--json"], ["export", "--format", "csv"], ["export", "--format", "jsonl"]):
        assert "0x1000" in invoke(command[0], run.path, *command[1:]).stdout


def test_times_that_are_none(make: Any, invoke: Any) -> None:
    run = make()
    info = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps({**info, "created": 1e300}))
    assert "\t?\t" in invoke("ls").stdout
    assert "? UTC" in invoke("show", run.path).stdout


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_segment_that_may_not_be_read(make: Any, invoke: Any) -> None:
    run = make()
    (run.rank() / "00000000.seg").chmod(0)
    for command in COMMANDS[:4]:
        assert "Permission denied" in invoke(command[0], run.path, *command[1:], code=2).stderr
