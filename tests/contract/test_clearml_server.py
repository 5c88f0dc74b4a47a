"""What ClearML's real SDK tells a server, recorded by one on the loopback that knows a single task."""

import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


class Server(ThreadingHTTPServer):
    """The API of a ClearML server, as far as these tests need it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.task: dict[str, Any] = {"id": "t1", "name": "run", "project": "p1", "last_iteration": 3, "output": {}}
        self.artifacts: dict[str, Any] = {}
        self.statuses: list[dict[str, Any]] = []
        self.values: list[tuple[int, float]] = []
        self.times: list[int] = []

    def answer(self, call: str, request: dict[str, Any]) -> dict[str, Any]:
        """Return the data of an answer, and keep what the call says."""
        if call == "auth.login":
            claims = {"exp": int(time.time()) + 3600, "api_version": "2.30", "env": ""}
            return {"token": ".".join(map(encoded, ({"alg": "none", "typ": "JWT"}, claims))) + "."}
        if call == "tasks.edit":
            self.task |= {key: value for key, value in request.items() if key not in ("task", "force", "method")}
        elif call in ("tasks.started", "tasks.completed", "tasks.failed", "tasks.stopped"):
            self.statuses.append({"status": call.partition(".")[2], **request})
            self.task["status"] = {"tasks.started": "in_progress"}.get(call, call.partition(".")[2])
        elif call == "tasks.add_or_update_artifacts":
            self.artifacts |= {entry["key"]: entry for entry in request["artifacts"]}
        elif call == "tasks.delete_artifacts":
            return {"deleted": len([self.artifacts.pop(entry["key"], None) for entry in request["artifacts"]])}
        elif call == "projects.get_all":
            return {"projects": [{"id": "p1", "name": "contract"}]}
        task = {**self.task, "execution": {"artifacts": list(self.artifacts.values())}}
        return {"id": "t1", "task": task, "tasks": [task], "updated": 1}


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        """Answer a call: JSON, or JSON lines where events are sent."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        call = self.path.rpartition("/")[2]
        lines = [json.loads(line) for line in body.splitlines() if line.strip()]
        if call == "events.add_batch":
            losses = [line for line in lines if line.get("metric") == "loss"]
            self.server.values += [(line["iter"], line["value"]) for line in losses]
            self.server.times += [line["timestamp"] for line in losses]
        data = self.server.answer(call, lines[0] if lines else {})
        meta = {"result_code": 200, "result_msg": "OK", "endpoint": {"name": call, "actual_version": "2.30"}}
        answer = json.dumps({"meta": meta, "data": data}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST  # noqa: N815 - the name that the base class looks for

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


def encoded(part: dict[str, Any]) -> str:
    """Return a part of a JSON web token."""
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


@pytest.fixture
def server() -> Iterator[Server]:
    """Run the server during a test."""
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def program(server: Server, folder: Path, code: str, **kwargs: Any) -> None:
    """Run code with a tracker that is started; it may kill itself."""
    url = f"http://127.0.0.1:{server.server_port}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CLEARML_", "TRAINS_"))}
    environment |= {f"CLEARML_{kind}_HOST": url for kind in ("API", "WEB", "FILES")}
    environment |= {"CLEARML_API_ACCESS_KEY": "a", "CLEARML_API_SECRET_KEY": "s", "CLEARML_CACHE_DIR": str(folder)}
    environment |= {"CLEARML_API_DEFAULT_REQ_METHOD": "POST"}
    kwargs = {"task_name": "run", "output_uri": str(folder), "auto_resource_monitoring": False, **kwargs}
    start = (
        "import os\nfrom accel_track.outcome import Outcome\nfrom accel_track.trackers.clearml.tracker import ClearMLTracker\n"
        f"tracker = ClearMLTracker('contract', **{kwargs!r})\ntracker.start()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", start + code], env=environment, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode in (0, -9), done.stderr


@pytest.mark.first(1)
@pytest.mark.parametrize(
    ("outcome", "last"),
    [
        ("Outcome()", {"status": "completed"}),
        ("Outcome('failed', 'ValueError: x')", {"status": "failed", "status_message": "ValueError: x"}),
        pytest.param(
            "Outcome('interrupted', 'KeyboardInterrupt')",
            {"status": "stopped", "status_message": "KeyboardInterrupt"},
            marks=pytest.mark.long,
        ),
        ("Outcome('preempted')", {"status": "stopped", "status_reason": "preempted"}),
    ],
    ids=["finished", "failed", "interrupted", "preempted"],
)
def test_status(server: Server, tmp_path: Path, outcome: str, last: dict[str, str]) -> None:
    """The last status that the server hears is the run's, with its reason."""
    program(server, tmp_path, f"tracker.log({{'loss': 1.0}}, step=0)\ntracker.outcome = {outcome}\ntracker.finish()\n")
    assert server.statuses[0]["status"] == "started"
    assert last.items() <= server.statuses[-1].items()
    assert server.values == [(0, 1.0)]


@pytest.mark.long
def test_continuing(server: Server, tmp_path: Path) -> None:
    """A task whose process was killed, and one that failed, is running again, keeps its steps, and is completed."""
    program(server, tmp_path, "tracker.log({'loss': 3.0}, step=3)\ntracker.flush()\nos.kill(os.getpid(), 9)\n")
    continued = {"continue_last_task": "t1"}
    program(server, tmp_path, "tracker.outcome = Outcome('failed', 'x')\ntracker.finish()\n", **continued)
    heard = len(server.statuses)
    program(server, tmp_path, "tracker.log({'loss': 4.0}, step=4)\ntracker.finish()\n", **continued)
    assert server.statuses[heard - 1]["status"] == "failed"
    assert server.statuses[heard]["status"] == "started"
    assert server.statuses[heard]["force"] is True
    assert server.statuses[-1]["status"] == "completed"
    assert server.values == [(3, 3.0), (4, 4.0)]


def test_batches(server: Server, tmp_path: Path) -> None:
    """Values of a batch arrive in their order, with the times at which they were logged."""
    program(
        server,
        tmp_path,
        "from accel_track.records import Metrics\n"
        "from accel_track.trackers.clearml.fast import Scalars\n"
        "assert tracker.fast(Scalars).fast is not None\n"
        "tracker.log_batch([Metrics(i, 1.6e9 + i, {'loss': i / 4}, i) for i in range(1000)])\n"
        "tracker.flush()\ntracker.finish()\n",
    )
    assert server.values == [(i, i / 4) for i in range(1000)]
    assert server.times == [1_600_000_000_000 + 1000 * i for i in range(1000)]


def test_checkpoints(server: Server, tmp_path: Path) -> None:
    """They are uploaded before the call returns; a deleted one is gone for good."""
    program(
        server,
        tmp_path,
        "open('one.ckpt', 'w').write('weights')\n"
        "for name in ('gone', 'kept'):\n    tracker.log_checkpoint(name, 'one.ckpt', 1, {'score': 0.5})\n"
        "tracker.delete_checkpoint('gone')\n"
        "tracker.log_checkpoint('last', 'one.ckpt', 2, {})\nos.remove('one.ckpt')\ntracker.finish()\n",
    )
    assert set(server.artifacts) == {"kept", "last"}
    stored = {path.parent.name: path.read_text() for path in tmp_path.rglob("artifacts/*/one.ckpt")}
    assert stored == {"kept": "weights", "last": "weights"}
