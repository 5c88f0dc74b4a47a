"""What a record costs on disk, to append and to read, and whether that stays so as a run grows."""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks._case import Case, Measured
from benchmarks._measure import POOL, SCALARS, VARIANTS, latency

TITLE = "The journal"
ABOUT = """\
Records of 10 scalars: their bytes, the µs to append one (and of one `os.write` of as many bytes), and how many a
reader gets in a second. The rows *growth* compare the µs of a call *late* with those *early*:

* *records*: at the end and at the beginning of 10 million records, through the facade;
* *names*: with 10,000 names in turns, and with 20; *other names*: with ten of 10,000 names, other ones in each call,
  and with 20;
* *metrics per call*: a metric's share of a call with 1,000, and of a call with 10;
* *a tensor*: a call with a tensor of so many 32-bit numbers, which it copies, and a call with numbers alone."""
COLUMNS = {
    "bytes": "bytes",
    "append": "append",
    "append_p99": "append p99",
    "write": "os.write",
    "read": "read/s",
    "early": "early",
    "late": "late",
    "growth": "late/early",
    "memory": "memory growth MiB",
}
MAIN = ""

_case = partial(Case, "journal")
CASES = [
    _case("records of 10 scalars", quick=True),
    _case("growth: records", once=True, quick=True),
    _case("growth: names", once=True, quick=True),
    _case("growth: other names", once=True, quick=True),
    _case("growth: metrics per call", once=True, quick=True),
    *(_case(f"growth: a tensor of {elements}", once=True) for elements in (200, 10_000, 250_000)),
]
_MIB, _TURNS = 2**20, 3


def run(case: Case, folder: Path, short: bool) -> Measured:
    """Measure one of the rows."""
    if "tensor" in case.name:
        return _tensor(int(case.name.rpartition(" ")[2]), folder, short)
    scripts = {"records of 10 scalars": _records, "growth: records": _growth, "growth: names": _names}
    scripts["growth: other names"] = _other_names
    return scripts.get(case.name, _wide)(folder, short)


def _records(folder: Path, short: bool) -> Measured:
    from accel_track.journal.writer import JournalWriter

    count = 2000 if short else 200_000
    journal = JournalWriter(folder / "journal")
    times = latency(partial(_append, journal), 0, count, 60.0)
    journal.close()
    size = sum(path.stat().st_size for path in (folder / "journal").glob("*.seg")) / times.calls
    file, data = os.open(folder / "floor", os.O_WRONLY | os.O_CREAT | os.O_APPEND), b"x" * round(size)
    write = latency(lambda _, __: os.write(file, data), 0, count, 60.0)
    found, seconds = _read(folder / "journal")
    values = {"bytes": size, "append": times.median, "append_p99": times.p99, "write": write.median}
    return Measured({**values, "read": times.calls / seconds}, SCALARS * times.calls, found)


def _tensor(elements: int, folder: Path, short: bool) -> Measured:
    import torch

    from accel_track.journal.reader import JournalReader
    from accel_track.options import Settings
    from accel_track.run import Run

    run = Run([], project="benchmark", directory=folder, settings=Settings.of(delivery="none"))
    tensor, calls = torch.zeros(elements), 30 if short else 300
    early = latency(run.log, 0, calls, 10.0)

    def log(values: Mapping[str, float], step: int) -> None:
        tensor.fill_(step)
        run.log({**values, "tensor": tensor}, step)

    late = latency(log, 0, calls, 10.0)
    run.finish()
    tensor.fill_(-1.0)
    records = [record for record in JournalReader(run.run_directory.rank()) if "tensor" in record.values]
    whole = sum(bool((record.values["tensor"] == record.step).all()) for record in records)  # type: ignore[union-attr]
    return Measured(
        {"early": early.median, "late": late.median, "growth": late.median / early.median}, late.calls, whole
    )


def _append(journal: Any, values: Mapping[str, float], step: int) -> None:
    """Append as a run does."""
    if not journal.again(values, step):
        journal.metrics(values, step, {})


