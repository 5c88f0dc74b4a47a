"""Object stores that tests start: moto's S3 server, and a way to it that fails."""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.servers import free_port, listens
from tests.support.waiting import until

SERVER = Path(__file__).with_name("programs") / "s3_server.py"


class Bucket:
    """A bucket of moto's server, a process on 127.0.0.1.

    Args:
        folder: Where its log is.
    """

    def __init__(self, folder: Path) -> None:
        """Start the server."""
        self.port, self.name = free_port(), "bucket"
        with (folder / "moto.log").open("ab") as log:
            command = [sys.executable, str(SERVER), "-H", "127.0.0.1", "-p", str(self.port)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        until(lambda: self._process.poll() is not None or listens(self.port))
        assert self._process.poll() is None, (folder / "moto.log").read_text()

    @property
    def url(self) -> str:
        """The URL of a place in it."""
        return f"s3://{self.name}/some/prefix"

    @staticmethod
    def variables(port: int) -> dict[str, str]:
        """Return the variables with which s3fs finds it at a port."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def renew(self) -> None:
        """Take another bucket, which is empty."""
        self.name = f"bucket-{os.urandom(6).hex()}"
        self.files().mkdir(self.name)

    def files(self) -> Any:
        """Return fsspec's view of the server, past everything that is tested."""
        import s3fs

        return s3fs.S3FileSystem(
            key="testing",
            secret="testing",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            use_listings_cache=False,
            skip_instance_cache=True,
        )

    def pause(self) -> None:
        """Have it answer nothing, and take connections all the same."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Have it answer again."""
        os.killpg(self._process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End it."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Proxy:
    """A TCP proxy on 127.0.0.1 that can refuse connections, slow them down, and cut them in mid-upload.

    Args:
        target: The port that it leads to.
    """

    def __init__(self, target: int) -> None:
        """Listen; everything passes."""
        self.is_down = False
        """Whether new connections are closed at once."""
        self.delay = 0.0
        """Seconds that each piece of up to 64 KiB takes."""
        self.cut_after: int | None = None
        """Bytes that may go up a connection until it is cut; None: any number."""
        self.cuts = 0
        """How many connections were cut."""
        self.most = 0
        """The most connections that were open at once."""
        self._target, self._open = target, 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End it, with all connections."""
        self._server.close()
        self.hang_up()

    def hang_up(self) -> None:
        """Cut all connections that there are."""
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for one in sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                if self.is_down:
                    client.close()
                else:
                    threading.Thread(target=self._lead, args=(client,), daemon=True).start()

    def _lead(self, client: socket.socket) -> None:
        with suppress(OSError, ValueError):
            server = socket.create_connection(("127.0.0.1", self._target))
            with self._lock:
                self._sockets |= {client, server}
                self._open += 1
                self.most = max(self.most, self._open)
            try:
                self._pass(client, server)
            finally:
                with self._lock:
                    self._open -= 1
                    self._sockets -= {client, server}
                client.close()
                server.close()

    def _pass(self, client: socket.socket, server: socket.socket) -> None:
        up = 0
        while True:
            for source in select.select([client, server], [], [])[0]:
                data = source.recv(65536)
                if not data:
                    return
                if source is client:
                    up += len(data)
                    if self.cut_after is not None and up > self.cut_after:
                        self.cuts += 1
                        return
                if self.delay:
                    time.sleep(self.delay)
                (server if source is client else client).sendall(data)
