"""What one `log` of 10 scalars costs the calling thread, with 0, 1 and 9 trackers attached.

    python benchmarks/log_call.py [--calls 20000] [--pause 0] [--real]

Cases take turns in one process for each round, so that what else the machine does hits all of them. Besides, the floor
(`os.write` of one encoded record) and `SummaryWriter.add_scalar` called directly, for the ratios. Trackers take what
they are given and do nothing with it; with `--real` they are the nine backends in their local modes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

VALUES = {f"train/metric_{index}": index / 7 for index in range(10)}
CASES = ("os.write", "none", "0 trackers", "1 tracker", "9 trackers", "SummaryWriter")


def measure(call: Callable[[int], object], calls: int, pause: float) -> tuple[float, float]:
    """Return the median and the 99 % point of a call's time, in µs."""
    for step in range(200):
        call(step)
    times = []
    for step in range(calls):
        begin = time.perf_counter_ns()
        call(step)
        times.append(time.perf_counter_ns() - begin)
        if pause:
            time.sleep(pause)
    times.sort()
    return times[len(times) // 2] / 1000, times[int(len(times) * 0.99)] / 1000


def case(name: str, calls: int, pause: float, real: bool, folder: str) -> tuple[float, float]:
    """Run one case in this process."""
    if name == "os.write":
        from accel_track.records import Metrics, encode

        data, _ = encode(Metrics(0, time.time(), VALUES, 0))
        file = os.open(os.path.join(folder, "floor"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        return measure(lambda _: os.write(file, data), calls, pause)
    if name == "SummaryWriter":
        from torch.utils.tensorboard import SummaryWriter

        writer = SummaryWriter(folder)

        def add(step: int) -> None:
            for key, value in VALUES.items():
                writer.add_scalar(key, value, step)

        return measure(add, min(calls, 3000), pause)

    from accel_track import Accelerator, GeneralTracker

    class Nothing(GeneralTracker):
        requires_logging_directory = False
        tracker = None

        def __init__(self, number: int) -> None:
            self.name = f"nothing-{number}"
            super().__init__()

    count = int(name.partition(" ")[0]) if name != "none" else 0
    log_with = ("all" if count == 9 else ["tensorboard"][:count]) if real else [Nothing(i) for i in range(count)]  # noqa: PLR2004
    accelerator = Accelerator(
        log_with=log_with,
        project_dir=folder,
        cpu=True,
        delivery="none" if name == "none" else "thread",
        finish_timeout=0,
    )
    accelerator.init_trackers("benchmark")
    found = measure(lambda step: accelerator.log(VALUES, step=step), calls, pause)
    os._exit(print(*found, flush=True) or 0)  # what is not delivered is of no interest


def main() -> None:
    """Take turns, and show medians over the rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between two calls")
    parser.add_argument("--real", action="store_true", help="the nine backends in their local modes")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        if arguments.case:
            print(*case(arguments.case, arguments.calls, arguments.pause, arguments.real, folder))
            return
        results: dict[str, list[tuple[float, float]]] = {name: [] for name in CASES}
        for round_number in range(arguments.rounds):
            for name in CASES:
                own = Path(folder, f"{name}-{round_number}")
                own.mkdir()
                command = [sys.executable, __file__, "--case", name, "--calls", str(arguments.calls)]
                command += ["--pause", str(arguments.pause), *(["--real"] if arguments.real else [])]
                done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=own, env=offline(own))  # noqa: S603
                median, p99 = map(float, done.stdout.split()[-2:])
                results[name].append((median, p99))
    floor = statistics.median(median for median, _ in results["os.write"])
    print(f"{'case':<14} {'median µs':>10} {'99 % µs':>10} {'x os.write':>11}")
    for name, found in results.items():
        median = statistics.median(one for one, _ in found)
        p99 = statistics.median(one for _, one in found)
        print(f"{name:<14} {median:>10.2f} {p99:>10.1f} {median / floor:>11.1f}")


def offline(home: Path) -> dict[str, str]:
    """Return an environment in which no backend asks for a network."""
    modes = {
        "WANDB_MODE": "offline",
        "WANDB_ERROR_REPORTING": "false",
        "COMET_START_ONLINE": "0",
        "COMET_AUTO_LOG_ENV_DETAILS": "false",
        "COMET_ERROR_TRACKING_ENABLE": "false",
        "CLEARML_OFFLINE_MODE": "1",
        "SWANLAB_MODE": "offline",
        "HF_HUB_OFFLINE": "1",
        "DVC_NO_ANALYTICS": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    return {**os.environ, **modes, "HOME": str(home), "TRACKIO_DIR": str(home), "CLEARML_CACHE_DIR": str(home)}


if __name__ == "__main__":
    main()
