"""Public helpers to test trackers: a conformance suite to inherit, and a tracker that remembers.

Needs pytest and NumPy. A tracker's tests inherit `TrackerContract`, say how to make the tracker and how to read back
what arrived, and get every test below; capability attributes say what the backend cannot do.
"""

from __future__ import annotations

import math
import subprocess
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

from accel_track.accelerator import Accelerator
from accel_track.errors import AccelTrackWarning
from accel_track.lightning import AccelTrackLogger
from accel_track.trackers.base import GeneralTracker


class RecordingTracker(GeneralTracker):
    """Keeps every call it gets, as `(method, arguments…)` tuples in `calls`."""

    name = "recording"
    requires_logging_directory = False

    def __init__(self, run_name: str = "recording", **init_kwargs: Any) -> None:
        """Keep the arguments."""
        super().__init__()
        self.run_name = run_name
        self.init_kwargs = init_kwargs
        self.calls: list[tuple[Any, ...]] = []

    @property
    def tracker(self) -> list[tuple[Any, ...]]:
        """The list of calls."""
        return self.calls

    def start(self) -> None:
        """Remember the call."""
        self.calls.append(("start",))

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Remember the call."""
        self.calls.append(("config", values))

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Remember the call."""
        self.calls.append(("log", values, step, kwargs))

    def flush(self) -> None:
        """Remember the call."""
        self.calls.append(("flush",))

    def finish(self) -> None:
        """Remember the call."""
        self.calls.append(("finish",))


class FaultyTracker(RecordingTracker):
    """Raises `error` from the methods named in `fails`, and remembers all calls."""

    name = "faulty"

    def __init__(self, *fails: str, error: Exception | None = None) -> None:
        """Keep which of "start", "config", "log", "flush", "finish" are to fail."""
        super().__init__()
        self.fails = fails
        self.error = error or RuntimeError("faulty on purpose")

    def _fail(self, what: str) -> None:
        if what in self.fails:
            raise self.error

    def start(self) -> None:
        """Remember the call; fail if asked to."""
        super().start()
        self._fail("start")

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Remember the call; fail if asked to."""
        super().store_init_configuration(values)
        self._fail("config")

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Remember the call; fail if asked to."""
        super().log(values, step, **kwargs)
        self._fail("log")

    def flush(self) -> None:
        """Remember the call; fail if asked to."""
        super().flush()
        self._fail("flush")

    def finish(self) -> None:
        """Remember the call; fail if asked to."""
        super().finish()
        self._fail("finish")


@dataclass
class Readback:
    """What a backend holds of one run, read without the code under test."""

    metrics: dict[str, list[tuple[int | None, float]]] = field(default_factory=dict)
    """Points `(step, value)` by the name under which the backend stores them, in the order stored."""

    config: dict[str, Any] = field(default_factory=dict)
    """Hyperparameters by the name under which the backend stores them (nested where it keeps nesting)."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    """Texts by name."""

    images: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """Sizes `(height, width)` of the stored images, by the name that the user logged them under."""

    tables: dict[str, list[list[Any]]] = field(default_factory=dict)
    """Rows by name; cells as text where the backend stores text."""

    project: str | None = None
    """The project (or experiment) that the run belongs to."""

    run_name: str | None = None
    """The run's name."""

    runs: int = 1
    """How many runs there are in this place, also empty ones."""