def _read(folder: Path) -> tuple[int, float]:
    """Return how many values of metrics the journal holds, and the seconds that reading them takes."""
    from accel_track.journal.reader import BATCH, JournalReader

    reader, found, seconds = JournalReader(folder), 0, 0.0
    while True:
        begin = time.perf_counter()
        entries = reader.read(BATCH)
        seconds += time.perf_counter() - begin
        if not entries:
            return found, seconds
        found += sum(len(entry.record.values) for entry in entries)


def _growth(folder: Path, short: bool) -> Measured:
    """Log through the facade, to the journal only: what is delivered at the same time would be measured too."""
    from accel_track import Accelerator

    parts, calls = 20, 1000 if short else 500_000
    accelerator = Accelerator(log_with="tensorboard", project_dir=folder, cpu=True, delivery="none")
    accelerator.init_trackers("growth")
    process, costs, memory = psutil.Process(), [], []
    for part in range(parts):
        begin = time.perf_counter()
        for step in range(part * calls, (part + 1) * calls):
            accelerator.log(POOL[step % VARIANTS], step=step)
        costs.append((time.perf_counter() - begin) / calls * 1e6)
        memory.append(process.memory_info().rss / _MIB)
    accelerator.end_training()
    (journal,) = {path.parent for path in folder.rglob("*.seg")}
    found, seconds = _read(journal)
    third = parts // 3
    values = _compared(costs[:third], costs[-third:])
    values |= {"memory": memory[-1] - memory[1], "read": parts * calls / seconds}
    return Measured(values, SCALARS * parts * calls, found)


def _names(folder: Path, short: bool) -> Measured:
    groups = 100 if short else 1000
    many = [{f"metric_{group}/{name}": 0.5 for name in range(SCALARS)} for group in range(groups)]
    rounds = 2 if short else 20
    return _against(folder, many[:2] * (groups // 2) * rounds, many * rounds)


def _other_names(folder: Path, short: bool) -> Measured:
    names, calls, draw = [f"metric_{number}" for number in range(10_000)], 200 if short else 10_000, random.Random(0)  # noqa: S311 - no secrets
    other = [dict.fromkeys(draw.sample(names, SCALARS), 0.5) for _ in range(calls)]
    return _against(folder, other[:2] * (calls // 2), other)


def _wide(folder: Path, short: bool) -> Measured:
    wide = {f"metric_{index}": 0.5 for index in range(1000)}
    calls = 20 if short else 1000
    narrow = dict(list(wide.items())[:SCALARS])
    measured = _against(folder, [narrow] * calls * 10, [wide] * calls)
    values = measured.values
    early, late = values["early"] / SCALARS, values["late"] / len(wide)
    return Measured({"early": early, "late": late, "growth": late / early}, measured.expected, measured.counted)


def _against(folder: Path, plain: list[dict[str, float]], other: list[dict[str, float]]) -> Measured:
    """Compare the cost of calls of two kinds, in turns, each time in a journal of its own."""
    found, costs = 0, ([], [])
    for turn in range(_TURNS):
        for which, calls in enumerate((plain, other)):
            place = folder / f"{which}-{turn}"
            costs[which].append(_appended(place, calls))
            found += _read(place)[0]
    logged = _TURNS * sum(len(values) for values in (*plain, *other))
    return Measured(_compared(*costs), logged, found)


def _appended(folder: Path, calls: Iterable[Mapping[str, float]]) -> float:
    """Return the mean CPU time of a call in µs, the first ones with their new names included."""
    from accel_track.journal.writer import JournalWriter

    journal, count = JournalWriter(folder), 0
    begin = time.thread_time()  # of all calls together, so the clock's steps are no matter, and no neighbour counts
    for step, values in enumerate(calls):
        _append(journal, values, step)
        count = step + 1
    seconds = time.thread_time() - begin
    journal.close()
    return seconds / count * 1e6


def _compared(early: list[float], late: list[float]) -> dict[str, float]:
    first, last = statistics.median(early), statistics.median(late)
    return {"early": first, "late": last, "growth": last / first}
