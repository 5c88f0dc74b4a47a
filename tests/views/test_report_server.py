"""The server of a live report: whom it answers, and with what."""

import base64
import json
import struct
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

import accel_track
from accel_track.errors import JournalError
from accel_track.views.report.feed import Feed
from accel_track.views.report.server import ReportServer

pytestmark = pytest.mark.extras


@pytest.fixture
def run() -> Iterator[Any]:
    run = accel_track.init("p", None, project_dir="runs", delivery="none")
    run.log({"loss": 0.5}, 0)
    yield run
    run.finish()


@pytest.fixture
def server(run: Any) -> Iterator[ReportServer]:
    server = ReportServer(Feed([run.run_directory], 1_000_000))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def answer(url: str, **more: Any) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, **more), timeout=10) as found:
            return int(found.status), found.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_only_its_user_is_served(server: ReportServer) -> None:
    """Other users of the machine reach the port as well, and so do pages whose name leads here."""
    url = server.url
    assert answer(url)[0] == 200
    assert answer(f"{url}news?since=x")[0] == 200
    assert answer(url.replace("127.0.0.1", "localhost"))[0] == 200
    assert answer(url, headers={"Host": "evil.example"})[0] == 403
    assert answer(url, headers={"Host": "127.0.0.1.evil.example:80"})[0] == 403
    assert answer(url.rsplit("/", 2)[0] + "/")[0] == 404
    assert answer(f"{url}../../etc/passwd")[0] == 404
    assert answer(url, data=b"x")[0] == 501


def test_news_are_what_came_since(run: Any, server: ReportServer) -> None:
    first = json.loads(answer(f"{server.url}news")[1])
    run.log({"loss": 0.25}, 1)
    news = json.loads(answer(f"{server.url}news?since={first['version']}")[1])
    ((name, metric),) = news["runs"][0]["metrics"]
    ((form, numbers),) = [curve["y"] for curve in metric["curves"]]
    assert (name, form, struct.unpack("<f", base64.b64decode(numbers))) == ("loss", "f4", (0.25,))


def test_a_run_that_cannot_be_read_is_one_line(server: ReportServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        message = "its folder\x1b[2J is gone"
        raise JournalError(message)

    monkeypatch.setattr(server.feed, "document", fails)
    status, text = answer(server.url)
    assert status == 500
    assert "is gone" in text
    assert "\x1b" not in text
