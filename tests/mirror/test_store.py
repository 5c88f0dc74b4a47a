"""The store: the same answers from each kind, and errors without credentials that say what to install."""

import importlib.util
from pathlib import Path

import pytest

from accel_track.errors import MissingPackageError
from accel_track.mirror.layout import PART, plain_path, stored_name
from accel_track.mirror.store import Store, StoreError


def test_each_kind_of_store_answers_alike(url: str) -> None:
    store = Store(url)
    assert (store.get("a/b", 10), store.sizes("a"), store.folders(), store.mark("a/b")) == (None, {}, [], None)
    store.put("a/b/one", b"1234")
    store.put_all({"a/empty": b"", "a/b/two": b"22"})
    assert store.sizes("a") == {"b/one": 4, "b/two": 2, "empty": 0}
    assert (store.folders(), store.folders("a"), store.folders("a/b")) == (["a"], ["b"], [])
    assert (store.get("a/b/one", 10), store.get("a/b/one", 2), store.get("a/empty", 1)) == (b"1234", b"123", b"")
    store.put("a/b/one", b"5")
    assert store.get("a/b/one", 10) == b"5"
    store.delete("a/b/one")
    store.delete("a/b/one")
    assert store.get("a/b/one", 10) is None


def test_an_object_is_made_once_and_replaced_by_who_has_seen_it(url: str) -> None:
    store, other = Store(url), Store(url)
    assert store.put_new("claim", b"mine")
    assert not other.put_new("claim", b"other")
    mark = store.mark("claim")
    assert other.put_over("claim", b"other, now", mark)
    assert not store.put_over("claim", b"mine again", mark)
    assert store.get("claim", 100) == b"other, now"


def test_only_one_of_many_makes_an_object_in_s3(bucket) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: Store(bucket.url).put_new("claim", b"%d" % number), range(8)))
    assert sum(made) == 1


@pytest.mark.parametrize(("scheme", "package"), [("gs", "gcsfs"), ("az", "adlfs"), ("sftp", "paramiko")])
def test_a_package_that_is_missing_is_named_with_its_command(scheme: str, package: str) -> None:
    if importlib.util.find_spec(package) is not None:
        pytest.skip(f"{package} is installed")
    with pytest.raises(
        MissingPackageError, match=rf"needs {package}; install it with: .* -m pip install .*\[{scheme}\]"
    ):
        Store(f"{scheme}://somewhere/x")


def test_an_error_that_comes_again_has_the_same_text(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store, told = Store(f"file://{tmp_path}/file"), set()
    for _ in range(3):
        with pytest.raises(StoreError, match="NotADirectoryError") as caught:
            store.put("a/b", b"data")
        told.add(str(caught.value))
    assert len(told) == 1


@pytest.mark.parametrize("bad", ["", "x", "/tmp/x", "nothing://x", "://x"])
def test_what_is_no_url_of_a_store_is_an_error(bad: str) -> None:
    with pytest.raises(ValueError, match=r"no URL|not known"):
        Store(bad)


def test_no_error_and_no_name_shows_a_password(bucket) -> None:
    store = Store(bucket.url.replace("s3://", "s3://user:hunter2hunter2@"))
    assert "hunter2" not in store.shown
    with pytest.raises(StoreError) as caught:
        store.put("x", b"1")
    assert "hunter2" not in str(caught.value)


@pytest.mark.first(8)
@pytest.mark.parametrize("path", ["a", "a b/c.txt", "ü/é", "50%/x", "a?b#c*[d]", "...x", 'quo"te', "back\\slash"])
def test_a_path_comes_back_from_its_name(path: str, url: str) -> None:
    name = stored_name(path)
    store = Store(url)
    store.put(f"media/{name}/part", b"1")
    (found,) = store.sizes("media")
    if "\\" not in path:  # which Windows takes for a folder: it is refused here
        assert plain_path(found.removesuffix("/part")) == path


@pytest.mark.parametrize("name", ["..", "a/../b", ".", "a//b", "", "%2e%2e/x", "a%2fb", "a%5Cb", "a%00", "%ff", "/a"])
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    assert plain_path(name) is None


def test_a_part_goes_up_in_one_request() -> None:
    assert PART < 5 * 1024 * 1024  # s3fs sends more in several
