"""Alerts of runs whose machine is gone: the collector of their mirrors sends what their companions cannot."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from accel_track.cli import app
from accel_track.journal.directory import RunDirectory
from accel_track.mirror.complete import complete
from accel_track.records import Alert
from tests.support.made_runs import made
from tests.support.notifications import Mailbox

pytestmark = pytest.mark.extras


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Mailbox:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = Mailbox()
    monkeypatch.setenv("ACCEL_TRACK_NOTIFY", found.address)
    return found


def gone(name: str, **more: Any) -> RunDirectory:
    """Make the run directory of a machine that went while it logged."""
    return made("machine", "digits", name, 1e9, **{"status": "running", "alerts": ["nan", "failed"], **more})


def collected(run: RunDirectory, url: str) -> None:
    complete(run, url)
    result = CliRunner().invoke(app, ["sync", f"{url}/digits/{run.path.name}", "--follow", "--to", "jsonl"])
    assert result.exit_code == 0, result.output


def test_a_machine_that_is_gone_is_told_once(box: Mailbox, tmp_path: Path) -> None:
    run, url = gone("a"), (tmp_path / "mirror").as_uri()
    for _ in range(2):  # two collectors, one after the other
        collected(run, url)
    assert box.said == [("failure", "digits/a: the run has failed")]
    assert "its machine is gone" in box.messages[0]["message"]


@pytest.mark.parametrize(
    "more",
    [
        {"status": "failed"},  # its own companion has told it
        {"alerts": ["nan"]},
        {"raised": [Alert("the run has failed", "", "error", "failed", "failed @1")]},
    ],
)
def test_what_the_companion_has_told_or_nobody_wants_is_not_sent(box: Mailbox, tmp_path: Path, more: Any) -> None:
    collected(gone("a", **more), (tmp_path / "mirror").as_uri())
    assert box.messages == []
    if "raised" in more:  # trackers get it as all records
        assert "the run has failed" in Path("digits/a/metrics.jsonl").read_text()
