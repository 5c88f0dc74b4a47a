"""The verdicts of an autopsy on evidence that is made here, and evidence that nobody can read."""

import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from accel_track.journal.directory import RunDirectory
from accel_track.journal.info import ImportInfo
from accel_track.journal.writer import JournalWriter
from accel_track.mirror.complete import complete
from accel_track.mirror.runs import mirrored_runs
from accel_track.monitors.memory import Kernel, Memory
from accel_track.outcome import Outcome
from accel_track.views.autopsy import examination
from accel_track.views.autopsy.document import document
from accel_track.views.autopsy.dumps import parsed
from accel_track.views.autopsy.examination import Autopsy, examine
from accel_track.views.autopsy.living import asked_for_stacks
from accel_track.watchdog.evidence import Beat, Began, Evidence
from accel_track.watchdog.processes import boot_id, started_at
from accel_track.watchdog.stacks import Stacks

NOW = time.time()


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each test begin now: the records that it writes have the time of the clock."""
    monkeypatch.setitem(globals(), "NOW", time.time())


def run_of(*ranks: int, steps: int = 3) -> RunDirectory:
    """Return a run whose ranks have logged some steps, and which nobody has ended."""
    run = RunDirectory.create(".", "p", "r")
    for rank in ranks or (0,):
        journal = JournalWriter(run.rank(rank), rank)
        for step in range(steps + rank):
            journal.metrics({"loss": 0.5}, step, {})
        journal.close()
    return run


def evidence_of(run: RunDirectory, rank: int = 0, **beat: Any) -> Evidence:
    """Leave evidence of a process that began at `NOW`; arguments are of the last sign of life, or of `Began`."""
    evidence = Evidence.new(run.rank(rank))
    names = set(Began.__struct_fields__) - {"time", "memory"}
    began = {"pid": 2**22 + 1, "ticks": 1, "host": socket.gethostname(), "boot": boot_id(), "thread": 1}
    began |= {"signal": None, "faults": "here", "group": None} | {name: beat.pop(name) for name in names & beat.keys()}
    evidence.note(Began(time=NOW, memory=Memory(killed=0), **began))
    whole = {"time": NOW + 1, "records": 3, "newest": NOW, "interval": 0.1, "memory": Memory(killed=0)}
    evidence.beat(Beat(**{**whole, **beat}))
    return evidence


def sentence(run: RunDirectory) -> str:
    return examine(run).paragraph


def test_a_run_that_logged_nothing() -> None:
    run = RunDirectory.create(".", "p", "r")
    assert sentence(run).startswith("The run was killed before its first record by something that left no trace")
    assert examine(run).unknown[0].startswith("Nothing but the journal is there: ")


def test_one_without_steps_and_one_point() -> None:
    run = RunDirectory.create(".", "p", "r")
    journal = JournalWriter(run.rank())
    journal.metrics({"loss": float("nan")}, None, {})
    journal.close()
    assert sentence(run).startswith("The run was killed after its first record by something")
    assert sentence(run).endswith("loss is NaN since step 0.")


def test_a_damaged_run_is_examined_as_far_as_it_goes() -> None:
    run = run_of()
    evidence = evidence_of(run)
    (segment,) = run.rank().glob("*.seg")
    data = segment.read_bytes()
    segment.write_bytes(data[:60] + b"\xff" * 10 + data[70:])
    for file in evidence.path.iterdir():
        file.write_bytes(b"\xff{")
    evidence.stacks.write_bytes(
        b"\xff" * 100 + b"\nFatal Python error: \x1b[2J\nThread 0x12 (most recent call first):\n"
    )
    evidence.error.write_text("# 1.0 in the thread\nnone")
    (run.path / "run.json").write_text("{")
    found = examine(run)
    assert "bytes of the journal are damaged." in found.paragraph
    assert document(found)["project"] is None


def test_an_imported_run_says_what_its_source_said() -> None:
    run = run_of()
    run.update(lambda info: setattr(info, "imported", ImportInfo("wandb", "x", "y")))
    run.conclude(Outcome("failed", "ValueError: no"))
    assert sentence(run) == "The run was imported from wandb, which says: failed: ValueError: no."


def test_the_rank_that_failed_first_is_named() -> None:
    run = run_of(0, 1)
    evidence_of(run, 0, time=NOW + 9, status="preempted", reason="SIGTERM")
    evidence = evidence_of(run, 1, time=NOW + 5, status="failed", reason="ValueError: no")
    evidence.error.write_text(f'# {NOW + 5}\nTraceback:\n  File "/x/train.py", line 3, in step\nValueError: no\n')
    run.conclude(Outcome("preempted", "SIGTERM"))
    assert sentence(run) == (
        "Rank 1 ended first: it failed at step 3: ValueError: no, raised in step, x/train.py:3. Rank 0 was ended at "
        "step 2 by SIGTERM, which launchers and clusters send before they kill 4 s later. Not all ranks were as far as "
        "step 3: rank 0 at step 2."
    )


def test_ranks_that_finished_are_no_cause() -> None:
    run = run_of(0, 1)
    evidence_of(run, 0, status="finished")
    evidence_of(run, 1)
    run.conclude(Outcome())
    assert sentence(run) == "The run finished at step 2."


@pytest.mark.parametrize(
    ("reason", "cause", "words"),
    [
        ("OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "gpu-memory", "since a GPU's memory is full"),
        ("RuntimeError: HIP error: out of memory", "gpu-memory", "since a GPU's memory is full"),
        ("MemoryError", "memory", "since no memory is left"),
        (
            "RuntimeError: DataLoader worker (pid 7) is killed by signal: Killed.",
            "worker",
            "since a data loader's worker died",
        ),
        ("SystemExit: 3", "exit-code", "by sys.exit(3)"),
    ],
)
def test_what_an_exception_means(reason: str, cause: str, words: str) -> None:
    run = run_of()
    run.conclude(Outcome("failed", reason))
    found = examine(run)
    assert (found.verdict.cause, words in found.paragraph) == (cause, True)


def kernel(folder: Path, killed: int) -> Kernel:
    """Return a kernel whose files, of version 2 of control groups, say that so many were killed."""
    group = folder / "groups" / "job"
    group.mkdir(parents=True, exist_ok=True)
    (folder / "proc" / "7").mkdir(parents=True, exist_ok=True)
    (folder / "proc" / "7" / "cgroup").write_text("1:cpu:/else\n0::/job\n")
    (folder / "proc" / "7" / "status").write_text("Name: x\nVmRSS:\t 90 kB\n")
    (folder / "proc" / "meminfo").write_text("MemTotal: 1000 kB\nMemAvailable: 500 kB\n")
    (group / "memory.events").write_text(f"low 0\noom 9\noom_kill {killed}\n")
    (group / "memory.current").write_text("80000\n")
    (group / "memory.max").write_text("max\n")
    (group.parent / "memory.max").write_text("100000\n")
    return Kernel(str(folder / "proc"), str(folder / "groups"))


def test_version_2_of_control_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = kernel(tmp_path, 0)
    assert before.group(7) == "job"
    memory = before.memory("job", 7)
    assert (memory.process, memory.used, memory.limit, memory.killed) == (92160, 80000, 100000, 0)
    assert before.memory("../groups/job", 7).killed is before.memory("/etc", 7).killed is None
    run = run_of()
    evidence_of(run, memory=memory, group="job")
    monkeypatch.setattr(examination, "KERNEL", kernel(tmp_path, 2))
    assert sentence(run) == (
        "The run was most likely killed at step 2 by the kernel for memory: it has killed 2 in the control group since "
        "the last sign of life, when the process had 92.2 kB of at most 100 kB."
    )


def test_what_the_machine_has_killed_counts_where_no_group_does(monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of()
    evidence_of(run, memory=Memory(machine_killed=1))
    after = Memory(killed=5, machine_killed=2)
    monkeypatch.setattr(Kernel, "memory", lambda *_: after)
    assert "by the kernel for memory: it has killed 1 on the machine since" in sentence(run)
    after.machine_killed = 1
    assert "memory" not in sentence(run)
    evidence_of(run, memory=Memory(killed=5, machine_killed=0))
    assert sentence(run).endswith("do; not the kernel for memory, which has counted none.")


def test_a_machine_that_was_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of()
    later = time.time() + 100
    evidence_of(run, boot="another", time=later)
    monkeypatch.setattr("psutil.boot_time", lambda: later + 60)
    assert sentence(run) == (
        "The run most likely ended at step 2 with its machine, which was started again 60 s after the last sign of life."
    )
    monkeypatch.setattr("psutil.boot_time", lambda: NOW + 86_400)
    assert "by something that left no trace" in sentence(run)


def test_another_machine_tells_nothing_of_the_kernel() -> None:
    run = run_of()
    evidence_of(run, host="elsewhere")
    assert examine(run).unknown[0] == (
        "The run was on elsewhere, and what the kernel there has counted cannot be read from here."
    )


def test_a_disk_that_took_no_more() -> None:
    run = run_of()
    evidence_of(run, lost=1200, waiting=7)
    assert "The run's disk took no more: 1,200 records were lost, 7 waited in memory." in sentence(run)


def live(run: RunDirectory) -> Autopsy:
    lock = run.claim_run()
    assert lock is not None
    try:
        return examine(run)
    finally:
        lock.release()


def test_a_rank_that_is_gone_and_one_that_is_behind() -> None:
    run = run_of(0, 2)
    evidence_of(run, 0, pid=os.getpid(), ticks=started_at(os.getpid()))
    evidence_of(run, 2)
    found = live(run)
    assert found.paragraph.startswith("The run goes on at step 2: the last record came ")
    assert "The process of rank 2 is gone. Not all ranks were as far as step 4: rank 0 at step 2." in found.paragraph


def test_a_notebook_that_waits() -> None:
    run = run_of()
    evidence = evidence_of(run)
    frames = (
        '  File "/x/site-packages/ipykernel/kernelapp.py", line 3 in start\n  File "/x/nb.py", line 1 in <module>\n'
    )
    evidence.stacks.write_text(
        f"# stalled {NOW + 99} 60.0\n# thread 0x1 MainThread\nThread 0x1 (most recent call first):\n{frames}"
    )
    assert "waits at step 2 in a notebook or at a prompt, most likely" in live(run).paragraph


def test_no_signal_goes_to_a_process_that_does_not_hold_the_file() -> None:
    run = run_of()
    mine = {"pid": os.getpid(), "ticks": started_at(os.getpid())}
    stacks = Stacks()
    for number in (9, 15, None, -1, 10_000):
        began = evidence_of(run, signal=number, **mine).load(Began)
        assert began is not None
        assert not asked_for_stacks(began, Evidence.all(run.rank())[-1])
    evidence = evidence_of(run, **mine)
    stacks.take(evidence.stacks)
    began = evidence.load(Began)
    assert began is not None
    began.signal = stacks.signal
    try:
        assert asked_for_stacks(began, evidence) == (stacks.signal is not None)
        assert not asked_for_stacks(began, Evidence.all(run.rank())[0])
        began.ticks = 1
        assert not asked_for_stacks(began, evidence)
    finally:
        stacks.release(evidence.stacks)
    assert stacks.signal is None


def test_dumps_of_any_form() -> None:
    assert parsed("") == parsed("no\n  File x\n# stalled x y\n") == []
    twice = (
        'Current thread 0x1 (most recent call first):\n  File "a", line 1 in f\n\nThread 0x2 [n] (most recent call first):\n'
        * 2
    )
    first, second = parsed(twice)
    assert [one.name for one in first.threads] == ["", "n"]
    assert first == second


def test_a_mirror_has_the_evidence() -> None:
    run = run_of()
    evidence_of(run).error.write_text(f"# {NOW}\nValueError: no\n")
    (run.rank() / "evidence" / "00000000" / "other.bin").write_text("not copied")
    complete(run, Path("store").absolute().as_uri())
    (found,) = mirrored_runs(Path("store").absolute().as_uri())
    found.refresh()
    assert "failed at step 2: ValueError: no; its process was killed before it had ended the run" in sentence(found)
    assert sorted(one.name for one in (found.rank() / "evidence" / "00000000").iterdir()) == [
        "beat.json",
        "began.json",
        "error.txt",
    ]
