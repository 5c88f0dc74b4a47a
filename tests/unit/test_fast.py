"""The gate to private parts of SDKs, with a module of the test's own in the place of an SDK."""

import sys
import types
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from accel_track.errors import AccelTrackWarning, HalfStoredError
from accel_track.trackers.fast import FastPath, Gate


class Native:
    def __init__(self) -> None:
        self._inner = types.SimpleNamespace(rows=[])


class RowPath(FastPath):
    distribution = "pytest"  # any that is installed
    tested = ">=1"
    parts = ("an_sdk:Writer.write",)
    attributes = ("_inner.rows",)

    @classmethod
    def applies(cls, native: Any) -> bool:
        return native is not None

    def prepare(self, *rows: Any) -> Any:
        return [row["value"] for row in rows] or None

    def store(self, ready: Any) -> None:
        import an_sdk

        for value in ready:
            an_sdk.Writer.write(self.native, value)


@pytest.fixture(autouse=True)
def sdk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    module = types.ModuleType("an_sdk")

    class Writer:
        @staticmethod
        def write(native: Native, value: int) -> None:
            native._inner.rows.append(value)

    module.Writer = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "an_sdk", module)
    return module


def opened(native: Any, path: type[FastPath] = RowPath) -> Gate[FastPath]:
    gate = Gate("mine", path)
    gate.open(native)
    return gate


def test_a_fitting_sdk_gets_the_rows() -> None:
    native = Native()
    assert opened(native).send({"value": 1}, {"value": 2})
    assert native._inner.rows == [1, 2]


def test_closed_before_it_is_opened_and_after_it_is_closed() -> None:
    native = Native()
    gate = Gate("mine", RowPath)
    assert not gate.send({"value": 1})
    gate.open(native)
    gate.close()
    assert not gate.send({"value": 1})
    assert native._inner.rows == []


def test_a_batch_that_the_path_leaves_alone_does_not_close_it() -> None:
    gate = opened(Native())
    assert not gate.send()
    assert gate.send({"value": 1})


def test_what_it_is_not_for_is_no_surprise() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not opened(None).send({"value": 1})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"distribution": "no-such-distribution"}, "no-such-distribution is not installed"),
        ({"tested": "<1"}, "is not among the versions it was tested with (<1)"),
    ],
)
def test_another_version_is_off_without_a_warning(change: dict[str, str], said: str) -> None:
    path = type("Other", (RowPath,), change)
    assert said in (path.untested() or "")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not opened(Native(), path).send({"value": 1})


@pytest.mark.parametrize("part", ["Writer", "Writer.write", "module"])
def test_a_missing_part_is_said_once_at_the_start(part: str, sdk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if part == "module":
        monkeypatch.setitem(sys.modules, "an_sdk", None)
    else:
        monkeypatch.delattr(sdk.Writer if "." in part else sdk, part.rpartition(".")[2])
    assert "an_sdk:Writer.write is missing" in (RowPath.missing() or "")
    with pytest.warns(AccelTrackWarning, match="mine: pytest is not as accel_track knows it .*public calls") as said:
        gate = opened(Native())
    assert len(said) == 1
    assert not gate.send({"value": 1})


def test_a_missing_attribute_is_said_at_the_start() -> None:
    native = Native()
    del native._inner.rows
    with pytest.warns(AccelTrackWarning, match="'rows'"):
        assert not opened(native).send({"value": 1})


def test_a_surprise_before_anything_is_stored_leaves_the_batch_to_the_public_call() -> None:
    native = Native()
    gate = opened(native)
    with pytest.warns(AccelTrackWarning, match="KeyError: 'value'"):
        assert not gate.send({"value": 1}, {"other": 2})
    assert native._inner.rows == []
    assert not gate.send({"value": 1})  # for the whole run


def test_a_surprise_in_the_middle_stops(sdk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    native = Native()
    gate = opened(native)
    monkeypatch.delattr(sdk.Writer, "write")
    with (
        pytest.warns(AccelTrackWarning, match="write"),
        pytest.raises(HalfStoredError, match=r"mine: .* may be stored already; .* `accel-track sync`"),
    ):
        gate.send({"value": 1})
    assert gate.fast is None


def test_a_surprise_in_the_middle_of_what_may_be_repeated(sdk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = opened(Native())
    monkeypatch.delattr(sdk.Writer, "write")
    with pytest.warns(AccelTrackWarning, match="goes on with its public calls"):
        assert not gate.send({"value": 1}, repeatable=True)
    assert gate.fast is None


def test_an_error_of_the_backend_passes_and_closes_nothing(sdk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: Any) -> None:
        raise ConnectionError

    gate = opened(Native())
    monkeypatch.setattr(sdk.Writer, "write", lost)
    with pytest.raises(ConnectionError):
        gate.send({"value": 1})
    monkeypatch.undo()
    assert gate.fast is not None


def test_a_path_without_a_store_is_found_out() -> None:
    class NoStore(RowPath):
        store = FastPath.store

    with pytest.warns(AccelTrackWarning), pytest.raises(HalfStoredError):
        opened(Native(), NoStore).send({"value": 1})
    bare = type("Bare", (FastPath,), {"distribution": "pytest", "tested": ">=1"})
    assert bare(None).prepare(1, 2) == (1, 2)
    assert bare.applies(None)
    assert bare.missing() is None
