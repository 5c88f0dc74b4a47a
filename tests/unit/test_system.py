"""What a machine is doing: the real one, and a stand-in for NVML, since no test machine has its driver."""

import subprocess
import sys
from collections import namedtuple
from types import SimpleNamespace

import psutil
import pytest

from accel_track.monitors.machine import SystemMetrics

MACHINE = {"system/memory_percent", "system/process_memory_gb", "system/disk_percent"}


class StandInNVML:
    """The functions of `pynvml` that are used, with GPUs by index and by UUID."""

    NVML_TEMPERATURE_GPU = 0

    def __init__(self, gpus=2, driver=True, silent=()):
        self.gpus, self.driver, self.silent = gpus, driver, silent

    def nvmlInit(self):  # noqa: N802
        if not self.driver:
            raise RuntimeError("NVML Shared Library Not Found")

    def nvmlDeviceGetCount(self):  # noqa: N802
        return self.gpus

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        if index >= self.gpus:
            raise RuntimeError("Invalid Argument")
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid):  # noqa: N802
        return {"GPU-five": 5}[uuid]

    def nvmlDeviceGetUtilizationRates(self, gpu):  # noqa: N802
        return SimpleNamespace(gpu=10 + gpu, memory=99)

    def nvmlDeviceGetMemoryInfo(self, gpu):  # noqa: N802
        return SimpleNamespace(used=(gpu + 1) * 2**30, total=8 * 2**30)

    def nvmlDeviceGetTemperature(self, gpu, sensor):  # noqa: N802
        if "temperature" in self.silent:
            raise RuntimeError("Not Supported")
        return 40 + gpu + sensor

    def nvmlDeviceGetPowerUsage(self, gpu):  # noqa: N802
        return 70_500 + gpu


def gpus(monkeypatch, nvml, visible=None):
    """Return the samples of GPUs, with a module of NVML's and the variable that tells the visible ones."""
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    return {name: value for name, value in SystemMetrics().sample().items() if name.startswith("system/gpu")}


# -- the machine ------------------------------------------------------------------------------------------------------


def test_what_is_measured_on_every_machine():
    metrics = SystemMetrics()
    values = metrics.sample()
    while "system/cpu_percent" not in values:  # the kernel counts in hundredths of a second
        values = metrics.sample()
    assert {name for name in values if not name.startswith("system/gpu")} == {"system/cpu_percent"} | MACHINE
    assert all(type(value) is float for value in values.values())
    assert all(0 <= value <= 100 for name, value in values.items() if name.endswith("percent"))
    assert 0.001 < values["system/process_memory_gb"] < psutil.virtual_memory().total / 1e9


def test_the_share_of_busy_time_is_that_between_two_samples(monkeypatch):
    def times(**seconds):
        kernel = namedtuple("Times", seconds)(**seconds)
        monkeypatch.setattr(psutil, "cpu_times", lambda: kernel)

    times(user=100.0, idle=1000.0)
    metrics = SystemMetrics()
    assert "system/cpu_percent" not in metrics.sample()
    times(user=103.0, idle=1001.0)
    assert metrics.sample()["system/cpu_percent"] == pytest.approx(75)
    times(user=103.0, idle=1005.0)
    assert metrics.sample()["system/cpu_percent"] == pytest.approx(0)
    times(user=106.0, idle=1005.0, iowait=1.0, guest=3.0, guest_nice=0.0)  # `user` includes guests
    assert metrics.sample()["system/cpu_percent"] == pytest.approx(75)


def test_memory_of_children_counts():
    before = SystemMetrics().sample()["system/process_memory_gb"]
    code = "import sys; kept = b'x' * 300_000_000; print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        with_child = SystemMetrics().sample()["system/process_memory_gb"]
        child.communicate()
    assert 0.29 < with_child - before < 0.5
    assert SystemMetrics().sample()["system/process_memory_gb"] < before + 0.1


def test_a_child_that_ends_meanwhile_does_no_harm(monkeypatch):
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        ended = psutil.Process(child.pid)
    monkeypatch.setattr(psutil.Process, "children", lambda *_, **__: [ended])
    assert SystemMetrics().sample()["system/process_memory_gb"] > 0


def test_the_disk_is_that_of_the_folder(tmp_path):
    usage = psutil.disk_usage(str(tmp_path)).percent
    assert SystemMetrics(tmp_path).sample()["system/disk_percent"] == pytest.approx(usage, abs=5)
    gone = SystemMetrics(tmp_path / "gone").sample()
    assert {name for name in gone if name in MACHINE} == MACHINE - {"system/disk_percent"}


def test_what_cannot_be_read_is_left_out(monkeypatch):
    def broken(*_):
        raise OSError("no /proc")

    for name in ("cpu_times", "virtual_memory", "disk_usage", "Process"):
        monkeypatch.setattr(psutil, name, broken)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert SystemMetrics().sample() == {}


# -- GPUs -------------------------------------------------------------------------------------------------------------


def test_what_is_measured_of_each_gpu(monkeypatch):
    assert gpus(monkeypatch, StandInNVML()) == {
        "system/gpu0/utilization_percent": 10,
        "system/gpu0/memory_percent": 12.5,
        "system/gpu0/temperature_celsius": 40,
        "system/gpu0/power_watts": 70.5,
        "system/gpu1/utilization_percent": 11,
        "system/gpu1/memory_percent": 25,
        "system/gpu1/temperature_celsius": 41,
        "system/gpu1/power_watts": 70.501,
    }


@pytest.mark.parametrize(
    ("visible", "expected"),
    [("1", [11]), ("3,1", [13, 11]), (" 1 , GPU-five", [11, 15]), ("", []), ("-1", []), ("9", []), ("GPU-none", [])],
)
def test_only_the_gpus_that_the_program_may_use_in_its_order(monkeypatch, visible, expected):
    values = gpus(monkeypatch, StandInNVML(gpus=4), visible)
    found = {name: value for name, value in values.items() if name.endswith("utilization_percent")}
    assert found == {f"system/gpu{index}/utilization_percent": value for index, value in enumerate(expected)}


def test_a_gpu_that_cannot_tell_something(monkeypatch):
    values = gpus(monkeypatch, StandInNVML(gpus=1, silent={"temperature"}))
    assert set(values) == {
        "system/gpu0/utilization_percent",
        "system/gpu0/memory_percent",
        "system/gpu0/power_watts",
    }


@pytest.mark.parametrize("nvml", [None, StandInNVML(driver=False)])
def test_no_gpus_without_the_package_or_the_driver(monkeypatch, nvml):
    assert gpus(monkeypatch, nvml) == {}


def test_the_real_nvml_where_there_is_no_driver(monkeypatch):
    nvml = pytest.importorskip("pynvml")
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        assert gpus(monkeypatch, nvml) == {}
    else:
        assert "system/gpu0/utilization_percent" in gpus(monkeypatch, nvml)


def test_importing_it_imports_no_torch():
    code = "import sys, accel_track.monitors.machine; print({'torch', 'lightning', 'pynvml'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set()"
