"""`accel-track autopsy` of programs that died or hang, each in a real way."""

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from accel_track.cli import app
from accel_track.journal.directory import RunDirectory
from accel_track.watchdog.evidence import Death, Evidence
from tests.support import warm
from tests.support.processes import PROGRAMS, PYTHON, own_environment
from tests.support.runs import only_run
from tests.support.waiting import until

DEATHS = str(PROGRAMS / "deaths.py")


def died(how: str, *more: object) -> RunDirectory:
    warm.run([PYTHON, "-W", "ignore", DEATHS, how, *map(str, more)], timeout=60, env=own_environment())
    return only_run(Path())


def told(run: RunDirectory, *options: str, code: int = 1) -> str:
    done = CliRunner().invoke(app, ["autopsy", str(run.path), *options], env={"COLUMNS": "10000"})
    assert done.exit_code == code, done.output
    return done.output


def known(run: RunDirectory, *options: str, code: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(told(run, "--json", *options, code=code))
    return found


@pytest.mark.first(6)
@pytest.mark.parametrize(
    ("how", "sentence", "cause", "code"),
    [
        ("finish", r"The run finished at step 9\.", "finished", 0),
        ("nan", r"The run finished at step 9\. loss is NaN since step 7 \(before: 0\.142857\)\.", "finished", 0),
        (
            "segv",
            (
                r"The run crashed at step 9 with a fatal error: Segmentation fault \(SIGSEGV\) in string_at \(ctypes/__init__.py:\d+\), "
                r"called in <module> \(programs/deaths.py:\d+\)\."
            ),
            "signal",
            1,
        ),
        (
            "abort",
            r"The run crashed at step 9 with a fatal error: Aborted \(SIGABRT\) in <module> \(programs/deaths.py:\d+\)\.",
            "signal",
            1,
        ),
        (
            "kill",
            (
                r"The run was killed at step 9 by something that left no trace, as SIGKILL, `os._exit` and a power cut do"
                r"(?:; not the kernel for memory, which has counted none)?\."
            ),
            "unknown",
            1,
        ),
        (
            "raise",
            r"The run failed at step 9: ValueError: no </script> api_key=\*\*\*, raised in broken, programs/deaths.py:\d+\.",
            "exception",
            1,
        ),
        (
            "full",
            r"The run failed at step 9 since the disk is full: OSError: \[Errno 28\] No space left on device, raised in .*\.",
            "disk-full",
            1,
        ),
        (
            "exit_in_block",
            r"The run was left at step 9 by sys.exit\(3\), raised in <module>, programs/deaths.py:\d+\.",
            "exit-code",
            1,
        ),
        (
            "sigterm",
            r"The run was ended at step 9 by SIGTERM, which launchers and clusters send before they kill\.",
            "preempted",
            0,
        ),
        ("interrupt", r"The run was interrupted at step 9, as by Ctrl-C, raised in .*\.", "interrupted", 0),
        (
            "thread",
            (
                r"The run was killed at step 9 by .*\. The run's thread 'loader' was ended by an exception: ValueError: .*, "
                r"raised in broken, programs/deaths.py:\d+\."
            ),
            "unknown",
            1,
        ),
        (
            "child",
            (
                r"The run was killed at step 9 by something that left no trace, .*\. A child process of it had a fatal error: "
                r"Segmentation fault \(SIGSEGV\) in string_at .*\."
            ),
            "unknown",
            1,
        ),
    ],
)
def test_the_first_sentence_says_what_happened(how: str, sentence: str, cause: str, code: int) -> None:
    run = died(how)
    text = told(run, code=code)
    assert re.fullmatch(sentence, text.splitlines()[0])
    assert "hunter2secret" not in text
    assert "\x1b" not in text
    found = known(run, code=code)
    assert (found["cause"], found["summary"]) == (cause, text.splitlines()[0])
    files = [one for one in run.rank(0).rglob("evidence/**/*") if one.is_file()]
    assert files
    assert {one.stat().st_mode & 0o777 for one in files} == {0o600}
    assert not any("hunter2secret" in one.read_text() for one in files)


def test_a_witness_knows_the_exit_code_and_the_signal() -> None:
    if tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) < (6, 15):
        pytest.skip("the kernel tells a witness since 6.15")
    run = died("exit3")
    (evidence,) = until(lambda: [one for one in Evidence.all(run.rank(0)) if one.load(Death)])
    assert told(run).startswith("The run came to its end at step 9, and its program then ended with exit code 3.\n")
    assert known(run)["ranks"][0]["exit_code"] == 3
    evidence.note(Death(0.0, signal.SIGTERM, evidence.load(Death).memory))  # type: ignore[union-attr]
    assert "then ended with SIGTERM." in told(run)


