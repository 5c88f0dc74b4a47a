"""Which errors of real clients pass by themselves."""

import http.client
import http.server
import socket
import threading
import urllib.error
import urllib.request

import httpx
import pytest
import requests

from accel_track.trackers.errors import http_status, is_transient

TIMEOUT = 10


@pytest.fixture(scope="module")
def server():
    """Answer `/<status>` with that status; `/hang` not at all until the end; `/cut` by closing the connection."""
    over = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            what = self.path.strip("/")
            if what == "hang":
                over.wait(TIMEOUT)
            if not what.isdigit():
                self.close_connection = True
                return
            self.send_response(int(what))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        over.set()
        listening.shutdown()
        thread.join()


@pytest.fixture
def closed():
    """Return the address of a port where nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}"


def by_requests(url, timeout=TIMEOUT):
    with requests.get(url, timeout=timeout) as response:
        response.raise_for_status()


def by_urllib(url, timeout=TIMEOUT):
    try:
        urllib.request.urlopen(url, timeout=timeout).close()
    except urllib.error.HTTPError as error:
        error.close()
        raise


def by_httpx(url, timeout=TIMEOUT):
    httpx.get(url, timeout=timeout).raise_for_status()


clients = pytest.mark.parametrize("get", [by_requests, by_urllib, by_httpx])


def error_of(get, *arguments):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - each client has its own
        get(*arguments)
    return caught.value


@clients
def test_a_refused_connection_is_transient(get, closed):
    assert is_transient(error_of(get, closed))


@clients
def test_a_timeout_is_transient(get, server):
    assert is_transient(error_of(get, f"{server}/hang", 0.1))


@clients
def test_a_connection_that_is_cut_is_transient(get, server):
    assert is_transient(error_of(get, f"{server}/cut"))


@clients
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_answers_of_an_overloaded_server_are_transient(get, status, server):
    error = error_of(get, f"{server}/{status}")
    assert http_status(error) == status
    assert is_transient(error)


@clients
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422])
def test_refusals_are_not(get, status, server):
    error = error_of(get, f"{server}/{status}")
    assert http_status(error) == status
    assert not is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        BrokenPipeError(),
        TimeoutError(),
        http.client.RemoteDisconnected(),
        http.client.IncompleteRead(b""),
        urllib.error.URLError("no route"),
    ],
)
def test_python_s_own_errors_of_connections_are_transient(error):
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), OSError("disk"), FileNotFoundError(), KeyError("code"), PermissionError()],
)
def test_other_errors_are_not(error):
    assert not is_transient(error)


def test_the_error_that_another_came_from_counts():
    for inner in (ConnectionError(), ValueError()):
        with pytest.raises(RuntimeError) as caught:
            raise RuntimeError("the SDK says") from inner
        assert is_transient(caught.value) is isinstance(inner, ConnectionError)


def test_a_chain_that_ends_in_itself_ends():
    one, other = ValueError(), ValueError()
    one.__cause__, other.__cause__ = other, one
    assert not is_transient(one)


def test_a_status_is_a_number_of_an_error():
    class Answer(Exception):  # noqa: N818
        def __init__(self, **attributes):
            self.__dict__.update(attributes)

    assert http_status(Answer(status_code=503)) == 503
    assert http_status(Answer(status=404)) == 404
    assert http_status(Answer(code=429)) == 429
    for other in ({}, {"code": 7}, {"code": True}, {"status": "503"}, {"status_code": 200}, {"code": 600}):
        assert http_status(Answer(**other)) is None
