"""The server of a live report: its page, and what is new, for this machine's user alone."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from accel_track.errors import AccelTrackError
from accel_track.texts import clean
from accel_track.views.report.feed import Feed
from accel_track.views.report.page import in_script, page

_HOSTS = ("127.0.0.1", "localhost")


class ReportServer(ThreadingHTTPServer):
    """The server of one report, on 127.0.0.1.

    Only requests with a secret in their path are answered, since other users of the machine reach the port as well, and
    only those whose `Host` is this machine, since a page from elsewhere may have its name lead here (DNS rebinding).

    Args:
        feed: What it shows.
        port: The port; 0 for a free one.

    Attributes:
        url: The address of the page.

    Raises:
        OSError: The port is taken.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, feed: Feed, port: int = 0) -> None:
        """Take the port."""
        super().__init__(("127.0.0.1", port), _Handler)
        self.feed = feed
        self.path = f"/{secrets.token_urlsafe(16)}/"
        self.url = f"http://127.0.0.1:{self.server_port}{self.path}"


class _Handler(BaseHTTPRequestHandler):
    server: ReportServer  # pyright: ignore[reportIncompatibleVariableOverride]
    timeout = 30  # a connection that sends nothing holds no thread for longer
    server_version, sys_version = "accel_track", ""

    def do_GET(self) -> None:
        """Answer with the page, or with what is new."""
        address = urlsplit(self.path)
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if host not in _HOSTS:
            self._answer(HTTPStatus.FORBIDDEN, "text/plain", "This server answers to 127.0.0.1 and localhost only.")
            return
        try:
            if secrets.compare_digest(address.path.encode(), self.server.path.encode()):
                self._answer(HTTPStatus.OK, "text/html", page(self.server.feed.document(), live=True))
            elif secrets.compare_digest(address.path.encode(), f"{self.server.path}news".encode()):
                since = parse_qs(address.query).get("since", [""])[0]
                number = int(since) if since.isascii() and since.isdigit() and len(since) < 16 else None  # noqa: PLR2004
                self._answer(HTTPStatus.OK, "application/json", in_script(self.server.feed.document(number)))
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", "Open the address that accel-track has printed.")
        except (AccelTrackError, OSError, ValueError) as error:
            if not isinstance(error, ConnectionError):
                self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain", clean(error))

    def _answer(self, status: HTTPStatus, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's
        """Say nothing of each request."""
