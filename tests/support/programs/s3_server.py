"""moto's S3 server, a program: its conditional writes are one step here, as they are in S3.

moto 5 looks whether a condition holds and writes afterwards, in the thread of each request, so two of eight writers that
begin at once may both be told that they made an object.
"""

import threading
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

import moto.server


class _OneStep(moto.server.DomainDispatcherApplication):
    _lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        conditional = "HTTP_IF_MATCH" in environ or "HTTP_IF_NONE_MATCH" in environ
        with self._lock if conditional else nullcontext():
            return super().__call__(environ, start_response)


if __name__ == "__main__":
    moto.server.DomainDispatcherApplication = _OneStep
    moto.server.main()
