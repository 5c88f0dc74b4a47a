"""Alerts as records: who gets them, as what, and what an earlier version of this package makes of them."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

import accel_track
from accel_track.alerts.noted import Note, Notes
from accel_track.alerts.services import MOST
from accel_track.delivery.comparing.records import RecordsFor
from accel_track.errors import MissingPackageError
from accel_track.journal.directory import find_runs
from accel_track.journal.reader import JournalReader
from accel_track.outcome import Outcome
from accel_track.records import ALERT, Alert, Metrics, Record, encode, is_call
from accel_track.rules import Rules
from accel_track.testing.doubles import RecordingTracker
from accel_track.views.content import Content


class Alarm(RecordingTracker):
    """A tracker that has alerts of its own."""

    name = "alarm"
    keeps_alerts = True

    def alert(self, title: str, text: str = "", level: Any = "info") -> None:
        self.calls.append(("alert", title, text, level, self.record_time is not None))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ACCEL_TRACK_NOTIFY", raising=False)
    monkeypatch.delenv("ACCEL_TRACK_ALERTS", raising=False)


def begin(*trackers: Any, **options: Any) -> Any:
    return accel_track.init("p", list(trackers) or None, project_dir="runs", **options)


def content() -> Content:
    (run,) = find_runs("runs")
    found = Content(run)
    found.update()
    return found


def said(tracker: RecordingTracker) -> list[Any]:
    return [call for call in tracker.calls if call[0] in ("log", "alert")]


def test_a_run_that_goes_on_without_rules_has_none_for_a_collector() -> None:
    run = begin(run_name="r", delivery="none")
    directory = run.run_directory
    info = directory.load()
    info.alerts = ["failed"]
    directory.save(info)
    run.finish(Outcome("failed"))
    with begin(run_name="r", delivery="none") as again:
        assert again.run_directory.path == directory.path
        assert again.run_directory.load().alerts == []


@pytest.mark.parametrize("delivery", ["thread", "inline"])
def test_an_alert_keeps_its_place_among_what_is_logged(delivery: Any, capsys: Any) -> None:
    alarm, other = Alarm(), RecordingTracker()
    run = begin(alarm, other, delivery=delivery)
    run.log({"a": 1.0}, 0)
    run.alert("low disk", "5 GB left", "warning")
    run.log({"a": 2.0}, 1)
    run.finish()
    alert = ("alert", "low disk", "5 GB left", "warning", delivery == "thread")
    assert said(alarm) == [("log", {"a": 1.0}, 0, {}), alert, ("log", {"a": 2.0}, 1, {})]
    (name, values, step, _) = said(other)[1]
    assert (name, step, values[ALERT].text) == ("log", None, "**warning: low disk**\n\n5 GB left")
    assert "accel_track warning: low disk: 5 GB left\n" in capsys.readouterr().err


def test_an_alert_is_told_apart_from_metrics_and_media() -> None:
    run = begin(delivery="none")
    run.log({"a": 1.0, ALERT: 3.0}, 0)
    run.alert("done")
    run.finish()
    found = content()
    assert list(found.metrics) == ["a", ALERT]
    assert found.media == {}
    (alert,) = found.alerts
    assert {**alert, "time": 0} == {"time": 0, "title": "done", "text": "", "level": "info", "rule": "", "rank": 0}


def test_an_earlier_version_reads_an_alert_as_a_text() -> None:
    """Items at the end of a record's array are what version 1 of the format allows to be added."""

    class EarlierMetrics(Record, frozen=True, array_like=True, tag="metrics"):
        step: int | None = None
        kwargs: dict[str, dict[str, Any]] | None = None
        unread: dict[str, str] | None = None
        only: str = ""

    alert = Alert("t", "x", "error", "nan", "nan @3")
    payload, portable = encode(Metrics(3, 1.5, alert.values, alert=alert))
    assert portable
    earlier = msgspec.msgpack.Decoder(EarlierMetrics).decode(payload)
    assert (earlier.seq, earlier.time, list(earlier.values)) == (3, 1.5, [ALERT])


def test_a_record_of_an_earlier_version_is_no_alert() -> None:
    from accel_track.records import decode

    record = decode(msgspec.msgpack.encode(["metrics", 1, 2.0, {"a": 1}, 3, {}, {}, ""]))
    assert is_call(record)
    assert isinstance(record, Metrics)
    assert record.alert is None


