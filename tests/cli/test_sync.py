"""`accel-track sync`, read back from what the backends hold."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from accel_track.delivery.ledger import refused
from accel_track.journal import cursor as cursors
from accel_track.journal.directory import RunDirectory
from accel_track.journal.writer import JournalWriter
from accel_track.registry import tracker_class
from accel_track.testing import RecordingTracker
from tests.support.damage import flip_in_first_record

LOGGED = [["log", step, {"train": {"loss": 1 / (step + 1)}}] for step in range(5)]


def scalars(folder: Path) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars("train/loss")]


def test_delivers_everything_once(make: Any, invoke: Any, written: Any) -> None:
    run = make(config={"lr": 0.1})
    assert written() == []
    result = invoke("sync", run.path)
    assert written() == [["start"], ["config", {"lr": 0.1}], *LOGGED]
    assert "lines: 6 delivered" in result.output
    again = invoke("sync", run.path)
    assert len(written()) == 7  # not even started
    assert "lines: 6 delivered" in again.output


def test_a_run_is_found_by_the_beginning_of_its_id(make: Any, invoke: Any, written: Any) -> None:
    run = make()
    invoke("sync", run.path.name[:-2])
    assert written()[1:] == LOGGED
    make()
    result = invoke("sync", run.path.name[:2], code=2)
    assert "may be any of" in result.stderr
    assert "no run 'zzz'" in invoke("sync", "zzz", code=2).stderr
    assert "is not a run directory" in invoke("sync", ".", code=2).stderr


def test_several_runs(make: Any, invoke: Any, written: Any) -> None:
    runs = [make(), make()]
    invoke("sync", *(run.path for run in runs))
    assert [one for one in written() if one != ["start"]] == LOGGED * 2


def test_tensorboard_gets_the_run(make: Any, invoke: Any) -> None:
    run = make("tensorboard", name="first", config={"lr": 0.1})
    invoke("sync", run.path)
    invoke("sync", run.path)
    assert scalars(Path("runs/proj/first")) == [(step, pytest.approx(1 / (step + 1))) for step in range(5)]
    (_,) = Path("runs/proj/first").glob("events.*")


@pytest.mark.extras
def test_mlflow_gets_a_run_that_never_had_it(make: Any, invoke: Any, mlflow_runs: Any) -> None:
    run = make("tensorboard", delivery="thread", config={"lr": 0.1})
    invoke("sync", run.path, "--to", "mlflow")
    invoke("sync", run.path, "--to", "mlflow")
    invoke("sync", run.path)
    ((stored, metrics),) = mlflow_runs()
    assert stored.info.run_name == run.path.name
    assert stored.data.params == {"lr": "0.1"}
    assert [(one.step, one.value) for one in metrics["train/loss"]] == [(step, 1 / (step + 1)) for step in range(5)]
    assert "mlflow" in run.load().trackers


def test_a_moved_run_is_delivered_beside_itself(make: Any, invoke: Any) -> None:
    make("tensorboard", name="first")
    Path("runs").rename("elsewhere")
    invoke("sync", *Path("elsewhere/.accel_track/proj").iterdir())
    assert len(scalars(Path("elsewhere/proj/first"))) == 5
    assert not Path("runs").exists()


def test_a_later_sync_continues_the_backend_run(make: Any, invoke: Any, lines: Path) -> None:
    run = make()
    invoke("sync", run.path)
    writer = JournalWriter(run.rank())
    writer.metrics({"late": 1}, 9, {})
    writer.close()
    invoke("sync", run.path)
    parts = [json.loads(line) for line in lines.read_text().splitlines()]
    assert parts[-2:] == [[1, "start"], [1, "log", 9, {"late": 1}]]
    assert run.load().trackers["lines"].url == "http://***@localhost/1"


@pytest.mark.extras
def test_a_later_sync_continues_the_mlflow_run(make: Any, invoke: Any, mlflow_runs: Any) -> None:
    run = make("mlflow")
    invoke("sync", run.path)
    writer = JournalWriter(run.rank())
    writer.metrics({"train": {"loss": 0.125}}, 9, {})
    writer.close()
    invoke("sync", run.path)
    ((stored, metrics),) = mlflow_runs()
    assert [one.step for one in metrics["train/loss"]] == [0, 1, 2, 3, 4, 9]
    assert stored.info.status == "FINISHED"
    invoke("sync", run.path, "--from-start")
    assert sorted(len(metrics["train/loss"]) for _, metrics in mlflow_runs()) == [6, 6]


def test_from_start_begins_a_new_backend_run(make: Any, invoke: Any, lines: Path) -> None:
    run = make()
    invoke("sync", run.path)
    dry = invoke("sync", run.path, "--from-start", "--dry-run")
    assert "5 records would be delivered" in dry.output
    invoke("sync", run.path, "--from-start")
    parts = [json.loads(line) for line in lines.read_text().splitlines()]
    assert parts == [[0, "start"], *([0, *one] for one in LOGGED)] * 2


def test_from_start_forgets_the_old_backend_run_even_if_the_new_one_cannot_begin(make: Any, invoke: Any) -> None:
    run = make()
    invoke("sync", run.path)
    result = invoke("sync", run.path, "--from-start", "--set", "lines.error=start", "--timeout", "0", code=1)
    assert "no server" in result.output
    assert run.load().trackers["lines"].identity == {}
    assert not run.cursor("lines").exists()


def test_dry_run_writes_nothing(make: Any, invoke: Any, written: Any) -> None:
    run = make()
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    result = invoke("sync", run.path, "--dry-run")
    assert "lines: 5 records would be delivered" in result.output
    assert "tensorboard: 5 records" in invoke("sync", run.path, "--dry-run", "--to", "tensorboard").output
    assert written() == []
    assert before == {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("text", "stored"), [("abc", "abc"), ("1", 1), ("null", None), ('{"a": [1]}', {"a": [1]}), ("a=b", "a=b")]
)
def test_set_takes_json_or_text(make: Any, invoke: Any, text: str, stored: object) -> None:
    run = make()
    invoke("sync", run.path, "--set", f"lines.error={text}")
    assert run.load().trackers["lines"].kwargs["error"] == stored


@pytest.mark.parametrize("text", ["lines", "lines=1", "lines.=1", ".path=1", "lines.path"])
def test_set_in_another_form_is_refused(make: Any, invoke: Any, text: str) -> None:
    run = make()
    assert "NAME.KEY=VALUE" in invoke("sync", run.path, "--set", text, code=2).stderr


def test_unknown_names_are_refused(make: Any, invoke: Any) -> None:
    run = make()
    for option, value in (("--to", "nothing"), ("--set", "nothing.a=1")):
        assert "unknown tracker 'nothing'" in invoke("sync", run.path, option, value, code=2).stderr
    assert "add --to mlflow" in invoke("sync", run.path, "--set", "mlflow.tags={}", code=2).stderr


def test_json(make: Any, invoke: Any) -> None:
    run = make()
    planned = json.loads(invoke("sync", run.path, "--dry-run", "--json").stdout)
    assert planned[0]["trackers"][0]["pending"] == 5
    (done,) = json.loads(invoke("sync", run.path, "--json").stdout)
    (tracker,) = done["trackers"]
    assert done["path"] == str(run.path)
    assert tracker | {"name": "lines", "delivered": 5, "pending": 0, "complete": True, "obstacle": None} == tracker
    assert tracker["url"] == "http://***@localhost/0"


def test_refused_records_are_told(make: Any, invoke: Any, written: Any) -> None:
    run = make(values={"refused": 1})
    result = invoke("sync", run.path, code=1)
    assert "5 delivered, 1 quarantined (ValueError: too long)" in result.stdout
    assert "too long" in run.quarantine("lines").read_text()
    assert len(written()) == 6


def test_an_unreachable_server_is_one_line(make: Any, invoke: Any, written: Any) -> None:
    run = make()
    result = invoke("sync", run.path, "--set", "lines.error=start", "--timeout", "0", code=1)
    assert "lines: 0 delivered, 5 pending (ConnectionError: no server)" in result.stdout
    invoke("sync", run.path)
    assert written()[1:] == LOGGED


def test_a_constructor_that_raises_is_one_line(make: Any, invoke: Any) -> None:
    run = make()
    result = invoke("sync", run.path, "--set", "lines.nothing=1", code=1)
    assert "5 pending (TypeError: LinesTracker" in result.stdout


def test_withheld_arguments_must_be_given(make: Any, invoke: Any, lines: Path, written: Any) -> None:
    run = make(init_kwargs={"lines": {"path": str(lines), "error": object()}})
    result = invoke("sync", run.path, code=1)
    assert "does not store its arguments error; pass them with --set lines.error=VALUE" in result.stdout
    invoke("sync", run.path, "--set", "lines.error=")
    assert written()[1:] == LOGGED


def test_an_instance_of_an_unknown_class_is_skipped(make: Any, invoke: Any) -> None:
    run = make(RecordingTracker())
    result = invoke("sync", run.path, code=1)
    assert "recording: 0 delivered, 5 pending; it was passed as an object" in result.stdout


def test_a_plugin_that_is_not_installed_is_skipped(make: Any, invoke: Any) -> None:
    from accel_track.registry import LOGGER_TYPE_TO_CLASS

    run = make()
    del LOGGER_TYPE_TO_CLASS["lines"]
    assert "no tracker of that name is installed here" in invoke("sync", run.path, code=1).stdout


def test_a_backend_that_is_not_installed_or_broken_is_one_line(
    make: Any, invoke: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accel_track.registry import LOGGER_TYPE_TO_CLASS

    run, lines = make(), LOGGER_TYPE_TO_CLASS["lines"]
    monkeypatch.setattr(lines, "sdk", "no_such_module")
    assert "'no_such_module' is not installed" in invoke("sync", run.path, code=1).stdout
    monkeypatch.setattr(lines, "installed", lambda: 1 / 0)
    assert "cannot be used (ZeroDivisionError" in invoke("sync", run.path, code=1).stdout


def test_from_start_beside_another_process_changes_nothing(make: Any, invoke: Any, written: Any) -> None:
    run = make()
    invoke("sync", run.path)
    lock = run.claim("lines")
    result = invoke("sync", run.path, "--from-start")
    lock.release()
    assert "another process" in result.stdout
    assert len(written()) == 6
    assert run.load().trackers["lines"].identity == {"part": 1}


def test_a_run_without_trackers(make: Any, invoke: Any, written: Any, lines: Path) -> None:
    run = make([])
    assert "name one with --to" in invoke("sync", run.path).stdout
    invoke("sync", run.path, "--to", "lines", "--set", f"lines.path={lines}")
    assert written()[1:] == LOGGED


def test_each_rank_has_a_backend_run_of_its_own(make: Any, invoke: Any, lines: Path) -> None:
    run = make()
    writer = JournalWriter(run.rank(1), 1)
    writer.metrics({"other": 2}, 0, {})
    writer.close()
    result = invoke("sync", run.path)
    assert "lines: 6 delivered" in result.stdout
    parts = [json.loads(line) for line in lines.read_text().splitlines()]
    assert parts[-2:] == [[0, "start"], [0, "log", 0, {"other": 2}]]


def test_what_a_live_process_delivers_is_left_to_it(start: Any, invoke: Any, written: Any) -> None:
    run = start("lines", delivery="thread")
    (path,) = Path("runs/.accel_track/proj").iterdir()
    run.log({"a": 1}, 0)
    run.flush()
    assert "it is delivered by another process" in invoke("sync", path).stdout
    invoke("sync", path, "--to", "tensorboard")
    run.log({"b": 2}, 1)
    run.finish()
    assert written() == [["start"], ["log", 0, {"a": 1}], ["log", 1, {"b": 2}]]
    assert cursors.load(RunDirectory(path).cursor("tensorboard")).delivered == 1
    invoke("sync", path, "--to", "tensorboard")
    assert cursors.load(RunDirectory(path).cursor("tensorboard")).delivered == 2


def test_damage_is_passed_over(make: Callable[..., RunDirectory], invoke: Any, written: Any) -> None:
    run = make()
    flip_in_first_record(run)
    invoke("sync", run.path)
    assert len(written()) == 5


class TestRefused:
    """`--quarantined`: what a backend has refused is delivered again, once."""

    @pytest.fixture
    def run(self, make: Any, invoke: Any) -> RunDirectory:
        run: RunDirectory = make(values={"refused": 1})
        invoke("sync", run.path, code=1)
        return run

    @pytest.fixture
    def _takes_all(self, run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
        tracker = tracker_class("lines")
        monkeypatch.setattr(tracker, "log", lambda self, values, step=None, **_: self._write("log", step, values))

    def counts(self, run: RunDirectory) -> tuple[int, int, int]:
        cursor = cursors.load(run.cursor("lines"))
        return cursor.delivered, cursor.quarantined, cursor.seq

    @pytest.mark.usefixtures("_takes_all")
    def test_what_is_stored_now_leaves_the_quarantine(self, run: Any, invoke: Any, written: Any) -> None:
        planned = invoke("sync", run.path, "--quarantined", "--dry-run")
        assert "1 record would be delivered" in planned.stdout
        assert "6 delivered" in invoke("sync", run.path, "--quarantined").stdout
        assert written()[-1] == ["log", 5, {"refused": 1}]
        assert (self.counts(run), run.quarantine("lines").exists()) == ((6, 0, 6), False)
        before = len(written())
        invoke("sync", run.path, "--refused")  # the same, and it adds nothing
        assert len(written()) == before
        (told,) = json.loads(invoke("ls", "--json").stdout)
        assert (told["trackers"]["lines"]["delivered"], told["trackers"]["lines"]["quarantined"]) == (6, 0)

    def test_what_is_refused_again_stays(self, run: Any, invoke: Any) -> None:
        assert (
            "5 delivered, 1 quarantined (ValueError: too long)"
            in invoke("sync", run.path, "--quarantined", code=1).stdout
        )
        assert self.counts(run) == (5, 1, 6)
        assert "too long" in run.quarantine("lines").read_text()

    @pytest.mark.parametrize("how", ["start", "finish", "build"])
    @pytest.mark.usefixtures("_takes_all")
    def test_nothing_counts_where_the_tracker_fails(
        self, run: Any, invoke: Any, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("broken")

        monkeypatch.setattr(tracker_class("lines"), "__init__" if how == "build" else how, fail)
        assert "RuntimeError: broken" in invoke("sync", run.path, "--quarantined", code=1).stdout
        assert self.counts(run) == (5, 1, 6)

    def test_a_server_that_goes_away_keeps_the_rest(
        self, make: Any, invoke: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = make()
        invoke("sync", run.path)
        cursor = cursors.load(run.cursor("lines"))
        cursor.delivered, cursor.quarantined = 2, 3
        cursors.save(run.cursor("lines"), cursor)
        lines = [b'{"seq": 4}', b"{", b'{"seq": "x"}', b'{"seq": 1}', b'{"seq": 2}', b'{"seq": 99}']
        run.quarantine("lines").parent.mkdir()
        run.quarantine("lines").write_bytes(b"\n".join(lines))
        calls: list[int] = []

        def log(_: object, _values: object, step: int) -> None:
            calls.append(step)
            if step == 2:
                raise ConnectionError("gone")

        monkeypatch.setattr(tracker_class("lines"), "log", log)
        assert (
            "3 delivered, 2 quarantined (ConnectionError: gone)"
            in invoke("sync", run.path, "--quarantined", code=1).stdout
        )
        assert calls == [1, 2]
        assert refused(run.quarantine("lines")) == {2, 4, 99}

    def test_another_process_delivers(self, run: Any, invoke: Any) -> None:
        lock = run.claim("lines")
        assert "delivered by another process" in invoke("sync", run.path, "--quarantined", code=1).stdout
        lock.release()

    def test_from_the_start_the_quarantine_is_another_runs(self, run: Any, invoke: Any) -> None:
        invoke("sync", run.path, "--from-start", code=1)
        assert len(run.quarantine("lines").read_text().splitlines()) == 1


def test_rules_shape_what_a_new_backend_gets(start: Any, invoke: Any, written: Any, lines: Path) -> None:
    run = start(None)
    for step in range(25):
        run.log({"val_loss": float(step), "train": {"loss": 0.5}, "debug/x": 1.0}, step)
    run.finish()
    shape = ("--map", "val_*=eval/*", "--drop", "debug/*", "--drop", "train/*", "--every", "10")
    to = ("--to", "lines", "--set", f"lines.path={lines}")
    planned = invoke("sync", run.run_directory.path, *to, *shape, "--dry-run")
    assert "by its rules: every 10 steps, without debug/*, train/*, val_* as eval/*" in planned.output
    result = invoke("sync", run.run_directory.path, *to, *shape)
    assert "lines: 3 delivered\n    by its rules: every 10 steps" in result.output
    assert written()[1:] == [["log", step, {"eval/loss": float(step)}] for step in (0, 10, 20)]
    again = invoke("sync", run.run_directory.path, *to, "--every", "2", code=2)
    assert "lines: its delivery began with other rules (every 10 steps" in again.stderr
    assert "--from-start" in again.stderr
    invoke("sync", run.run_directory.path, *to, *shape)
    invoke("sync", run.run_directory.path, "--to", "lines")  # goes on by the cursor's
    assert len(written()) == 4
    invoke("sync", run.run_directory.path, *to, "--only", "train/*", "--from-start")
    assert written()[5:] == [["log", step, {"train/loss": 0.5}] for step in range(25)]


def test_later_records_go_by_the_rules_of_the_first(start: Any, invoke: Any, written: Any) -> None:
    run = start("lines")
    for step in range(15):
        run.log({"loss": float(step)}, step)
    run.flush()
    invoke("sync", run.run_directory.path, "--to", "lines", "--every", "10")
    for step in range(15, 35):
        run.log({"loss": float(step)}, step)
    run.finish()
    invoke("sync", run.run_directory.path)
    assert [one[1] for one in written() if one[0] == "log"] == [0, 10, 20, 30]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--every", "3"], "they go with --to"),
        (["--to", "lines", "--map", "val_*"], "write OLD=NEW"),
        (["--to", "lines", "--map", "=x"], "write OLD=NEW"),
        (["--to", "lines", "--map", "a=*"], "has more wildcards"),
        (["--to", "lines", "--only", ""], "is empty"),
        (["--to", "lines", "--every", "0"], "is less than 1"),
    ],
)
def test_rules_that_cannot_be(make: Any, invoke: Any, options: list[str], message: str) -> None:
    assert message in " ".join(invoke("sync", make().path, *options, code=2).stderr.split())
