"""Run cases in processes of their own, in turns, and collect what they find."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks._case import Case, Measured, Result
from benchmarks._server import databases, serving
from benchmarks._settings import SERVER, TEMPLATES, environment, installed

_TIMEOUT = 900.0
_SHOWN = 1500

Results = dict[str, dict[str, Result]]


def run_case(case: Case, folder: Path, more: dict[str, str], *, short: bool) -> Measured | str:
    """Measure a case once, in a new interpreter and a folder of its own.

    Args:
        case: The case.
        folder: An empty folder, deleted afterwards.
        more: Variables for its environment.
        short: Whether a few calls are enough.

    Returns:
        What was found, or why the case is left out.

    Raises:
        RuntimeError: The process failed; the message has the end of its output.
    """
    folder.mkdir()
    place, log = folder.with_suffix(".json"), folder.with_suffix(".log")
    command = [sys.executable, "-m", "benchmarks._child", case.script, case.name, str(place)]
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter
                [*command, *(["--short"] if short else [])],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environment(folder, more),
                start_new_session=True,  # a group, which holds the SDKs' processes too
            )
            try:
                code: int | str = process.wait(_TIMEOUT)
            except subprocess.TimeoutExpired:
                code = f"none within {_TIMEOUT:g} s"
            finally:
                _end(process)
        if code != 0 or not place.exists():
            message = f"exit status {code}: {log.read_text(errors='replace')[-_SHOWN:]}"
            raise RuntimeError(message)
        found = json.loads(place.read_text())
        return found["skipped"] if "skipped" in found else Measured(**found["measured"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what a case has left running, so that it does not disturb the next one."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run_all(
    cases: Sequence[Case], rounds: int, *, short: bool, done: Callable[[str, dict[str, Result]], object]
) -> Results:
    """Measure cases for so many rounds; within a script, each round takes all cases in turn.

    What else the machine does thereby hits all of them. The short form is for counts, not for times, so it runs as many
    cases at once as there are cores.

    Args:
        cases: The cases.
        rounds: How many rounds.
        short: Whether a few calls are enough.
        done: Called with each script's name and results as soon as they are there.
    """
    results: Results = {}
    for case in cases:
        results.setdefault(case.script, {})[case.name] = Result()
    turns = {
        name: [
            (case, turn) for turn in range(rounds) for case in cases if case.script == name and not (turn and case.once)
        ]
        for name in results
    }
    with _templates(cases) as folder, _progress() as progress:
        task = progress.add_task("", total=sum(len(group) for group in turns.values()))

        def one(case: Case, turn: int, more: dict[str, str]) -> None:
            progress.update(task, description=f"{case.script}: {case.name}, round {turn + 1}")
            place = folder / f"{case.script}-{turn}-{cases.index(case)}"
            _take(results[case.script][case.name], case, place, more, short=short)
            progress.advance(task)

        for name, group in turns.items():
            with _server(group, folder) as more:
                if short:
                    with ThreadPoolExecutor(max(2, os.cpu_count() or 1)) as pool:
                        list(pool.map(lambda turn: one(*turn, more), group))
                else:
                    for case, turn in group:
                        one(case, turn, more)
            progress.stop()  # the bar, for what is shown now
            done(name, results[name])
            progress.start()
    return results


def _take(result: Result, case: Case, folder: Path, more: dict[str, str], *, short: bool) -> None:
    """Add a round to a case's result, unless it has shown already that it will not do."""
    if result.error or result.skipped:
        return
    try:
        found = run_case(case, folder, more, short=short)
    except RuntimeError as error:
        result.error = str(error)
        return
    if isinstance(found, str):
        result.skipped = found
    else:
        result.add(found)


def _uses_mlflow(cases: Sequence[Case]) -> bool:
    return installed("mlflow") and any("mlflow" in case.backend or case.backend == "nine" for case in cases)


@contextmanager
def _templates(cases: Sequence[Case]) -> Iterator[Path]:
    """Make a folder for all cases, with an empty database for those that use MLflow."""
    with tempfile.TemporaryDirectory(prefix="accel_track-bench-", ignore_cleanup_errors=True) as name:
        if _uses_mlflow(cases):
            databases(Path(name))
        yield Path(name)


@contextmanager
def _server(group: Sequence[tuple[Case, int]], folder: Path) -> Iterator[dict[str, str]]:
    """Yield variables for the cases of one script, while a server of MLflow's runs if one of them uses it."""
    more = {TEMPLATES: str(folder)}
    cases = [case for case, _ in group]
    if _uses_mlflow(cases) and any(case.backend == "mlflow-http" for case in cases):
        with serving(folder) as address:
            yield {**more, SERVER: address}
    else:
        yield more


def _progress() -> Progress:
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), "left:", TimeRemainingColumn())
    return Progress(*columns, TextColumn("{task.description}"), console=Console(stderr=True))
