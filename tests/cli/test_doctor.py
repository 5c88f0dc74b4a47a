"""`accel-track doctor`."""

import json
import socket
from typing import Any

import pytest

from accel_track.registry import LOGGER_TYPE_TO_CLASS, known_names

pytestmark = pytest.mark.extras


def backends(invoke: Any, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(invoke("doctor", "--json", code=code).stdout)["backends"]
    return found


def test_it_tells_versions_and_settings(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCEL_TRACK_START_TIMEOUT")
    monkeypatch.setenv("ACCEL_TRACK_DELIVERY", "none")
    monkeypatch.setenv("ACCEL_TRACK_API_KEY", "hidden")
    told = json.loads(invoke("doctor", "--json").stdout)
    assert set(told["backends"]) == set(known_names())
    assert told["versions"].keys() == {"python", "accel-track", "torch", "lightning"}
    assert all(told["versions"].values())
    assert told["variables"] == {"ACCEL_TRACK_DELIVERY": "none", "ACCEL_TRACK_API_KEY": "***"}
    mlflow, ours = told["backends"]["mlflow"], told["backends"]["lines"]
    assert (mlflow["missing"], mlflow["server"], mlflow["version"][0]) == (None, "local", "3")
    assert (ours["version"], ours["server"]) == ("installed", "local")


def test_text(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("STRICT", "1"), ("MIROR", "s3://bucket"), ("API_KEY", "hidden")):
        monkeypatch.setenv(f"ACCEL_TRACK_{name}", value)
    text = invoke("doctor").stdout
    variables = (
        "ACCEL_TRACK_API_KEY=***  (nothing reads it)\n",
        "ACCEL_TRACK_MIROR=s3://bucket  (nothing reads it; did you mean ACCEL_TRACK_MIRROR?)\n",
        "ACCEL_TRACK_STRICT=1\n",
    )
    for told in ("python 3.", "torch ", "mlflow", "tensorboard", *variables):
        assert told in text


def test_it_says_what_is_missing(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class NotInstalled(LOGGER_TYPE_TO_CLASS["mlflow"]):  # type: ignore[misc,name-defined]
        sdk = "no_such_module"

    class Broken(LOGGER_TYPE_TO_CLASS["mlflow"]):  # type: ignore[misc,name-defined]
        @classmethod
        def not_configured(cls, init_kwargs: Any) -> str | None:
            raise RuntimeError("broken")

    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "mlflow", NotInstalled)
    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "aim", Broken)
    told = backends(invoke)
    assert told["mlflow"] | {"version": None, "missing": "not installed: pip install 'mlflow>=3.17'"} == told["mlflow"]
    assert told["aim"]["missing"] == "RuntimeError: broken"


def test_it_tells_which_fast_paths_are_on(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told = backends(invoke)
    assert told["trackio"]["fast"] == {"Store": None, "Sending": None}
    assert told["lines"]["fast"] == {}
    for path, attribute, value in (("wandb", "tested", "==0.1.*"), ("swanlab", "parts", ("swanlab:gone",))):
        monkeypatch.setattr(LOGGER_TYPE_TO_CLASS[path].fast_paths[0], attribute, value)
    told = backends(invoke)
    assert "is not among the versions it was tested with (==0.1.*)" in told["wandb"]["fast"]["Rows"]
    assert told["swanlab"]["fast"]["Rows"].startswith("swanlab:gone is missing")
    rows = {line.split("│")[1].strip(): line for line in invoke("doctor").stdout.splitlines() if line.startswith("│")}
    assert rows["trackio"].rstrip(" │").endswith(" on")
    assert "off: wandb" in rows["wandb"]
    assert "off: swanlab:gone is missing" in rows["swanlab"]


def test_it_tries_the_server(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:secret@127.0.0.1:{port}")
        told = backends(invoke)["mlflow"]
        assert told["reachable"] is True
        assert told["server"] == f"http://***@127.0.0.1:{port} answers"
    told = backends(invoke, code=1)["mlflow"]
    assert told["reachable"] is False
    assert "does not answer" in told["server"]
    assert "secret" not in told["server"]


@pytest.mark.parametrize("address", ["sqlite:///some.db", "file:/tmp", "databricks"])
def test_an_address_that_is_no_server(invoke: Any, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    assert backends(invoke)["mlflow"]["reachable"] is None


@pytest.mark.parametrize("address", ["http://[", "http://127.0.0.1:99999"])
def test_an_address_that_is_wrong(invoke: Any, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    assert backends(invoke, code=1)["mlflow"]["reachable"] is False


def test_offline_modes_try_no_server(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert backends(invoke)["wandb"]["server"] == "local"
