"""Alerts of a run in the backends that have some, read back with the SDKs' own readers."""

import zipfile
from collections import Counter
from pathlib import Path

import pytest

import accel_track
from accel_track.delivery.sync import Sync
from accel_track.run import Run
from accel_track.trackers.comet.tracker import CometMLTracker
from accel_track.trackers.wandb import log_file
from tests.support.notifications import Mailbox
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def raised(log_with: str, project: str = "p") -> Run:
    run = accel_track.init(project, log_with, project_dir="runs")
    run.log({"loss": 1.0}, 3)
    run.alert("t" * 100, "a text", "warning")
    run.alert("second")
    run.finish()
    return run


def wandb_alerts() -> list[tuple[str, str, str]]:
    """Return title, text and level of each, once wandb's service has written the run's end."""
    (path,) = Path("runs").rglob("*.wandb")
    until(lambda: any(one.HasField("exit") for one in log_file.records(path, Counter())))
    found = [one.alert for one in log_file.records(path, Counter()) if one.HasField("alert")]
    return [(one.title, one.text, one.level) for one in found]


@pytest.mark.long
def test_wandb() -> None:
    """Titles are as long as wandb takes them; two of a run are both sent, also within a minute."""
    raised("wandb")
    assert wandb_alerts() == [("t" * 63, "a text", "WARN"), ("second", "", "INFO")]


def test_wandb_gets_an_alert_later_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    run = accel_track.init("p", "wandb", project_dir="runs", delivery="none")
    monkeypatch.setattr(run._delivery.journal, "clock", lambda: 1_000_000_000.0)
    run.alert("old", "a text", "error")
    run.finish()
    Sync(run.run_directory).deliver(follow=False, timeout=60.0)
    assert wandb_alerts() == [("old", "a text\n\nraised at 2001-09-09 01:46:40 UTC", "ERROR")]


def test_trackio_keeps_an_alert_once_with_its_time() -> None:
    from trackio.sqlite_storage import SQLiteStorage

    run = raised("trackio", "once")
    found = SQLiteStorage.get_alerts("once")
    assert sorted((one["title"], one["text"], one["level"], one["step"]) for one in found) == [
        ("second", None, "info", 3),
        ("t" * 100, "a text", "warn", 3),
    ]
    assert run.run_directory is not None
    run.run_directory.cursor("trackio", 0).unlink()  # delivered once more, as after a crash
    Sync(run.run_directory).deliver(follow=False, timeout=60.0)
    again = SQLiteStorage.get_alerts("once")
    assert sorted(map(str, again)) == sorted(map(str, found))


def test_trackio_calls_a_webhook_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    from trackio.sqlite_storage import SQLiteStorage

    box = Mailbox()
    monkeypatch.setenv("TRACKIO_WEBHOOK_URL", f"http://127.0.0.1:{box.port}/")
    raised("trackio", "webhook")
    until(lambda: box.messages)
    assert len(SQLiteStorage.get_alerts("webhook")) == 2
    box.close()


def test_comet_has_a_text_offline(tmp_path: Path) -> None:
    run = raised("comet_ml")
    assert not CometMLTracker.keeps_alerts
    (archive,) = tmp_path.rglob("*.zip")
    with zipfile.ZipFile(archive) as file:
        kept = " ".join(file.read(name).decode(errors="replace") for name in file.namelist())
    assert all(text in kept for text in ("**warning: " + "t" * 100, "a text", "**info: second**"))
    assert run.finished
