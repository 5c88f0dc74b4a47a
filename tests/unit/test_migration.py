"""Custom trackers and scripts written for Hugging Face Accelerate's interface, with only the package renamed.

The code is our own; names, decorators, signatures and the order of calls are what such trackers have.
"""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests
import torch
import wandb

from accel_track import Accelerator
from accel_track.state import PartialState
from accel_track.tracking import (
    LOGGER_TYPE_TO_CLASS,
    GeneralTracker,
    filter_trackers,
    get_available_trackers,
    on_main_process,
)
from accel_track.utils import LoggerType, ProjectConfiguration
from tests.support.readers.wandb import rows


class MyCustomTracker(GeneralTracker):
    """Starts its SDK in a gated `__init__`, without calling the base class's."""

    name = "wandb"
    requires_logging_directory = False

    @on_main_process
    def __init__(self, run_name: str) -> None:
        self.run_name = run_name
        self.run = wandb.init(project=run_name, mode="offline", reinit="create_new", dir=Path.cwd())

    @property
    def tracker(self) -> Any:
        return self.run

    @on_main_process
    def store_init_configuration(self, values: dict) -> None:
        self.run.config.update(values)

    @on_main_process
    def log(self, values: dict, step: int | None = None) -> None:
        self.run.log(values, step=step)


class DiscordTracker(GeneralTracker):
    """Posts to a web hook with requests."""

    name = "discord"
    requires_logging_directory = False

    def __init__(self, run_name: str, webhook_url: str, **kwargs: Any) -> None:
        super().__init__()
        self.run_name = run_name
        self.webhook_url = webhook_url

    def _say(self, text: str) -> None:
        requests.post(self.webhook_url, json={"content": text}, timeout=5)

    @on_main_process
    def start(self) -> None:
        self._say(f"started {self.run_name}")

    @property
    def tracker(self) -> str:
        return self.webhook_url

    @on_main_process
    def store_init_configuration(self, values: dict) -> None:
        self._say(", ".join(f"{key}: {value}" for key, value in values.items()))

    @on_main_process
    def log(self, values: dict, step: int | None = None, **kwargs: Any) -> None:
        if step and step % 100 == 0:
            self._say(f"step {step}: " + ", ".join(f"{k}={v:.4f}" for k, v in values.items() if isinstance(v, float)))

    @on_main_process
    def finish(self) -> None:
        self._say(f"completed {self.run_name}")