class TrackerContract:
    """What every tracker must do; inherit it, set the attributes, define `make` and `read`.

    The suite writes through the tracker and looks at `read`'s answer only, so a tracker cannot pass by remembering.
    """

    tracker_class: ClassVar[type[GeneralTracker]]
    """The class under test."""

    takes_text: ClassVar[bool] = True
    """Whether a string value is stored; if not, it must be counted as dropped."""

    takes_nan: ClassVar[bool] = True
    """Whether NaN and ±inf are stored; if not, they must be counted as dropped."""

    takes_inf: ClassVar[bool | None] = None
    """Whether ±inf are stored, where that differs from NaN; None stands for the same as `takes_nan`."""

    precision: ClassVar[float] = 0.0
    """Relative error of a stored number: 0, or 1e-6 where the backend stores 32-bit floats."""

    nested_config: ClassVar[bool] = False
    """Whether the backend keeps nested hyperparameters; if not, names are joined with "/"."""

    def make(self, folder: Path) -> GeneralTracker:
        """Return a new tracker, in the SDK's local mode, that keeps its data in `folder`."""
        raise NotImplementedError

    def read(self, folder: Path) -> Readback:
        """Read what the backend stored in `folder`, with the SDK's own reader or from its files."""
        raise NotImplementedError

    def init_kwargs(self, folder: Path) -> dict[str, Any]:
        """Return the constructor arguments that a front door needs for the same local mode (default: none)."""
        return {}

    # -- helpers ------------------------------------------------------------------------------------------------------

    def stored_name(self, name: str) -> str:
        """Return the name under which the backend stores the metric `name` (default: the same)."""
        return name

    def points(self, stored: Readback, name: str) -> list[tuple[int | None, float]]:
        """Return the points of a metric by the name that the user gave."""
        assert self.stored_name(name) in stored.metrics, f"{name} is not among {sorted(stored.metrics)}"
        return stored.metrics[self.stored_name(name)]

    def close(self, value: float, other: float) -> bool:
        """Compare numbers at the backend's precision; NaN equals NaN."""
        if math.isnan(other) or math.isinf(other):
            return str(value) == str(other)
        return math.isclose(value, other, rel_tol=self.precision, abs_tol=0.0)

    def written(self, folder: Path, *calls: tuple[dict[str, Any], int | None]) -> tuple[GeneralTracker, Readback]:
        """Start a tracker, log the calls, finish it, and read back."""
        tracker = self.make(folder)
        tracker.start()
        for values, step in calls:
            tracker.log(values, step=step)
        tracker.finish()
        return tracker, self.read(folder)

    # -- the contract -------------------------------------------------------------------------------------------------

    def test_constructing_imports_no_sdk(self) -> None:
        """Construction is free of side effects."""
        code = (
            "import sys; import accel_track.tracking as t\n"
            f"t.{self.tracker_class.__name__}(**{self._plain_arguments()!r})\n"
            f"assert {self.tracker_class.sdk!r} not in sys.modules, 'SDK imported'\n"
            "assert 'torch' not in sys.modules, 'torch imported'\n"
        )
        if self.tracker_class.__module__.startswith("accel_track."):
            subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

    def _plain_arguments(self) -> dict[str, Any]:
        directory = {"logging_dir": "nowhere"} if self.tracker_class.requires_logging_directory else {}
        first = "experiment_name" if self.tracker_class.name == "mlflow" else "run_name"
        return {first: "contract", **directory}

    def test_metrics_are_stored_with_their_steps(self, tmp_path: Path) -> None:
        """Every value of every step arrives, in order."""
        steps = range(5)
        calls = [({"loss": 1 / (step + 1), "train/accuracy": step / 7}, step) for step in steps]
        tracker, stored = self.written(tmp_path, *calls)
        for name, expected in (("loss", [1 / (s + 1) for s in steps]), ("train/accuracy", [s / 7 for s in steps])):
            points = self.points(stored, name)
            assert [step for step, _ in points] == list(steps)
            assert all(self.close(value, wanted) for (_, value), wanted in zip(points, expected, strict=True)), points
        assert not tracker.dropped

    def test_scalars_of_every_kind(self, tmp_path: Path) -> None:
        """NumPy scalars, 0-d arrays and tensors, bfloat16 too, are stored as numbers."""
        values = {
            "int": 3,
            "bool": True,
            "float32": np.float32(0.5),
            "float64": np.float64(0.25),
            "int64": np.int64(7),
            "array": np.array(1.5),
            "tensor": torch.tensor(2.5, requires_grad=True),
            "bfloat16": torch.tensor(0.75, dtype=torch.bfloat16),
            "one_element": torch.tensor([4.5]),
        }
        tracker, stored = self.written(tmp_path, (values, 0))
        assert not tracker.dropped
        for name, value in values.items():
            assert [v for _, v in self.points(stored, name)] == [value.item() if hasattr(value, "item") else value], (
                name
            )

    def test_nan_and_infinities(self, tmp_path: Path) -> None:
        """What is not finite is stored, or counted; never turned into another number silently."""
        values = {"nan": math.nan, "plus": math.inf, "minus": -math.inf}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tracker, stored = self.written(tmp_path, ({**values, "fine": 1.0}, 0))
        assert [v for _, v in self.points(stored, "fine")] == [1.0]
        takes_inf = self.takes_nan if self.takes_inf is None else self.takes_inf
        refused = {name for name, value in values.items() if not (takes_inf if math.isinf(value) else self.takes_nan)}
        assert set(tracker.dropped) == refused
        assert len([one for one in caught if one.category is AccelTrackWarning]) == len(refused)
        assert not {self.stored_name(name) for name in refused} & set(stored.metrics)
        for name in values.keys() - refused:
            assert self.close(self.points(stored, name)[0][1], values[name]), name

    def test_nested_values_are_flattened(self, tmp_path: Path) -> None:
        """Nested dictionaries of numbers are stored under joined names."""
        _, stored = self.written(tmp_path, ({"val": {"loss": 0.5, "per_class": {"cat": 0.25}}}, 2))
        assert self.points(stored, "val/loss") == [(2, 0.5)]
        assert self.points(stored, "val/per_class/cat") == [(2, 0.25)]

    def test_text(self, tmp_path: Path) -> None:
        """A string is stored as text, or counted and warned about; numbers beside it arrive either way."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tracker, stored = self.written(tmp_path, ({"answer": "forty-two", "loss": 0.5}, 0))
        assert self.points(stored, "loss") == [(0, 0.5)]
        if self.takes_text:
            assert stored.texts["answer"] == ["forty-two"]
        else:
            assert tracker.dropped == {"answer": 1}
            assert any("'answer'" in str(one.message) for one in caught)

    def test_values_of_no_use_are_counted_once_warned(self, tmp_path: Path) -> None:
        """An impossible value is counted each time, warned about once, and harms nothing else."""
        tracker = self.make(tmp_path)
        tracker.start()
        with pytest.warns(AccelTrackWarning, match=r"'thing'") as caught:
            for step in range(3):
                tracker.log({"thing": object(), "loss": 0.5}, step=step)
        tracker.finish()
        assert tracker.dropped["thing"] == 3
        assert len([one for one in caught if "'thing'" in str(one.message)]) == 1
        assert [step for step, _ in self.points(self.read(tmp_path), "loss")] == [0, 1, 2]

    def test_awkward_names(self, tmp_path: Path) -> None:
        """Names outside a backend's alphabet are stored under a name that it can take, never lost or mixed."""
        names = ["acc@1", "acc#1", "loss [%]", "größe", "a.b-c_d e", "m", "m/0", "../up", "x" * 300]
        tracker, stored = self.written(
            tmp_path, *[({name: float(i) for i, name in enumerate(names)}, s) for s in (0, 1)]
        )
        series = {tuple(points) for points in stored.metrics.values()}
        for index, name in enumerate(names):
            assert ((0, float(index)), (1, float(index))) in series, f"{name!r} is not in {stored.metrics}"
        assert not tracker.dropped

    def test_no_step(self, tmp_path: Path) -> None:
        """Values without a step arrive."""
        _, stored = self.written(tmp_path, ({"loss": 0.5}, None))
        assert [value for _, value in self.points(stored, "loss")] == [0.5]

    def test_configuration(self, tmp_path: Path) -> None:
        """Nested, listed, empty and NumPy hyperparameters are stored, in one or several calls."""
        config = {
            "lr": 0.001,
            "epochs": np.int64(3),
            "name": "net",
            "nothing": None,
            "flag": True,
            "layers": [16, 32],
            "optimizer": {"kind": "adam", "betas": (0.9, 0.99)},
            "path": Path("data"),
        }
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.store_init_configuration(dict(config))
        tracker.store_init_configuration({"later": 1})
        tracker.log({"loss": 0.5}, step=0)
        tracker.finish()
        stored = self.read(tmp_path).config
        nested = {"kind": "adam", "betas": [0.9, 0.99]}
        expected = {
            "lr": 0.001,
            "epochs": 3,
            "name": "net",
            "flag": True,
            "layers": [16, 32],
            "path": "data",
            "later": 1,
        }
        if self.nested_config:
            assert stored["optimizer"] == nested
        else:
            expected |= {f"optimizer/{key}": value for key, value in nested.items()}
        for key, value in expected.items():
            assert _same(stored[key], value), (key, stored[key])
        assert "nothing" in stored

    def test_long_hyperparameters(self, tmp_path: Path) -> None:
        """250 hyperparameters are stored, and one of 10,000 characters keeps at least its beginning."""
        tracker = self.make(tmp_path)
        tracker.start()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AccelTrackWarning)
            tracker.store_init_configuration({f"p{i}": i for i in range(250)} | {"long": "x" * 10_000})
        tracker.log({"loss": 0.5}, step=0)
        tracker.finish()
        stored = self.read(tmp_path).config
        assert all(_same(stored[f"p{i}"], i) for i in range(250))
        assert str(stored["long"]).startswith("x" * 100)

    def test_the_callers_dictionaries_stay_as_they_were(self, tmp_path: Path) -> None:
        """Neither values nor configuration are changed."""
        values: dict[str, Any] = {"a": 1.0, "inner": {"b": np.float32(2)}, "text": "t"}
        config: dict[str, Any] = {"lr": 0.1, "inner": {"list": [1, 2]}, "long": "x" * 10_000}
        tracker = self.make(tmp_path)
        tracker.start()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AccelTrackWarning)
            tracker.store_init_configuration(config)
            tracker.log(values, step=0)
        tracker.finish()
        assert values == {"a": 1.0, "inner": {"b": np.float32(2)}, "text": "t"}
        assert isinstance(values["inner"]["b"], np.float32)
        assert config == {"lr": 0.1, "inner": {"list": [1, 2]}, "long": "x" * 10_000}

    def test_starting_and_finishing_twice(self, tmp_path: Path) -> None:
        """A second start opens no second run; a second finish does nothing."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.start()
        tracker.log({"loss": 0.5}, step=0)
        tracker.finish()
        tracker.finish()
        stored = self.read(tmp_path)
        assert stored.runs == 1
        assert self.points(stored, "loss") == [(0, 0.5)]

    def test_off_the_main_process_nothing_happens(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """On rank 1 a `main_process_only` tracker does nothing and its native object accepts everything."""
        if not self.tracker_class.main_process_only:
            assert self.tracker_class.name in {"wandb", "swanlab", "trackio"}
            return
        monkeypatch.setenv("RANK", "1")
        tracker = self.make(tmp_path)
        before = sorted(tmp_path.rglob("*"))
        tracker.start()
        tracker.store_init_configuration({"lr": 0.1})
        tracker.log({"loss": 0.5}, step=0)
        tracker.tracker.config.update({"a": 1})
        tracker.finish()
        assert sorted(tmp_path.rglob("*")) == before

    def test_through_the_front_door(self, tmp_path: Path) -> None:
        """Given by name, the tracker stores under the project's name what the facade logs."""
        accelerator = Accelerator(log_with=self.tracker_class.name, project_dir=tmp_path, cpu=True)
        kwargs = {self.tracker_class.name: self.init_kwargs(tmp_path)}
        accelerator.init_trackers("digits", config={"lr": 0.1}, init_kwargs=kwargs)
        accelerator.log({"loss": np.float32(0.5)}, step=1)
        assert accelerator.get_tracker(self.tracker_class.name, unwrap=True) is not None
        accelerator.end_training()
        stored = self.read(tmp_path)
        assert self.points(stored, "loss") == [(1, 0.5)]
        assert _same(stored.config["lr"], 0.1)
        assert stored.project == "digits"

    def test_project_and_run_name(self, tmp_path: Path) -> None:
        """A front door's project and run name are the backend's."""
        tracker = self.tracker_class.for_run("digits", "version_3", tmp_path, self.init_kwargs(tmp_path))
        tracker.start()
        tracker.log({"loss": 0.5}, step=0)
        tracker.finish()
        stored = self.read(tmp_path)
        assert (stored.project, stored.run_name) == ("digits", "version_3")

    def test_a_forgotten_end_loses_nothing(self, tmp_path: Path) -> None:
        """A program that ends, or fails, without `end_training` leaves a complete run."""
        name = self.tracker_class.name
        kwargs = {key: value for key, value in self.init_kwargs(tmp_path).items() if type(value) in (bool, int, str)}
        code = (
            "from accel_track import Accelerator\n"
            f"accelerator = Accelerator(log_with={name!r}, project_dir={str(tmp_path)!r}, cpu=True)\n"
            f"accelerator.init_trackers('digits', config={{'lr': 0.25}}, init_kwargs={{{name!r}: {kwargs!r}}})\n"
            "for step in range(5):\n    accelerator.log({'loss': 0.5 * step}, step=step)\n"
            "raise SystemExit(3)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 3, done.stderr
        assert "Traceback" not in done.stderr
        stored = self.read(tmp_path)
        assert self.points(stored, "loss") == [(step, 0.5 * step) for step in range(5)]
        assert _same(stored.config["lr"], 0.25)

    def test_fit_and_test_of_a_trainer_are_one_run(self, tmp_path: Path) -> None:
        """Under Lightning's Trainer, metrics of all stages and hyperparameters reach one run; nothing is dropped."""
        name = self.tracker_class.name
        kwargs = {name: self.init_kwargs(tmp_path)}
        logger = AccelTrackLogger(name, name="digits", version="first", save_dir=tmp_path, init_kwargs=kwargs)
        trainer = Trainer(
            max_epochs=1,
            limit_val_batches=2,
            log_every_n_steps=2,
            logger=logger,
            accelerator="cpu",
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        module = _Module()
        with warnings.catch_warnings():
            warnings.simplefilter("error", AccelTrackWarning)
            trainer.fit(module, _batches(), _batches())
            trainer.test(module, _batches(), verbose=False)
            logger.finish()
        stored = self.read(tmp_path)
        assert (stored.project, stored.run_name, stored.runs) == ("digits", "first", 1)
        assert [step for step, _ in self.points(stored, "loss")] == [1, 3, 5, 7]
        assert [step for step, _ in self.points(stored, "val/loss")] == [7]
        assert self.points(stored, "late") == [(7, 3.0)]
        assert self.points(stored, "final") == [(8, 5.0)]
        assert _same(stored.config["lr"], 0.25)
        assert _same(stored.config["layers"], [1, 2])

    @pytest.mark.parametrize(
        ("shape", "size"),
        [((8, 6), (8, 6)), ((8, 6, 3), (8, 6)), ((3, 8, 6), (8, 6)), ((1, 8, 6), (8, 6))],
        ids=["HW", "HWC", "CHW", "1HW"],
    )
    def test_images(self, tmp_path: Path, shape: tuple[int, ...], size: tuple[int, int]) -> None:
        """One image or a list of images, channels first or last, arrays or tensors, is stored as images."""
        if not hasattr(self.tracker_class, "log_images"):
            pytest.skip(f"{self.tracker_class.name} has no log_images")
        pixels = np.linspace(0, 1, math.prod(shape), dtype=np.float32).reshape(shape)
        tracker: Any = self.make(tmp_path)
        tracker.start()
        tracker.log_images({"single": pixels, "several": [pixels, torch.from_numpy(pixels)]}, step=0)
        tracker.log({"loss": 0.5}, step=0)
        tracker.finish()
        stored = self.read(tmp_path)
        assert stored.images["single"] == [size]
        assert stored.images["several"] == [size, size]

    def test_tables(self, tmp_path: Path) -> None:
        """A table given as columns and rows, or as a data frame, is stored."""
        pandas = pytest.importorskip("pandas")
        if not hasattr(self.tracker_class, "log_table"):
            pytest.skip(f"{self.tracker_class.name} has no log_table")
        tracker: Any = self.make(tmp_path)
        tracker.start()
        tracker.log_table("rows", columns=["a", "b"], data=[[1, "x"], [2, "y"]], step=0)
        tracker.log_table("frame", dataframe=pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]}), step=0)
        tracker.finish()
        stored = self.read(tmp_path).tables
        for name in ("rows", "frame"):
            assert [[str(cell) for cell in row] for row in stored[name]] == [["1", "x"], ["2", "y"]], name


class _Module(LightningModule):
    def __init__(self, lr: float = 0.25, layers: tuple[int, ...] = (1, 2)) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        loss: torch.Tensor = self.layer(batch[0]).square().mean()
        self.log("loss", loss)
        return loss

    def on_train_epoch_end(self) -> None:
        self.log("late", 3.0)

    def validation_step(self, batch: list[torch.Tensor]) -> None:
        self.log("val/loss", self.layer(batch[0]).square().mean())

    def test_step(self, batch: list[torch.Tensor]) -> None:
        self.log("final", 5.0)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


def _batches() -> DataLoader[Any]:
    """Return 8 batches of one sample: training steps 0 to 7."""
    return DataLoader(TensorDataset(torch.linspace(0, 1, 8)[:, None]), batch_size=1)


def _same(stored: Any, given: Any) -> bool:
    """Compare hyperparameters: numbers as numbers, the rest as text without quotes, which is all that many store."""
    if isinstance(stored, (int, float)) and isinstance(given, (int, float)):
        return float(stored) == float(given)
    texts = [str(value).replace("'", '"').replace(" ", "").strip('"').lower() for value in (stored, given)]
    return texts[0] == texts[1]
