"""Tell errors that may pass by themselves from those that will not."""

from __future__ import annotations

from collections.abc import Iterator

# Named, not imported: an SDK may use any of these libraries, or none.
_PACKAGES = ("requests", "urllib3", "urllib", "httpx", "httpcore", "aiohttp", "websockets", "http")
_NAMES = (
    "RetryError",
    "MaxRetryError",
    "ConnectionError",
    "Timeout",
    "TimeoutException",
    "TransportError",
    "URLError",
    "HTTPException",
    "ClientError",
)
_LASTING = ("SSLError", "SSLCertVerificationError", "InvalidURL", "InvalidSchema", "UnsupportedProtocol")
_REQUEST_TIMEOUT, _TOO_MANY, _SERVER = 408, 429, 500


def is_transient(error: BaseException) -> bool:
    """Whether an error, or one that it came from, is a lost connection, a timeout, or a server that is overloaded."""
    for one in _chain(error):
        if any(cls.__name__ in _LASTING for cls in type(one).__mro__):
            return False
        status = http_status(one)
        if status is not None:
            return status in (_REQUEST_TIMEOUT, _TOO_MANY) or status >= _SERVER
        if isinstance(one, (ConnectionError, TimeoutError)):
            return True
        for cls in type(one).__mro__:
            if cls.__module__.partition(".")[0] in _PACKAGES and cls.__name__ in _NAMES:
                return True
    return False


def http_status(error: BaseException) -> int | None:
    """Return the HTTP status that an error carries, as those of requests, urllib, httpx and aiohttp do."""
    for holder in (getattr(error, "response", None), error):
        for name in ("status_code", "status", "code"):
            status = getattr(holder, name, None)
            if isinstance(status, int) and not isinstance(status, bool) and 400 <= status < 600:  # noqa: PLR2004
                return status
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__
