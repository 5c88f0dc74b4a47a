"""A tracker of one's own that posts JSON to a web hook; the example brings the server it posts to.

python examples/custom_tracker.py
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen

from accel_track import Accelerator, GeneralTracker, on_main_process


class WebhookTracker(GeneralTracker):
    """Posts every call as JSON to `url`."""

    name = "webhook"
    requires_logging_directory = False

    def __init__(self, run_name: str, url: str) -> None:
        super().__init__()
        self.run_name = run_name
        self.url = url

    @property
    def tracker(self) -> str:
        return self.url

    def _post(self, **message: Any) -> None:
        body = json.dumps({"run": self.run_name, **message}).encode()
        urlopen(Request(self.url, body, {"Content-Type": "application/json"}), timeout=5).close()

    @on_main_process
    def start(self) -> None:
        self._post(event="start")

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self._post(event="config", values=values)

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        self._post(event="log", step=step, values=values)

    @on_main_process
    def finish(self) -> None:
        self._post(event="finish")


class Hook(BaseHTTPRequestHandler):
    """Prints what is posted."""

    def do_POST(self) -> None:
        print(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print no request lines."""


def main() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/hook"

        accelerator = Accelerator(log_with=WebhookTracker("demo", url))
        accelerator.init_trackers("webhooks", config={"optimizer": {"lr": 0.1}})
        for step in range(3):
            accelerator.log({"loss": 1 / (step + 1), "val": {"accuracy": step / 3}}, step=step)
        accelerator.end_training()
        server.shutdown()
    print("look at it: accel-track ls")


if __name__ == "__main__":
    main()