@pytest.mark.parametrize("delivery", ["thread", "none"])
def test_credentials_and_control_characters_are_taken_out(delivery: Any, capfd: Any) -> None:
    run = begin("jsonl", delivery=delivery)
    run.alert("\x1b[31mred\nline", "api_key=hunter2hunter2 \ud800", "error")
    run.finish()
    shown = capfd.readouterr().err
    assert "\x1b" not in shown
    assert "accel_track error: red line" in shown
    assert content().alerts[0]["title"] == "red line"
    for path in Path("runs").rglob("*"):
        assert path.is_dir() or b"hunter2" not in path.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [((1,), TypeError), (("a", 2), TypeError), (("a", "b", "fatal"), ValueError), (("a", "b", None), ValueError)],
)
def test_wrong_arguments(arguments: Any, error: Any) -> None:
    with begin(delivery="none") as run, pytest.raises(error, match=r"`alert`|`level`"):
        run.alert(*arguments)
    assert content().alerts == []


def test_a_huge_text_is_cut() -> None:
    with begin(delivery="none") as run:
        run.alert("x" * 10_000, "y" * 10**6)
    (alert,) = content().alerts
    assert (len(alert["title"]), len(alert["text"])) == (200, 10_000)


def test_rules_of_trackers_let_alerts_pass() -> None:
    tracker = RecordingTracker()
    with begin(tracker, rules={"recording": {"only": ["loss"], "every": 10}}) as run:
        run.log({"other": 1.0}, 0)
        run.alert("a")
    assert [list(call[1]) for call in said(tracker)] == [[ALERT]]
    (found,) = find_runs("runs")
    shaped = [one for one, _ in RecordsFor(found.rank(0), ("recording",) * 2, Rules(only=("loss",)))]
    assert [one.alert is not None for one in shaped if isinstance(one, Metrics)] == [True]


def test_a_stand_in_raises_an_alert_for_its_tracker_alone(capsys: Any) -> None:
    run = begin("jsonl", delivery="none")
    run.trackers[0].alert("for it", level="warning")
    run.finish()
    (found,) = find_runs("runs")
    (record,) = [one for one in JournalReader(found.rank(0)) if isinstance(one, Metrics)]
    assert record.only == "jsonl"
    assert "for it" not in capsys.readouterr().err


def test_a_program_that_raises_many_shows_so_many(capsys: Any) -> None:
    with begin(delivery="none") as run:
        for place in range(MOST + 30):
            run.alert(f"number {place}")
    assert capsys.readouterr().err.count("accel_track info: number") == MOST
    assert len(content().alerts) == MOST + 30


@pytest.mark.filterwarnings("ignore:log. the run has ended")
def test_after_the_end_nothing_is_kept() -> None:
    run = begin(delivery="none")
    run.finish()
    run.alert("late")
    assert content().alerts == []


def test_an_address_without_the_package_is_an_error_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCEL_TRACK_NOTIFY", "discord://id/secret-token")
    monkeypatch.setattr("accel_track.alerts.services.find_spec", lambda _: None)
    with pytest.raises(MissingPackageError, match=r"pip install \"accel-track\[notify\]\"") as raised:
        begin(delivery="none")
    assert "secret" not in str(raised.value)
    monkeypatch.setenv("ACCEL_TRACK_NOTIFY", "me@example.com")
    with pytest.raises(ValueError, match="must be addresses as apprise has them"):
        begin(delivery="none")
    assert list(find_runs("runs")) == []


def test_notes_survive_torn_and_foreign_lines(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "rank")
    notes.append(Note(1.0, Alert("a", id="1")))
    path = tmp_path / "rank" / "alerts.jsonl"
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(path.read_bytes() + b'{"time": 3}\n[]\n\xff\n{"time":')
    assert [one.time for one in notes.read()] == [1.0, 3.0]
    notes.append(Note(4.0, sent="1"))
    assert [one.sent for one in notes.read()] == ["1"]
    assert list(notes.read()) == []


def test_the_command_lists_alerts(invoke_in_process: Any) -> None:
    with begin(delivery="none") as run:
        run.alert("\x1b]0;title\x07evil [bold]markup[/bold]", "</script>", "warning")
    shown = invoke_in_process("alerts", run.run_id)
    assert re.search(r"warning +│ evil \[bold\]markup\[/bold\] +│ </script>", shown.stdout)
    assert "\x1b" not in shown.stdout
    (alert,) = json.loads(invoke_in_process("alerts", run.run_id, "--json").stdout)
    assert alert["level"] == "warning"


def test_the_command_on_a_run_without_any(invoke_in_process: Any) -> None:
    with begin(delivery="none") as run:
        run.log({"a": 1}, 0)
    assert invoke_in_process("alerts", run.run_id).stdout == "no alerts\n"


@pytest.fixture
def invoke_in_process(monkeypatch: pytest.MonkeyPatch) -> Any:
    from typer.testing import CliRunner

    from accel_track.cli import app

    monkeypatch.setenv("COLUMNS", "200")

    def invoke(*arguments: str) -> Any:
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        return result

    return invoke
