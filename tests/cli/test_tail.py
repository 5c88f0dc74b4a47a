"""`accel-track tail`: the last values as lines, and those that come."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import accel_track
from accel_track.journal.directory import RunDirectory
from accel_track.journal.writer import JournalWriter
from accel_track.views.lines import Lines
from tests.support import warm
from tests.support.waiting import until


def test_tail_shows_the_last_calls(make: Any, invoke: Any) -> None:
    run = make(count=20, values={"a": {"b": float("nan")}, "text": "x\ty\n\x1b[31mz"})
    rows = [line.split("\t")[1:] for line in invoke("tail", run.path, "-n", 2).stdout.splitlines()]
    assert rows == [["0", "19", "train/loss", "0.05"], ["0", "20", "a/b", "NaN"], ["0", "20", "text", "x y z"]]
    assert invoke("tail", run.path, "-n", 0).stdout == ""
    assert len(invoke("tail", run.path, "-n", 1000, "-m", "train/*").stdout.splitlines()) == 20
    assert invoke("tail", run.path, "-m", "nothing").stdout == ""


def test_tail_as_json_lines_says_of_rewinds(start: Any, invoke: Any) -> None:
    run = start()
    run.log({"a": 1}, 5)
    run.finish()
    writer = JournalWriter(run.run_directory.rank())
    writer.rewind(3)
    writer.metrics({"a": 2.5}, 3, {})
    writer.close()
    first, second, third = map(json.loads, invoke("tail", run.run_directory.path, "--json").stdout.splitlines())
    assert first == {"time": first["time"], "rank": 0, "step": 5, "values": {"a": 1}}
    assert (second["rewind"], second["values"]) == (3, {})
    assert third["values"] == {"a": 2.5}
    assert "(rewind)" in invoke("tail", run.run_directory.path).stdout


def test_lines_go_back_over_segments_and_merge_ranks(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "p", "r")
    for rank in (0, 1):
        writer = JournalWriter(run.rank(rank), segment_size=2000)
        for step in range(200):
            writer.metrics({"a": step, **({"seldom": 1} if step == 3 else {})}, step, {})
        writer.close()
    assert len(list(run.rank().glob("*.seg"))) > 3
    assert [(line.rank, line.step) for line in Lines(run, ["seldom"]).last(5)] == [(0, 3), (1, 3)]
    lines = Lines(run)
    assert [line.step for line in lines.last(3)] == [197, 198, 199]
    assert list(lines.new()) == []
    writer = JournalWriter(run.rank(2))
    writer.metrics({"a": 1}, 0, {})
    writer.close()
    assert [line.rank for line in lines.new()] == [2]


class Followed:
    """`tail -f` of a run, in a process of its own; `lines` is what it has printed."""

    def __init__(self, path: Path, *words: str) -> None:
        command = [sys.executable, "-m", "accel_track", "tail", str(path), "-f", *words]
        pipe, environment = subprocess.PIPE, {**os.environ, **warm.coverage}
        self.process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)

    def errors(self) -> str:
        """Wait for its end, which is a good one, and return what it says of that."""
        self._reader.join(60)
        assert self.process.wait(60) == 0
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        with self.process.stdout, self.process.stderr:
            return self.process.stderr.read()


def test_tail_follows_until_the_run_ends() -> None:
    with accel_track.init("p", project_dir="runs", delivery="none") as run:
        run.log({"a": 0}, 0)
        assert run.run_directory is not None
        tail = Followed(run.run_directory.path, "--json")
        until(lambda: len(tail.lines) == 1)
        run.log({"a": 1}, 1)
        until(lambda: len(tail.lines) == 2)
        run.log({"a": 2}, 2)
    assert "the run has ended: finished" in tail.errors()
    assert [json.loads(line)["step"] for line in tail.lines] == [0, 1, 2]


def test_tail_ends_with_ctrl_c_and_where_the_run_is_killed() -> None:
    code = (
        "import accel_track, time\n"
        "run = accel_track.init('p', project_dir='runs', delivery='none')\n"
        "run.log({'a': 1}, 7)\nprint(run.run_directory.path, flush=True)\ntime.sleep(600)"
    )
    program = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    path = Path(program.stdout.readline().strip())
    stopped, left = Followed(path), Followed(path)
    until(lambda: stopped.lines and left.lines)
    stopped.process.send_signal(signal.SIGINT)
    assert stopped.errors() == ""
    os.kill(program.pid, signal.SIGKILL)
    program.wait()
    program.stdout.close()
    assert "the run has ended: failed" in left.errors()
