"""What the tests of mirrors share: a real S3 server, a way to it that fails, and runs of which nothing is left here."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.stores import Bucket, Proxy


@pytest.fixture(scope="session")
def _bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    bucket = Bucket(tmp_path_factory.mktemp("moto"))
    yield bucket
    bucket.stop()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def bucket(_bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Give an empty bucket of a real server, reached by the variables that s3fs reads."""
    _bucket.renew()
    for name, value in _bucket.variables(_bucket.port).items():
        monkeypatch.setenv(name, value)
    return _bucket


@pytest.fixture
def proxy(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Give a way to the bucket that can be cut, slowed down and closed; the variables lead through it."""
    way = Proxy(bucket.port)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{way.port}")
    yield way
    way.close()


@pytest.fixture(params=["memory", "file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of an empty store of each kind."""
    if request.param == "s3":
        return str(request.getfixturevalue("bucket").url)
    return f"memory://{os.urandom(6).hex()}/store" if request.param == "memory" else f"file://{tmp_path}/store"


@pytest.fixture
def machine_is_gone(tmp_path: Path) -> Callable[[], None]:
    """Give what deletes everything that the machine had: the run directories and the cache."""

    def delete() -> None:
        for name in ("runs", "cache"):
            shutil.rmtree(tmp_path / name, ignore_errors=True)

    return delete
