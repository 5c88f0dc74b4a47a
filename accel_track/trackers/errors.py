"""Kinds of errors: those that pass by themselves, the connection's or the run's, the record's, and ours."""

from __future__ import annotations

import struct
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
_OF_THE_RUN = (401, 402, 403, 404, 405, 407, 410, 421, 451)
_OF_THE_RECORD = (400, 406, 409, 411, 412, 413, 414, 415, 416, 417, 422, 431)
_REFUSALS = (  # of third-party packages, by the name of the class
    *("AuthenticationError", "AuthenticationException", "AuthError", "Unauthorized", "UnauthorizedError"),
    *("Forbidden", "ForbiddenError", "PermissionDenied", "PermissionDeniedError", "InvalidAPIKey", "InvalidApiKey"),
    *("GatedRepoError", "RepositoryNotFoundError", "MissingRunError"),
)


def is_transient(error: BaseException) -> bool:
    """Return whether an error, or its cause, is a lost connection, a timeout, or an overloaded server's."""
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


def concerns_run(error: BaseException) -> bool:
    """Return whether an error is the connection's or the run's: bad credentials, a wrong address, a lost run."""
    for one in _chain(error):
        names = {cls.__name__ for cls in type(one).__mro__}
        status = http_status(one)
        if not names.isdisjoint(_LASTING) or status in _OF_THE_RUN:
            return True
        if status is not None:
            return False
        if not type(one).__module__.startswith("accel_track.") and not names.isdisjoint(_REFUSALS):
            return True
    return False


def concerns_record(error: BaseException) -> bool:
    """Return whether an error is about what a record holds, by its type or by a server's answer."""
    if isinstance(error, (ValueError, TypeError, LookupError, ArithmeticError, struct.error)):
        return True
    return any(http_status(one) in _OF_THE_RECORD for one in _chain(error))


def is_ours(error: BaseException) -> bool:
    """Return whether an error is a fault of accel_track's own code, such as a name that an SDK no longer has."""
    trace, module = error.__traceback__, ""
    while trace is not None:
        module, trace = str(trace.tb_frame.f_globals.get("__name__")), trace.tb_next
    return isinstance(error, (AttributeError, ImportError, NameError)) and module.startswith("accel_track.trackers.")


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
