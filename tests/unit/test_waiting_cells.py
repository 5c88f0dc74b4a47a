"""Large tables: written in the call as MessagePack, made JSON after it."""

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from accel_track import init
from accel_track.delivery.media import KeptMedia
from accel_track.errors import AccelTrackWarning
from accel_track.media import Table, folder, sums
from accel_track.media.folder import problem
from accel_track.media.tables import MANY, as_json
from accel_track.records import Stored, WithoutForm
from accel_track.testing import RecordingTracker
from accel_track.texts import storable_texts
from accel_track.values.capture import captured

ROWS = [[index, index / 7, f"name {index}", None, index % 2 == 0] for index in range(MANY // 5)]
COLUMNS = ["a", "b", "c", "d", "e"]


def kept(rank: Path, table: Table, media: KeptMedia | None = None) -> tuple[KeptMedia, Stored]:
    media = media or KeptMedia(rank)
    call = captured({"t": table})
    media.keep(call)
    assert call.unread == {}
    return media, call[0]["t"]


def found_in(media: KeptMedia, stored: Stored) -> Table:
    found = media.medium(stored)
    assert isinstance(found, Table), found
    return found


def test_it_becomes_json_after_the_call_as_in_it(tmp_path: Path) -> None:
    rows = [*ROWS, [float("nan"), float("-inf"), "ü\u2028", -(2**63), 2**64 - 1]]
    media, stored = kept(tmp_path, Table(rows, COLUMNS))
    assert stored.info == {"columns": 5, "rows": len(rows)}
    assert not (tmp_path / "media" / stored.file).exists()
    assert media.files.waiting > 0
    another = found_in(KeptMedia(tmp_path), stored)  # as in another process
    assert another.data() == as_json(COLUMNS, rows)
    assert repr(another.rows) == repr(rows)
    assert another.columns == COLUMNS
    while media.files.encode_next():
        pass
    assert media.files.waiting == 0
    assert sorted(one.name for one in (tmp_path / "media").iterdir()) == sorted([stored.file, sums.SUMS])


def test_other_forms_wait_too_and_other_objects_are_texts(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.arange(MANY), "when": [date(2026, 1, 2)] * MANY})
    media, stored = kept(tmp_path, Table(frame))
    assert media.files.waiting > 0
    assert found_in(media, stored).rows[3] == [3, "2026-01-02"]


@pytest.mark.parametrize(
    "rows",
    [ROWS[:-1], [*ROWS[:-1], [2**70, 1, 1, 1, 1]], [*ROWS[:-1], ["\ud800", 1, 1, 1, 1]]],
    ids=["fewer cells", "a long integer", "half of a surrogate pair"],
)
def test_others_become_json_in_the_call(tmp_path: Path, rows: Any) -> None:
    media, stored = kept(tmp_path, Table(rows, COLUMNS))
    assert media.files.waiting == 0
    assert (tmp_path / "media" / stored.file).read_bytes() == as_json(COLUMNS, rows)
    assert found_in(media, stored).rows == storable_texts(rows)


def test_what_changes_after_the_call_changes_nothing(tmp_path: Path) -> None:
    rows = [list(row) for row in ROWS]
    media, stored = kept(tmp_path, Table(rows, COLUMNS))
    rows[0][0] = "changed"
    assert found_in(media, stored).rows == ROWS


def test_equal_tables_are_one_file(tmp_path: Path) -> None:
    media, first = kept(tmp_path, Table(ROWS, COLUMNS))
    waiting = media.files.waiting
    assert kept(tmp_path, Table(ROWS, COLUMNS), media)[1] == first
    assert media.files.waiting == waiting
    assert found_in(media, first).rows == ROWS
    assert kept(tmp_path, Table(ROWS, COLUMNS), media)[1] == first
    assert media.files.waiting == 0


def test_damage_is_said_while_it_waits_and_after_it(tmp_path: Path) -> None:
    media, stored = kept(tmp_path, Table(ROWS, COLUMNS))
    place = tmp_path / "media"
    raw = place / f"{stored.file}.raw"
    whole = raw.read_bytes()
    assert problem(place, stored.file, {}) is None
    raw.write_bytes(whole[:-1])
    assert "not what was logged" in (problem(place, stored.file, {}) or "")
    lost = KeptMedia(tmp_path).medium(stored)
    assert isinstance(lost, WithoutForm)
    assert "damaged" in lost.what
    raw.write_bytes(whole)
    assert found_in(media, stored).rows == ROWS
    assert problem(place, stored.file, sums.known(place)) is None
    (place / stored.file).write_text("{}")
    assert problem(place, stored.file, sums.known(place)) == "its bytes are not what was stored"


@pytest.mark.parametrize("data", [b"", b"x", b"\x92\x90\x01"])
def test_bytes_that_are_no_table_are_damage_also_under_their_own_checksum(tmp_path: Path, data: bytes) -> None:
    name = hashlib.sha256(data).hexdigest() + ".table.json"
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / f"{name}.raw").write_bytes(data)
    assert "not what was logged" in (problem(tmp_path / "media", name, {}) or "")
    lost = KeptMedia(tmp_path).medium(Stored("table", name, {}))
    assert isinstance(lost, WithoutForm)


def test_a_call_that_finds_too_much_waiting_makes_its_own_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "MOST_WAITING", 1)
    media, _ = kept(tmp_path, Table(ROWS, COLUMNS))
    with pytest.warns(AccelTrackWarning, match="of media wait to be encoded"):
        _, stored = kept(tmp_path, Table(ROWS[::-1], COLUMNS), media)
    assert json.loads((tmp_path / "media" / stored.file).read_bytes())["data"] == ROWS[::-1]


class Reader(RecordingTracker):
    """Reads a table while the tracker has it."""

    def log(self, values: Any, step: int | None = None, **kwargs: Any) -> None:
        super().log({"rows": values["t"].rows}, step, **kwargs)


@pytest.mark.parametrize("delivery", ["thread", "inline"])
def test_a_tracker_gets_it_as_json(delivery: Any) -> None:
    tracker = Reader()
    with init("p", log_with=tracker, delivery=delivery) as run:
        run.log_table("t", COLUMNS, ROWS, step=1)
    assert [call[1] for call in tracker.calls if call[0] == "log"] == [{"rows": ROWS}]


def test_a_companion_gets_it_as_json(tmp_path: Path) -> None:
    with init("p", log_with="jsonl", project_dir=tmp_path, delivery="process") as run:
        run.log_table("t", COLUMNS, ROWS, step=1)
    found = [one.read_bytes() for one in (tmp_path / "p").rglob("*.json")]
    assert [json.loads(one) for one in found if b"name 7" in one] == [{"columns": COLUMNS, "data": ROWS}]
