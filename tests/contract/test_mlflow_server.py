"""MLflow through a real `mlflow server` on this machine, read back with a client of its own."""

import http.client
import json
import math
import os
import threading
import time
import urllib.parse
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from urllib3.connection import HTTPConnection

from accel_track.accelerator.facade import Accelerator
from accel_track.delivery.settings import Settings
from accel_track.errors import AccelTrackWarning, NotReadableError
from accel_track.journal import cursor as cursors
from accel_track.media import Image
from accel_track.media.fallbacks import stored
from accel_track.outcome import Outcome
from accel_track.records import Metrics
from accel_track.registry import select
from accel_track.run import Run
from accel_track.trackers.mlflow import answers as _mlflow_answers
from accel_track.trackers.mlflow.fast import ServerPath
from accel_track.trackers.mlflow.tracker import MLflowTracker
from tests.support.private_parts import hide, private_parts
from tests.support.readers.mlflow import MLflowContract
from tests.support.servers import Server, free_port
from tests.support.waiting import until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a server, and return its address."""
    one = Server(tmp_path_factory.mktemp("server"))
    one.start()
    yield one.uri
    one.stop()


def test_a_run_on_a_server(server: str, tmp_path: Path) -> None:
    """Metrics, many hyperparameters, images, artifacts, status and names arrive at the server."""
    (tmp_path / "note.txt").write_text("hello")
    tracker = MLflowTracker("it's on a server", run_name="first", tracking_uri=server, description="about")
    tracker.start()
    client = MlflowClient(server)
    assert client.get_run(tracker.run_id).info.status == "RUNNING"
    tracker.store_init_configuration({f"p{index}": index for index in range(250)} | {"long": "ü" * 6000, "empty": ""})
    for step in range(3):
        tracker.log({"loss": 1 / (step + 1), "acc@1": step, "nan": float("nan")}, step=step)
    tracker.log({f"m{index}": index for index in range(1200)}, step=0)
    tracker.log_images({"sample": np.zeros((4, 6, 3))}, step=2)
    tracker.log_artifact(tmp_path / "note.txt", "notes")
    tracker.finish()

    run = client.get_run(tracker.run_id)
    assert client.get_experiment(run.info.experiment_id).name == "it's on a server"
    assert (run.info.run_name, run.info.status) == ("first", "FINISHED")
    assert run.data.tags["mlflow.note.content"] == "about"
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    assert len(run.data.metrics) == 3 + 1200
    assert run.data.metrics["m1199"] == 1199.0
    assert run.data.params["p249"] == "249"
    assert run.data.params["long"] == "ü" * 6000
    assert len(run.data.params) == 252
    pictures = [one.path for one in client.list_artifacts(run.info.run_id, "images")]
    assert any(path.startswith("images/sample+step+2+") and path.endswith(".png") for path in pictures)
    fetched = client.download_artifacts(run.info.run_id, "notes/note.txt", str(tmp_path))
    assert Path(fetched).read_text() == "hello"


def test_a_run_is_read_from_a_server(server: str, tmp_path: Path) -> None:
    """Calls with their media, artifacts and the status, by the tracker itself and by one that is told which run."""
    (tmp_path / "note.txt").write_text("hello")
    tracker = MLflowTracker("read", run_name="first", tracking_uri=server)
    tracker.start()
    tracker.store_init_configuration({"lr": 0.1})
    for step in range(3):
        tracker.log({"loss": 1 / (step + 1), "acc@1": step, "nan": float("nan")}, step=step)
    tracker.log_images({"sample": np.zeros((4, 6, 3))}, step=2)
    tracker.log_artifact(tmp_path / "note.txt", "notes")
    identity = tracker.identity()
    tracker.finish()
    for number, reader in enumerate((tracker, MLflowTracker("read", **identity))):
        run = reader.read()
        scratch = tmp_path / f"scratch{number}"
        scratch.mkdir()
        *rows, image, artifact = run.records(scratch)
        assert (run.project, run.name, run.config, run.lost) == ("read", "first", {"lr": 0.1}, {})
        assert run.outcome is not None
        assert run.outcome.status == "finished"
        names = {"loss", reader.stored_name("acc@1"), "nan"}
        assert [(row.step, set(row.values)) for row in rows] == [(step, names) for step in range(3)]
        assert [row.values["loss"] for row in rows] == [1.0, 0.5, 1 / 3]
        assert image.values["sample"].array().shape == (4, 6, 3)
        assert Path(artifact.path).read_text() == "hello"
    with pytest.raises(NotReadableError, match="mlflow"):
        MLflowTracker("read", run_id="0" * 32, tracking_uri=server).read()


def test_through_the_front_door(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLFLOW_TRACKING_URI sends the front door's run to the server, and its directory gets the journal only."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    accelerator = Accelerator(log_with="mlflow", project_dir=tmp_path / "project", cpu=True)
    accelerator.init_trackers("digits", config={"optimizer": {"lr": 0.1}})
    run_id = accelerator.get_tracker("mlflow", unwrap=True).info.run_id
    accelerator.log({"val": {"loss": 0.5}}, step=4)
    accelerator.end_training()
    client = MlflowClient(server)
    run = client.get_run(run_id)
    assert client.get_experiment(run.info.experiment_id).name == "digits"
    assert run.info.status == "FINISHED"
    assert run.data.params == {"optimizer/lr": "0.1"}
    (point,) = client.get_metric_history(run_id, "val/loss")
    assert (point.step, point.value) == (4, 0.5)
    assert [path.name for path in (tmp_path / "project").iterdir()] == [".accel_track"]


def test_a_repeated_delivery_changes_nothing(server: str) -> None:
    """The server ignores metrics that it has: after a crash in the middle, each is there once."""
    tracker = MLflowTracker("again", tracking_uri=server)
    tracker.start()
    assert tracker.page() == f"{server}/#/experiments/{tracker.tracker.info.experiment_id}/runs/{tracker.run_id}"
    records = [Metrics(i, 1.6e9 + i, {f"m{j}": i + j for j in range(10)}, i) for i in range(250)]
    tracker.log_batch(records[:120])
    again = MLflowTracker.for_run("again", None, None, tracker.identity())
    again.start()
    again.log_batch(records)
    again.log_batch(records[100:])
    again.finish()
    client = MlflowClient(server)
    for name in ("m0", "m9"):
        history = client.get_metric_history(tracker.run_id, name)
        assert [(one.step, one.timestamp) for one in history] == [(i, (1_600_000_000 + i) * 1000) for i in range(250)]


def test_a_batch_of_many_requests(server: str) -> None:
    """One connection carries them; where one in the middle is refused, repeating parts of it doubles nothing."""
    tracker = MLflowTracker("requests", tracking_uri=server)
    tracker.start()
    assert tracker.fast(ServerPath).fast is not None
    records = [Metrics(i, 1.6e9 + i, {f"m{j}": i / 8 for j in range(10)} | {"n": math.nan}, i) for i in range(300)]
    odd = Metrics(150, 1.6e9, {"odd": 1.0}, 0, {"mlflow": {"nonsense": 1}})
    with pytest.raises(TypeError, match="nonsense"):
        tracker.log_batch([*records[:150], odd, *records[150:]])
    sockets: list[int] = []
    connect = HTTPConnection.connect
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HTTPConnection, "connect", lambda self: (sockets.append(1), connect(self))[1])
        tracker.log_batch(records)
    tracker.finish()
    assert len(sockets) <= 1
    client = MlflowClient(server)
    for name in ("m0", "m9"):
        history = client.get_metric_history(tracker.run_id, name)
        assert [(one.step, one.value) for one in history] == [(i, i / 8) for i in range(300)]
    assert len(client.get_metric_history(tracker.run_id, "n")) == 300
    assert client.get_run(tracker.run_id).data.metrics["m0"] == 299 / 8


@pytest.mark.timeout(240)
def test_a_server_that_comes_and_goes(server: str) -> None:
    """Start, log and finish fail within seconds while nobody listens, and succeed when they are repeated."""
    port = free_port()
    tracker = MLflowTracker("flapping", tracking_uri=f"http://127.0.0.1:{port}")
    records = [Metrics(i, 1.6e9 + i, {"loss": i}, i) for i in range(3)]
    calls = [tracker.start, lambda: tracker.log_batch(records), tracker.finish]
    for call in calls:
        begun = time.monotonic()
        with pytest.raises(MlflowException) as caught:
            call()
        assert time.monotonic() - begun < 25
        assert tracker.is_transient(caught.value)
        with listening(Proxy(server, port)):
            call()
    client = MlflowClient(server)
    (run,) = client.search_runs([client.get_experiment_by_name("flapping").experiment_id])
    assert run.info.status == "FINISHED"
    assert [one.step for one in client.get_metric_history(run.info.run_id, "loss")] == [0, 1, 2]


def test_what_a_server_refuses_does_not_pass(server: str) -> None:
    """A missing run and a step that no database takes are errors of their own, not of the connection."""
    lost = MLflowTracker(run_id="0" * 32, tracking_uri=server)
    with pytest.raises(MlflowException) as caught:
        lost.start()
    assert not lost.is_transient(caught.value)
    tracker = MLflowTracker("refused", tracking_uri=server)
    tracker.start()
    with pytest.raises(MlflowException) as caught:
        tracker.store_init_configuration({"lr": 0.1}) or tracker.client.log_param(tracker.run_id, "lr", 0.2)
    assert not tracker.is_transient(caught.value)
    tracker.finish()


@pytest.mark.parametrize(("status", "passes"), [(500, True), (502, True), (503, True), (429, True), (403, False)])
def test_answers_of_a_proxy(status: int, passes: bool) -> None:
    """What stands before a server answers with a page, not with MLflow's JSON."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"sad\n")

        do_POST = do_GET  # noqa: N815 - the name that the standard library looks for

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        tracker = MLflowTracker("behind", tracking_uri=f"http://127.0.0.1:{proxy.server_port}")
        with pytest.raises(MlflowException) as caught:
            tracker.start()
        assert tracker.is_transient(caught.value) is passes
        proxy.shutdown()


