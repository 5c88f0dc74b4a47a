"""Services that get alerts through apprise: a real HTTP server that takes them, refuses, is down, or hangs."""

import time
from pathlib import Path

import pytest

from accel_track.alerts.services import Services
from accel_track.records import Alert
from tests.support.notifications import PASSWORD, Mailbox
from tests.support.servers import free_port
from tests.support.waiting import until

pytestmark = pytest.mark.extras


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))


def services(monkeypatch: pytest.MonkeyPatch, *addresses: str, **more: float) -> tuple[Services, list[str]]:
    monkeypatch.setenv("ACCEL_TRACK_NOTIFY", ", ".join(addresses))
    sent: list[str] = []
    return Services("proj/run", sent.append, **more), sent


def test_each_service_gets_each_alert_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one, other = Mailbox(), Mailbox()
    found, sent = services(monkeypatch, one.address, other.address)
    for place, level in enumerate(["info", "warning", "error"]):
        found.send(str(place), Alert(f"<b>title {place}</b>", "text" * place, level))
    found.close(10.0)
    assert one.said == [("info", "<b>title 0</b>"), ("warning", "<b>title 1</b>"), ("failure", "<b>title 2</b>")]
    assert one.said == other.said
    assert one.messages[0]["title"] == "<b>title 0</b> (proj/run)"
    assert sent == ["0", "1", "2"]
    assert found.problem is None
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []  # apprise keeps nothing on the disk
    one.close()
    other.close()


def test_a_service_that_refuses_is_tried_again_and_named_without_its_address(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    box = Mailbox(refused=2)
    found, sent = services(monkeypatch, box.address)
    found.send("1", Alert("a"))
    assert until(lambda: found.problem) == "JSON has not taken an alert"
    until(lambda: sent == ["1"])
    assert (box.tries, len(box.messages)) == (3, 1)
    found.close(5.0)
    assert PASSWORD not in caplog.text
    box.close()


def test_a_service_that_is_down_gets_the_alert_when_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    port, healthy = free_port(), Mailbox()
    found, sent = services(monkeypatch, f"json://127.0.0.1:{port}/", healthy.address)
    found.send("1", Alert("a"))
    until(lambda: healthy.messages and found.problem)
    assert sent == []
    late = Mailbox(port)
    until(lambda: sent == ["1"])
    assert late.said == healthy.said == [("info", "a")]
    found.close(5.0)
    late.close()
    healthy.close()


def test_a_service_that_is_down_for_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    found, sent = services(monkeypatch, f"json://127.0.0.1:{free_port()}/", patience=0.2)
    found.send("1", Alert("a"))
    until(lambda: sent == ["1"])
    assert found.problem == "JSON: an alert was given up"


def test_neither_a_service_that_is_down_nor_one_that_hangs_holds_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = Mailbox(pause=30.0)
    found, _ = services(monkeypatch, hanging.address, f"json://127.0.0.1:{free_port()}/")
    found.send("1", Alert("a"))
    begun = time.monotonic()
    found.close(0.3)
    assert time.monotonic() - begun < 2.0


def test_so_many_an_hour_then_a_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    box = Mailbox()
    found, sent = services(monkeypatch, box.address, most=2)
    for place in range(14):
        found.send(str(place), Alert(f"title {place % 4}"))
    found.close(10.0)
    assert [title for _, title in box.said] == ["title 0", "title 1", "12 more alerts"]
    assert box.messages[-1]["message"].startswith("title 1, title 2, title 3, title 0")
    assert sent == ["0", "1"]
    box.close()


def test_an_address_that_apprise_does_not_know_is_told_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    box = Mailbox()
    found, _ = services(monkeypatch, "nosuch://secret@place", box.address)
    assert found.problem is not None
    assert "addresses that apprise does not know" in found.problem
    assert "secret" not in found.problem
    found.send("1", Alert("a"))
    found.close(5.0)
    assert box.said == [("info", "a")]
    box.close()
