"""The object on which everything does nothing."""

import copy
import pickle
from typing import Any

import pytest

from accel_track.noop import NoOp
from accel_track.trackers.base import NoOpTracker


@pytest.fixture(params=[NoOp, lambda: NoOpTracker(_blank=True)], ids=["object", "tracker"])
def nothing(request: pytest.FixtureRequest) -> Any:
    """Return one of the two kinds."""
    return request.param()


def test_chains(nothing: Any) -> None:
    assert nothing.config.update({"a": 1}, allow=True)["b"][0].c(1)(2) is nothing


def test_setting_is_forgotten(nothing: Any) -> None:
    nothing.value = 1
    nothing["key"] = 2
    nothing.inner.value = 3
    assert nothing.value is nothing
    assert nothing["key"] is nothing
    assert vars(nothing) == {}


def test_it_is_empty_and_false(nothing: Any) -> None:
    assert not nothing
    assert list(nothing) == []
    assert len(nothing) == 0
    assert "key" not in nothing
    assert {**nothing} == {}
    assert [*nothing.runs, *nothing()] == []


def test_with(nothing: Any) -> None:
    with nothing as entered, nothing.start_run(nested=True) as nested:
        assert entered is nothing
        assert nested is nothing
    with pytest.raises(KeyError), nothing:
        raise KeyError


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies(nothing: Any, copied: Any) -> None:
    one = copied(nothing)
    assert type(one) is type(nothing)
    assert one.anything() is one
    assert not one


def test_special_methods_are_absent(nothing: Any) -> None:
    """Protocols that are not implemented are seen as absent, by NumPy for example."""
    for name in ("__array__", "__deepcopy__", "__no_such_method__"):
        assert not hasattr(nothing, name)
    assert isinstance(repr(nothing), str)


def test_tracker_methods(nothing: Any) -> None:
    """Also those that only some trackers have."""
    calls = [
        nothing.start(),
        nothing.store_init_configuration({"lr": 0.1}),
        nothing.log({"loss": 0.5}, step=0),
        nothing.log_images({"image": []}, step=0),
        nothing.log_table("table", columns=["a"], data=[[1]]),
        nothing.flush(),
        nothing.finish(),
    ]
    assert not any(calls)
    assert nothing.dropped is not None