@pytest.fixture
def hook() -> Iterator[tuple[str, list[str]]]:
    """Serve a web hook on the loopback interface; yields its address and the texts it got."""
    texts: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            texts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["content"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", texts
        server.shutdown()
        thread.join()


def test_a_tracker_that_starts_in_its_constructor() -> None:
    tracker = MyCustomTracker("some_run_name")
    accelerator = Accelerator(log_with=tracker, cpu=True)
    accelerator.init_trackers("my_project", config={"lr": 0.1})
    accelerator.log({"train_loss": torch.tensor(1.5), "valid_loss": 0.8}, step=1)
    run = accelerator.get_tracker("wandb", unwrap=True)
    assert run is tracker.run
    assert run.config["lr"] == 0.1
    with accelerator.on_main_process:
        run.log({"native": 1.0}, step=2)
    accelerator.end_training()
    run.finish()
    first, second = rows(Path.cwd())
    assert (first["train_loss"], first["valid_loss"], first["_step"]) == (1.5, 0.8, 1)
    assert (second["native"], second["_step"]) == (1.0, 2)


def test_a_web_hook_tracker_beside_tensorboard(hook: tuple[str, list[str]], tmp_path: Path) -> None:
    url, texts = hook
    discord = DiscordTracker("my_experiment", webhook_url=url)
    accelerator = Accelerator(log_with=[discord, "tensorboard"], project_dir=tmp_path, cpu=True)
    accelerator.init_trackers("my_project", config={"lr": 0.1})
    for step in (0, 100, 150):
        accelerator.log({"loss": torch.tensor(0.5), "seen": step}, step=step)
    accelerator.end_training()
    assert texts == ["started my_experiment", "lr: 0.1", "step 100: loss=0.5000", "completed my_experiment"]
    assert list((tmp_path / "my_project").glob("*/events.out.tfevents.*"))


def test_a_custom_tracker_with_all(tmp_path: Path) -> None:
    tracker = MyCustomTracker("some_run_name")
    chosen = filter_trackers([tracker, "all"], tmp_path)
    assert chosen[0] is tracker
    assert set(chosen[1:]) == set(get_available_trackers()) - {"wandb"}
    tracker.run.finish()


@pytest.mark.parametrize(
    ("attributes", "missing"),
    [
        ({}, ["name", "requires_logging_directory", "tracker"]),
        ({"name": "x"}, ["requires_logging_directory", "tracker"]),
        ({"name": "x", "requires_logging_directory": False}, ["tracker"]),
    ],
)
def test_incomplete_trackers_are_told_everything_they_lack(attributes: dict[str, Any], missing: list[str]) -> None:
    incomplete = type("Incomplete", (GeneralTracker,), attributes)
    with pytest.raises(NotImplementedError, match=", ".join(f"`{name}`" for name in missing)):
        incomplete()
    assert isinstance(incomplete(_blank=True), GeneralTracker)


def test_a_blank_tracker_does_nothing() -> None:
    blank = GeneralTracker(_blank=True)
    blank.start()
    blank.store_init_configuration({"a": 1})
    blank.log({"a": 1}, step=0)
    blank.finish()


def test_gating_is_decided_when_a_method_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting(GeneralTracker):
        name = "counting"
        requires_logging_directory = False
        tracker = None  # type: ignore[assignment]
        calls = 0

        @on_main_process
        def log(self, values: dict, step: int | None = None, **kwargs: Any) -> None:
            self.calls += 1

    monkeypatch.setenv("RANK", "1")
    tracker = Counting()
    tracker.log({})
    assert tracker.calls == 0
    monkeypatch.setenv("RANK", "0")
    tracker.log({})
    assert tracker.calls == 1
    monkeypatch.setenv("RANK", "1")
    tracker.main_process_only = False
    tracker.log({})
    assert tracker.calls == 2


def test_the_public_names() -> None:
    assert LOGGER_TYPE_TO_CLASS["tensorboard"].requires_logging_directory
    assert {name for name, cls in LOGGER_TYPE_TO_CLASS.items() if cls.requires_logging_directory} == {
        "tensorboard",
        "aim",
        "jsonl",
    }
    everywhere = {name for name, cls in LOGGER_TYPE_TO_CLASS.items() if not cls.main_process_only}
    assert everywhere == {"wandb", "swanlab", "trackio"}
    assert LoggerType("comet_ml") is LoggerType.COMETML
    assert PartialState().is_main_process
    assert ProjectConfiguration(project_dir="a").logging_dir == "a"


def test_the_training_loop_of_the_guide(tmp_path: Path) -> None:
    """Loop over (step, batch), move to the device, log the loss tensor itself."""
    accelerator = Accelerator(log_with=["tensorboard", LoggerType.MLFLOW], project_dir=tmp_path, cpu=True)
    config = {"num_iterations": 2, "learning_rate": 1e-2, "loss_function": str(torch.nn.functional.mse_loss)}
    accelerator.init_trackers("example_project", config=config)
    model = torch.nn.Linear(1, 1)
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(4, 1), torch.ones(4, 1)))
    model, optimizer, data = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=0.1), data)
    model.to(accelerator.device)
    for _ in range(config["num_iterations"]):
        for step, (inputs, targets) in enumerate(data):
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(model(inputs.to(accelerator.device)), targets)
            accelerator.backward(loss)
            optimizer.step()
            accelerator.log({"training_loss": loss}, step=step)
    client = accelerator.get_tracker("mlflow").client
    run_id = accelerator.get_tracker("mlflow", unwrap=True).info.run_id
    accelerator.end_training()
    history = client.get_metric_history(run_id, "training_loss")
    assert sorted(metric.step for metric in history) == [0, 0, 1, 1, 2, 2, 3, 3]