@contextmanager
def refusing_proxy(server: str) -> Iterator[Any]:
    """Stand before a server; while `status` is set, answer with that and count the requests."""
    target = urllib.parse.urlsplit(server)

    class Proxy(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if proxy.status:
                proxy.requests += 1
                code, data = proxy.status, b"go away"
            else:
                link = http.client.HTTPConnection(target.hostname or "", target.port)
                link.request(self.command, self.path, body, {"Content-Type": "application/json"})
                answer = link.getresponse()
                code, data = answer.status, answer.read()
                link.close()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = answer  # noqa: N815 - the names that the standard library looks for

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as listening:
        proxy = SimpleNamespace(status=0, requests=0, address=f"http://127.0.0.1:{listening.server_port}")
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield proxy
        listening.shutdown()


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_of_everything_costs_no_record(server: str, status: int) -> None:
    """Credentials that are refused, and a run that is not found, for a while: what was logged comes after it, once."""
    with refusing_proxy(server) as proxy:
        kwargs = {"mlflow": {"tracking_uri": proxy.address}}
        run = Run(select("mlflow"), project=f"refused {status}", init_kwargs=kwargs, settings=Settings.of())
        for step in range(50):
            run.log({"loss": step}, step)
        run.flush()
        proxy.status = status
        with pytest.warns(AccelTrackWarning, match="check credentials, address, and whether the run is still there"):
            for step in range(50, 400):
                run.log({"loss": step}, step)
            until(lambda: proxy.requests > 1)
            run.flush()
        assert 0 < proxy.requests < 20
        proxy.status = 0
        run.finish()
    assert run.run_directory is not None
    cursor = cursors.load(run.run_directory.cursor("mlflow"))
    assert (cursor.delivered, cursor.quarantined, cursor.seq) == (400, 0, 400)
    client = MlflowClient(server)
    (found,) = client.search_runs([client.get_experiment_by_name(f"refused {status}").experiment_id])
    points = client.get_metric_history(found.info.run_id, "loss")
    assert sorted((point.step, point.value) for point in points) == [(step, float(step)) for step in range(400)]
    assert found.info.status == "FINISHED"


def test_a_failed_run_goes_on(server: str) -> None:
    """Status and reason are the server's; a continued run is running, then finished without them."""
    tracker = MLflowTracker("ends", tracking_uri=server)
    tracker.start()
    identity = tracker.identity()
    tracker.outcome = Outcome("preempted", "SIGTERMException: requeued")
    tracker.finish()
    client = MlflowClient(server)
    run = client.get_run(tracker.run_id)
    assert run.info.status == "KILLED"
    assert run.data.tags["accel_track.status"] == "preempted"
    assert run.data.tags["accel_track.reason"] == "SIGTERMException: requeued"
    again = MLflowTracker.for_run("ends", None, None, identity)
    again.start()
    assert client.get_run(tracker.run_id).info.status == "RUNNING"
    again.finish()
    run = client.get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert not {"accel_track.status", "accel_track.reason"} & set(run.data.tags)


def test_checkpoints(server: str, tmp_path: Path) -> None:
    """Files and folders are at the server when the call returns, under any name; one is replaced, one deleted."""
    tracker = MLflowTracker("checkpoints", tracking_uri=server)
    tracker.start()
    client = MlflowClient(server)

    def stored(folder: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for one in client.list_artifacts(tracker.run_id, folder):
            if one.is_dir:
                found |= stored(one.path)
            elif not one.path.endswith("accel_track.json"):
                found[one.path] = Path(client.download_artifacts(tracker.run_id, one.path)).read_text()
        return found

    odd = tmp_path / "acc=90%?#.ckpt"
    for number in range(2):
        folder = tmp_path / f"last{number}"
        (folder / "in").mkdir(parents=True)
        (folder / "in" / f"{number}.bin").write_text(str(number))
        (folder / ".metadata").write_text(f"meta{number}")
        odd.write_text(f"odd{number}")
        tracker.log_checkpoint("last", str(folder), number, {"score": 0.25})
        tracker.log_checkpoint("acc=90%?#", str(odd), None, {})
        odd.unlink()
    assert stored("checkpoints/last") == {"checkpoints/last/.metadata": "meta1", "checkpoints/last/in/1.bin": "1"}
    about = client.download_artifacts(tracker.run_id, "checkpoints/last/accel_track.json")
    assert json.loads(Path(about).read_text()) == {"step": 1, "score": 0.25}
    tracker.delete_checkpoint("last")
    assert list(stored("checkpoints").values()) == ["odd1"]
    tracker.delete_checkpoint("acc=90%?#")
    tracker.delete_checkpoint("never")
    tracker.finish()
    assert stored("checkpoints") == {}


def test_a_server_that_takes_long_to_store_a_checkpoint(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upload waits longer for its answer than other calls do."""
    monkeypatch.setenv(_mlflow_answers.TIMEOUT, "1")
    monkeypatch.setattr(_mlflow_answers, "SECONDS", "1")

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            real = http.client.HTTPConnection(server.removeprefix("http://"))
            real.request(self.command, self.path, content, {"Content-Type": self.headers.get("Content-Type", "")})
            answer = real.getresponse()
            body = answer.read()
            if self.command == "PUT":
                time.sleep(2.5)
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.getheader("Content-Type", ""))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT = do_GET  # noqa: N815 - the names that the standard library looks for

        def log_message(self, *_: object) -> None:
            pass

    file = tmp_path / "last.ckpt"
    file.write_text("weights")
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        tracker = MLflowTracker("slow", tracking_uri=f"http://127.0.0.1:{proxy.server_port}")
        tracker.start()
        tracker.log_checkpoint("last", str(file), 1, {})
        tracker.finish()
        proxy.shutdown()
    assert os.environ[_mlflow_answers.TIMEOUT] == "1"
    fetched = MlflowClient(server).download_artifacts(tracker.run_id, "checkpoints/last/last.ckpt")
    assert Path(fetched).read_text() == "weights"


class Proxy(ThreadingHTTPServer):
    """Stands before a server; answers itself, with 200, where `foreign` says what and `matches` what for."""

    foreign: tuple[str, bytes] | None = None
    """Type and content."""

    matches = ""
    """The method and a part of the path, such as "POST runs/log-batch"."""

    remaining = 10**9
    """How many more requests it answers itself."""

    def __init__(self, server: str, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), ProxyHandler)
        self.server = server.removeprefix("http://")
        self.address = f"http://127.0.0.1:{self.server_port}"


class ProxyHandler(BaseHTTPRequestHandler):
    """Passes requests on, or not."""

    server: Proxy

    def do_GET(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        method, _, part = self.server.matches.partition(" ")
        answered = self.server.foreign is not None and method in ("", self.command) and part in self.path
        if answered and self.server.foreign is not None and self.server.remaining > 0:
            self.server.remaining -= 1
            self.answer(200, *self.server.foreign)
            return
        with closing(http.client.HTTPConnection(self.server.server)) as real:
            real.request(self.command, self.path, content, {"Content-Type": self.headers.get("Content-Type", "")})
            answer = real.getresponse()
            self.answer(answer.status, answer.getheader("Content-Type", ""), answer.read())

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the names that the standard library looks for

    def answer(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def listening(proxy: Proxy) -> Iterator[Proxy]:
    """Let a proxy answer."""
    with proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield proxy
        proxy.shutdown()


@pytest.fixture
def proxy(server: str) -> Iterator[Proxy]:
    """Return a proxy that passes everything on."""
    with listening(Proxy(server)) as proxy:
        yield proxy


FOREIGN = {
    "empty": ("", b""),
    "empty JSON": ("application/json", b""),
    "page": ("text/html", b"<html><form action='login'>Sign in</form></html>"),
    "null": ("application/json", b"null"),
    "list": ("application/json", b"[]"),
    "object": ("application/json", b"{}"),
    "object as text": ("text/plain", b"{}"),
    "another server's": ("application/json", b'{"status": "ok", "run": {"info": {"name": "x"}}, "experiment": {}}'),
    "other types": ("application/json", b'{"run": 7, "experiment": "x", "experiment_id": [1]}'),
    "cut off": ("application/json", b'{"run": {"info": {"run_id": "5'),
    "ok": ("text/plain", b"200 OK"),
}


def repeated(tracker: MLflowTracker, proxy: Proxy, call: Callable[[], None]) -> None:
    """Call with foreign answers, which is an error that passes, and again with the server's."""
    with pytest.raises(Exception, match=r".") as caught:
        call()
    assert tracker.is_transient(caught.value), repr(caught.value)
    proxy.foreign = None
    call()


@pytest.mark.first(3)
@pytest.mark.parametrize("foreign", FOREIGN.values(), ids=FOREIGN)
def test_foreign_answers(foreign: tuple[str, bytes], proxy: Proxy, tmp_path: Path) -> None:
    """Whatever else answers with 200, nothing counts as stored that is not, and all is when the server answers."""
    tracker = MLflowTracker("foreign", tracking_uri=proxy.address)
    proxy.foreign = foreign
    repeated(tracker, proxy, tracker.start)
    assert len(tracker.tracker.info.run_id) == 32
    records = [Metrics(i, 1.6e9 + i, {"loss": i / 8, "nan": math.nan}, i) for i in range(5)]

    def deliver() -> None:
        tracker.log_batch(records)
        tracker.flush()

    proxy.foreign = foreign
    repeated(tracker, proxy, deliver)
    proxy.foreign = foreign
    repeated(tracker, proxy, lambda: tracker.store_init_configuration({"lr": 0.1}))
    proxy.foreign = foreign
    repeated(tracker, proxy, lambda: tracker.store_environment({"environment": {"host": "here"}}))
    (tmp_path / "one.ckpt").write_text("weights")
    proxy.foreign = foreign
    repeated(tracker, proxy, lambda: tracker.log_artifact(tmp_path / "one.ckpt"))
    proxy.foreign = foreign
    repeated(tracker, proxy, lambda: tracker.log_checkpoint("one", str(tmp_path / "one.ckpt"), 1, {}))
    media = [Metrics(9, 1.6e9, {"image": stored(Image(np.zeros((4, 6, 3), np.uint8)), tmp_path / "kept")}, 1)]

    def deliver_media() -> None:
        tracker.log_batch(media)
        tracker.flush()

    proxy.foreign = foreign
    repeated(tracker, proxy, deliver_media)
    proxy.foreign = foreign
    repeated(tracker, proxy, lambda: tracker.log_artifact(tmp_path / "one.ckpt", "net", type="model"))
    proxy.foreign = foreign
    repeated(tracker, proxy, tracker.finish)
    client = MlflowClient(proxy.address)
    run = client.get_run(tracker.run_id)
    assert {one.path for one in client.list_artifacts(tracker.run_id)} == {"checkpoints", "images", "one.ckpt"}
    assert len(client.list_artifacts(tracker.run_id, "images")) == 2
    (model,) = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{tracker.run_id}'")
    assert (model.name, model.status) == ("net", "READY")
    assert [one.value for one in client.get_metric_history(tracker.run_id, "loss")] == [i / 8 for i in range(5)]
    assert len(client.get_metric_history(tracker.run_id, "nan")) == 5
    assert (run.data.params, run.info.status) == ({"lr": "0.1"}, "FINISHED")
    assert run.data.tags["environment/host"] == "here"
    identity = tracker.identity() or {"run_id": tracker.run_id, "tracking_uri": proxy.address}
    again = MLflowTracker(**identity)
    proxy.foreign = foreign
    repeated(again, proxy, again.start)
    assert client.get_run(tracker.run_id).info.status == "RUNNING"
    again.finish()


@pytest.mark.parametrize("matches", ["POST runs/log-batch", "POST runs/update", "PUT artifacts"])
def test_what_only_writing_is_kept_from(matches: str, proxy: Proxy, tmp_path: Path) -> None:
    """Something swallows what is sent and answers as MLflow does; reading, which goes through, tells."""
    tracker = MLflowTracker("swallowed", tracking_uri=proxy.address)
    tracker.start()
    (tmp_path / "one.ckpt").write_text("weights")
    proxy.foreign, proxy.matches = FOREIGN["object"], matches
    tracker.log_batch([Metrics(i, 1.6e9 + i, {"loss": i / 8}, i) for i in range(5)])
    if "log-batch" in matches:
        with pytest.raises(ConnectionError, match=r"'loss', which was sent, is not there.*check the tracking URI"):
            tracker.flush()
        proxy.remaining = 0
    tracker.flush()
    if "PUT" in matches:
        tracker.log_table("table", ["a"], [[1]], step=3)
        tracker.log_html({"page": "<b>"}, step=3)
        with pytest.raises(ConnectionError, match=r"the file 'media/table/.*', which was sent, is not there"):
            tracker.flush()
        repeated(tracker, proxy, lambda: tracker.log_checkpoint("one", str(tmp_path / "one.ckpt"), 1, {}))
    if "update" in matches:
        repeated(tracker, proxy, tracker.finish)
    tracker.finish()
    client = MlflowClient(proxy.address)
    assert client.get_run(tracker.run_id).info.status == "FINISHED"
    assert len(client.get_metric_history(tracker.run_id, "loss")) == 5
    if "PUT" in matches:
        assert [len(client.list_artifacts(tracker.run_id, f"media/{name}")) for name in ("table", "page")] == [1, 1]


def test_media_on_a_server(server: str, tmp_path: Path) -> None:
    """Every kind goes through the server's own storage, and comes back as it was."""
    tracker = MLflowTracker("media", tracking_uri=server)
    tracker.start()
    samples = {kind: stored(make(), tmp_path / "kept") for kind, make in MLflowContract.samples.items()}
    tracker.log_batch([Metrics(0, 1.7e9, samples, 3)])
    tracker.flush()
    client = MlflowClient(server)
    run = client.get_run(tracker.run_id)
    got = {}
    for kind, medium in samples.items():
        if medium.path is None or kind in ("image", "figure"):
            continue
        (file,) = client.list_artifacts(tracker.run_id, f"media/{kind}")
        got[kind] = Path(client.download_artifacts(tracker.run_id, file.path, str(tmp_path))).read_bytes()
        assert got[kind] == medium.data(), kind
    assert got.keys() == {"table", "audio", "video", "html", "points"}
    assert len(client.list_artifacts(tracker.run_id, "images")) == 6
    assert len(json.loads(run.data.tags["mlflow.loggedArtifacts"])) == 1
    assert run.data.metrics["histogram/p50"] == pytest.approx(0.5, abs=0.1)
    tracker.finish()


def test_a_model_on_a_server_that_knows_none(proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers before MLflow 3.0 answer 404; there it is an artifact."""

    def elsewhere(self: ProxyHandler) -> None:
        self.path = self.path.replace("logged-models", "unheard-of")
        ProxyHandler.do_GET(self)

    monkeypatch.setattr(ProxyHandler, "do_POST", elsewhere)
    tracker = MLflowTracker("media", tracking_uri=proxy.address)
    tracker.start()
    (tmp_path / "net.pt").write_text("weights")
    tracker.log_artifact(tmp_path / "net.pt", "net", type="model", step=3)
    tracker.finish()
    client = MlflowClient(proxy.address)
    assert [one.path for one in client.list_artifacts(tracker.run_id)] == ["net", "net.accel_track.json"]


def test_a_later_servers_answers(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """An acknowledgment with more in it is one, where reading back shows the values; a step logged again is fine."""
    tracker = MLflowTracker("later", tracking_uri=proxy.address)
    tracker.start()
    answer = ProxyHandler.answer
    more = ("application/json", b'{"warnings": []}')
    monkeypatch.setattr(
        ProxyHandler, "answer", lambda self, status, *what: answer(self, status, *(more if what[1] == b"{}" else what))
    )
    tracker.log_batch([Metrics(i, 1.6e9 + i, {"loss": i / 8}, i) for i in range(5)])
    tracker.log_batch([Metrics(5, 1.6e9 + 9, {"loss": 7.0}, 2)])
    tracker.finish()
    history = MlflowClient(proxy.address).get_metric_history(tracker.run_id, "loss")
    assert sorted(one.step for one in history) == [0, 1, 2, 2, 3, 4]


def test_a_private_part_that_is_gone(server: str) -> None:
    """With one warning, a server gets the same by the public call, whichever part it is and whenever it goes."""
    with pytest.MonkeyPatch.context() as patch:
        for number, part in enumerate(private_parts(ServerPath)):
            tracker = MLflowTracker("parts", tracking_uri=server)
            records = [Metrics(i, 1.6e9 + i, {"x": i / 4}, i) for i in range(4)]
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", AccelTrackWarning)
                tracker.start()
                tracker.log_batch(records[:2])
                hide(part, tracker.client, patch)
                tracker.log_batch(records)
                beginning = MLflowTracker("parts", tracking_uri=server)
                beginning.start()
                beginning.log_batch(records)
                patch.undo()
                tracker.finish()
                beginning.finish()
            shown = [one for one in caught if "goes on with its public calls" in str(one.message)]
            assert 1 <= len(shown) <= 2, (number, part)
            for run_id in (tracker.run_id, beginning.run_id):
                history = MlflowClient(server).get_metric_history(run_id, "x")
                assert [(one.step, one.value) for one in history] == [(i, i / 4) for i in range(4)]


def test_a_run_behind_a_proxy_that_answers_for_a_while(proxy: Proxy, tmp_path: Path) -> None:
    """The report says complete when it is: empty answers in the middle cost nothing."""
    accelerator = Accelerator(log_with="mlflow", project_dir=tmp_path / "project", cpu=True)
    accelerator.init_trackers("digits", init_kwargs={"mlflow": {"tracking_uri": proxy.address}})
    run_id = accelerator.get_tracker("mlflow", unwrap=True).info.run_id
    with pytest.warns(AccelTrackWarning, match="not an MLflow server"):
        for step in range(400):
            if step in (100, 200, 300):
                accelerator.get_tracker("mlflow")
                proxy.foreign, proxy.remaining = FOREIGN["empty"], 2
            accelerator.log({"loss": step / 8}, step=step)
        accelerator.end_training()
    assert [one.step for one in MlflowClient(proxy.address).get_metric_history(run_id, "loss")] == list(range(400))
    assert MlflowClient(proxy.address).get_run(run_id).info.status == "FINISHED"
