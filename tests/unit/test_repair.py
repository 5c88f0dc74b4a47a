"""Repairs: exactly what is missing is delivered, once, in order, also where a repair was killed in the middle."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from accel_track import media
from accel_track.delivery.repair import repair
from accel_track.delivery.sync import TAKEN
from accel_track.journal.reader import JournalReader
from tests.support.keeping import KeepingTracker, begin, deliver, lines, made, receipt, registered, rewrite
from tests.support.processes import PYTHON, own_environment

CALLS = [({"train": {"loss": 1 / (step + 1)}, "n@": step}, step) for step in range(10)]


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    with registered():
        yield


def test_exactly_what_is_missing_is_delivered_with_its_step_and_time() -> None:
    run = made(*CALLS, config={"lr": 0.1, "deep": {"a": 1, "b": 2}})
    whole = lines()
    gone = [whole[0], whole[3], whole[4], whole[9]]
    rewrite([line for line in whole if line not in gone])
    done = repair(run, "keeping")
    assert (done.delivered, done.error) == (3, None)
    assert (done.before.values.missing.count, done.after.values.missing.count) == (3, 0)
    assert done.after.whole
    assert lines()[-4:] == gone
    again = repair(run, "keeping")
    assert (again.delivered, len(lines())) == (0, len(whole))


def test_a_part_of_the_hyperparameters() -> None:
    run = made(config={"lr": 0.1, "deep": {"a": 1, "b": 2}})
    rewrite([{"config": {"lr": 0.1, "deep": {"a": 1}}}])
    assert repair(run, "keeping").delivered == 1
    assert lines()[-1] == {"config": {"deep": {"b": 2}}}


def test_a_hyperparameter_that_is_none() -> None:
    run = made(config={"lr": 0.1, "deep": {"none": None}})
    rewrite([{"config": {"lr": 0.1}}])
    assert repair(run, "keeping").after.whole
    assert lines()[-1] == {"config": {"deep": {"none": None}}}


def test_the_cursor_and_the_journal_stay() -> None:
    run = made(*CALLS)
    rewrite(lines()[1:])
    before = run.cursor("keeping").read_bytes(), list(JournalReader(run.rank()))
    repair(run, "keeping")
    assert before == (run.cursor("keeping").read_bytes(), list(JournalReader(run.rank())))


def test_another_value_gets_the_right_one_beside_it_and_that_is_said() -> None:
    run = made(*CALLS)
    changed = lines()
    changed[4]["value"] += 1
    rewrite(changed)
    done = repair(run, "keeping")
    assert (done.delivered, done.after.values.differing.count, done.after.values.extra.count) == (1, 0, 1)


def test_where_the_first_value_of_a_step_stays_nothing_is_delivered_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(KeepingTracker, "keeps_of_a_step", "first")
    run = made(*CALLS)
    changed = lines()
    changed[4]["value"] += 1
    rewrite(changed)
    done = repair(run, "keeping")
    assert (done.delivered, done.after.values.differing.count) == (0, 1)
    assert not done.after.whole


def test_media_lists_and_artifacts() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8)
    Path("a.txt").write_text("one")
    run = begin()
    run.log({"several": [media.Image(pixels), media.Image(pixels[::-1])], "loss": 1.0}, 1)
    run.log({"pair": [media.Image(pixels), media.Image(pixels[::-1])]}, 1)
    run.log_artifact("a.txt", "file")
    run.finish()
    directory = deliver()
    whole = lines()
    rewrite([line for line in whole if line.get("name") in ("several/0", "loss")])
    done = repair(directory, "keeping")
    assert done.after.whole, str(done.after)
    assert [line.get("name", line.get("artifact")) for line in lines()[2:]] == ["several/1", "pair/0", "pair/1", "file"]


def test_a_process_that_delivers_is_left_alone() -> None:
    run = made(*CALLS)
    rewrite(lines()[1:])
    lock = run.claim("keeping")
    assert lock is not None
    done = repair(run, "keeping")
    assert (done.delivered, done.error) == (0, TAKEN)
    lock.release()
    assert repair(run, "keeping").delivered == 1


def test_what_the_backend_refuses_is_said_and_the_rest_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    run = made(*CALLS)
    rewrite([])
    log = KeepingTracker.log

    def refuse(self: KeepingTracker, values: dict[str, object], step: int | None = None) -> None:
        if step == 4:
            raise ValueError("no fours")
        log(self, values, step)

    monkeypatch.setattr(KeepingTracker, "batch_size", 7)
    monkeypatch.setattr(KeepingTracker, "log", refuse)
    done = repair(run, "keeping")
    assert (done.delivered, done.error) == (9, "ValueError: no fours")
    assert done.after.values.missing.count == 2
    assert [line["step"] for line in lines()[::2]] == [0, 1, 2, 3, 5, 6, 7, 8, 9]


def test_a_connection_that_breaks_ends_it_and_the_next_delivers_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    run = made(*CALLS)
    whole = lines()
    rewrite([])
    log = KeepingTracker.log

    def fail(self: KeepingTracker, values: dict[str, object], step: int | None = None) -> None:
        if step == 4:
            raise ConnectionError("gone")
        log(self, values, step)

    with monkeypatch.context() as patch:
        patch.setattr(KeepingTracker, "log", fail)
        done = repair(run, "keeping")
    assert (done.delivered, done.error) == (4, "ConnectionError: gone")
    assert repair(run, "keeping").delivered == 6
    assert lines() == whole


KILLED = """
from tests.support.keeping import KeepingTracker
from accel_track.registry import register_tracker_class
from accel_track.delivery.repair import repair
from tests.support.runs import only_run
from pathlib import Path

register_tracker_class(KeepingTracker)
repair(only_run(Path("runs")), "keeping", {{"die_after": {}}})
"""


@pytest.mark.first(2)
@pytest.mark.parametrize("after", [1, 2, 5, 11])
def test_a_repair_that_was_killed_delivers_nothing_twice(after: int) -> None:
    """The process dies after so many values, also in the middle of a record."""
    run = made(*CALLS)
    whole = lines()
    rewrite(whole[:3] + whole[15:])
    environment = own_environment(PYTHONPATH=Path(__file__).parents[2])
    killed = subprocess.run([PYTHON, "-c", KILLED.format(after)], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(lines()) == 8 + after
    assert repair(run, "keeping", {"die_after": 0}).after.whole  # else as the killed one, whose argument is stored
    assert receipt(run).values.extra.count == 0
    assert sorted(map(str, lines())) == sorted(map(str, whole))


def test_it_says_who_was_not_reached() -> None:
    run = made(*CALLS)
    rewrite(lines()[1:])
    info = run.load()
    info.trackers["keeping"].withheld = ["token"]
    run.save(info)
    done = repair(run, "keeping")
    assert "--set keeping.token=VALUE" in (done.error or "")
    assert json.loads(json.dumps(receipt(run).document()))["whole"] is False
