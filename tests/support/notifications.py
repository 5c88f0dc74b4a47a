"""A server that gets what apprise sends to `json://`: as it comes, late, or with an error first."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PASSWORD = "s3cr3t-pw"


class Mailbox:
    """Keeps each message; answers so many of them with 500 first, and each after some seconds."""

    def __init__(self, port: int = 0, *, refused: int = 0, pause: float = 0.0) -> None:
        self.messages: list[dict[str, Any]] = []
        self.tries = 0
        box = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                box.tries += 1
                taken = box.tries > refused
                if taken:
                    box.messages.append(said)
                time.sleep(pause)
                self.send_response(200 if taken else 500)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def address(self) -> str:
        """The address as apprise has it, with a password."""
        return f"json://user:{PASSWORD}@127.0.0.1:{self.port}/"

    @property
    def said(self) -> list[tuple[str, str]]:
        """Kind and title of each message, without the run's name."""
        return [(one["type"], one["title"].partition(" (")[0]) for one in self.messages]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