def test_a_witness_of_a_kill() -> None:
    run = died("witnessed")
    (evidence,) = until(lambda: [one for one in Evidence.all(run.rank(0)) if one.load(Death)])
    text = told(run)
    if evidence.load(Death).status is None:  # type: ignore[union-attr]
        assert text.startswith("The run was killed at step 9 by something that left no trace")
    else:
        assert text.startswith("The run was killed at step 9 by SIGKILL; who sent it is not known")


@contextlib.contextmanager
def going_on(how: str) -> Iterator[tuple[RunDirectory, "subprocess.Popen[str]"]]:
    pipe = subprocess.PIPE
    with warm.Popen([PYTHON, "-W", "ignore", DEATHS, how], stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "hangs\n"
        yield only_run(Path()), process
        process.kill()


def test_a_program_that_hangs_shows_where_and_for_how_long() -> None:
    with going_on("hang") as (run, process):
        stacks = Evidence.all(run.rank(0))[0].stacks
        until(lambda: "deadlocked" in stacks.read_text())
        sentence = (
            r"The run most likely hangs at step 9: the last record came [\d.]+ s ago; usually one comes every [^;]+; "
            r"its main thread is in deadlocked \(programs/deaths.py:\d+\)\."
        )
        assert re.fullmatch(sentence, told(run).splitlines()[0])
        found = known(run)
        assert (found["live"], found["cause"], found["confidence"]) == (True, "hang", "likely")
        process.kill()
        process.wait(20)
    text = told(run)
    assert text.startswith("The run was killed at step 9 by something that left no trace; it had logged nothing for 0.")
    assert "with its main thread in deadlocked (programs/deaths.py:" in text.splitlines()[0]


def test_a_program_that_holds_the_interpreters_lock_is_asked_for_its_stacks() -> None:
    with going_on("gil") as (run, _):
        stacks = Evidence.all(run.rank(0))[0].stacks
        found = known(run, "--stacks", code=0)  # it has not been silent for long
        assert found["cause"] == "running"
        assert "deaths.py" in stacks.read_text()
        assert found["ranks"][0]["stacks"][-1]["threads"]


def test_a_program_that_goes_on_is_fine_and_one_that_was_stopped_says_so() -> None:
    with going_on("waits") as (run, process):
        text = told(run, code=0)
        assert text.startswith("The run goes on at step 9: the last record came ")
        assert "Stack" not in text
        assert "Stack, when asked" in told(run, "--stacks", code=0)
        assert "Stack, when asked" in told(run, "--stacks", code=0)  # again
        os.kill(process.pid, signal.SIGSTOP)
        try:
            until(lambda: "is stopped at step 9: it was stopped by a signal" in told(run, code=1))
        finally:
            os.kill(process.pid, signal.SIGCONT)


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group below this process's own, with 60 MB."""
    lines = [line.split(":") for line in Path("/proc/self/cgroup").read_text().splitlines()]
    mine = next((f"/sys/fs/cgroup/memory{path}" for _, names, path in lines if names == "memory"), None)
    folder = Path(mine or "/sys/fs/cgroup", f"accel_track-test-{os.getpid()}")
    limit, size = folder / ("memory.limit_in_bytes" if mine else "memory.max"), 60_000_000
    try:
        folder.mkdir()
        limit.write_text(str(size))
    except OSError as error:
        with contextlib.suppress(OSError):
            folder.rmdir()
        pytest.skip(f"no control group can be made here ({error.strerror})")
    yield folder
    until(lambda: not (folder / "cgroup.procs").read_text())
    folder.rmdir()


def test_a_process_that_the_kernel_killed_for_memory(group: Path) -> None:
    run = died("oom", group)
    text = told(run).splitlines()[0]
    assert text.startswith(
        "The run was most likely killed at step 9 by the kernel for memory: it has killed 1 in the control group"
    )
    assert "of at most 60 MB" in text
    assert known(run)["confidence"] == "likely"
