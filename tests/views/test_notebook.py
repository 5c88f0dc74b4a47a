"""What a notebook shows of a run, by IPython's own formatter, in the middle of a training and after it."""

import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

import accel_track
from accel_track.lightning.logger import AccelTrackLogger
from accel_track.noop import NoOp
from accel_track.run import Run
from accel_track.testing import RecordingTracker
from tests.support.skips import need


def shown(run: Any) -> str | None:
    need("IPython")
    from IPython.core.formatters import DisplayFormatter

    data, _ = DisplayFormatter().format(run)
    return data.get("text/html")


@pytest.fixture
def run(tmp_path: Path) -> Any:
    with accel_track.init("proj", run_name="mine", project_dir=tmp_path, delivery="none") as begun:
        yield begun


def test_a_run_in_the_middle_and_after(run: Run) -> None:
    run.log({"train/loss": 1.0}, 0)
    run.log({"train/loss": math.nan}, 1)
    run.log({"train/loss": 0.25, "note": "hello"}, 2)
    html = shown(run)
    assert "proj / mine" in html
    assert "running" in html
    assert "0.25" in html
    assert "1 not finite" in html
    assert re.findall(r'd="([^"]+)"', html) == ["M0.0 0.0M150.0 36.0"]  # with a gap
    run.log({"val/acc": 0.5}, 3)
    assert "val/acc" in shown(run)
    run.finish()
    assert "finished" in shown(run)


def test_it_is_well_formed_and_loads_nothing_whatever_names_hold(run: Run) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x>\x1b[31m"
    run.log({evil: 1.0, "text": evil}, 0)
    run.log({evil: 1e308}, 1)
    run.log({evil: -1e308, f"{evil}/one": 3.0}, 2)
    html = shown(run)
    tags = {one.tag for one in ET.fromstring(html).iter()}
    assert tags == {"div", "strong", "svg", "path", "code"}
    assert not re.search(r"<script|<img|\x1b|https?://", html)


def test_many_metrics_are_a_few_curves_and_a_hint(run: Run) -> None:
    run.log({f"m{number}": 1.0 for number in range(1000)}, 0)
    html = shown(run)
    assert html.count("<svg") == 24
    assert "976 more metrics" in html
    assert len(html) < 30_000


def test_a_run_without_a_journal(tmp_path: Path) -> None:
    with accel_track.init("p", project_dir=tmp_path, log_with=RecordingTracker(), delivery="inline") as run:
        run.log({"loss": 1.0}, 0)
        assert "inline" in shown(run)
        assert "running" in shown(run)
    assert "finished" in shown(run)


def test_a_run_whose_folder_is_damaged_shows_nothing_and_raises_nothing(run: Run) -> None:
    (run.run_directory.path / "run.json").write_text("{")
    assert shown(run) is None


def test_a_loggers_run_on_rank_zero_and_on_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logger = AccelTrackLogger(save_dir=tmp_path, delivery="none")
    logger.log_metrics({"loss": 0.5}, 0)
    assert "loss" in shown(logger.run)
    logger.finalize("success")
    monkeypatch.setattr("lightning.pytorch.utilities.rank_zero_only.rank", 1, raising=False)
    other = AccelTrackLogger(save_dir=tmp_path, delivery="none")
    assert isinstance(other.run, NoOp)
    assert shown(other.run) is None
