"""The server of a backend's page: that it answers, what it says where it does not, and that nothing of it is left."""

import os
from pathlib import Path

import psutil
import pytest

from accel_track.views.opened import servers
from accel_track.views.opened.servers import PAGES, Page, Server, free_port, settle

FILES = Page(8000, lambda _, port: ("-m", "http.server", str(port), "--bind", servers.HOST))


def test_it_answers_and_ends_with_all_its_processes(tmp_path: Path) -> None:
    server = Server(FILES, tmp_path, free_port(0, only=False))
    try:
        assert server.wait()
        assert not server.over
        family = psutil.Process(server._process.pid).children(recursive=True)
    finally:
        server.end()
    assert server.over
    assert family
    assert psutil.wait_procs(family, 10)[1] == []


def test_one_that_ends_is_not_waited_for(tmp_path: Path) -> None:
    server = Server(Page(1, lambda *_: ("-c", "raise SystemExit('no\\nfolder')")), tmp_path, 1)
    assert not server.wait()
    assert server.last_words() == "folder"
    server.end()
    server.log.write_text("\n")
    assert server.last_words() == "it says nothing"


def test_a_port_that_is_taken_is_left_to_whom_it_belongs(tmp_path: Path) -> None:
    port = free_port(0, only=False)
    server = Server(FILES, tmp_path, port)
    try:
        assert server.wait()
        assert free_port(port, only=False) != port
        with pytest.raises(OSError, match=f"port {port} of 127.0.0.1 is taken"):
            free_port(port, only=True)
    finally:
        server.end()


def test_variables_lead_to_the_folder_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_SERVER_URL", "http://elsewhere.invalid")
    monkeypatch.setenv("TRACKIO_DIR", "elsewhere")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    settle(PAGES["trackio"], tmp_path)
    assert os.environ["TRACKIO_DIR"] == str(tmp_path / "trackio")
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert "TRACKIO_SERVER_URL" not in os.environ


@pytest.mark.parametrize("name", PAGES)
def test_each_has_its_command(name: str, tmp_path: Path) -> None:
    command = PAGES[name].command(tmp_path, 1234)
    assert any("1234" in part for part in command)
    assert any(servers.HOST in part for part in command)
