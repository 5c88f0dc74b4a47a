"""Log some steps, then end, or not, in the way that the first argument names."""

import ctypes
import os
import signal
import sys
import threading
import time

import accel_track
from accel_track.delivery.keeper import keeper

how = sys.argv[1]
keeper._interval = 0.05
keeper.soon(lambda: None)
if how == "oom":
    with open(f"{sys.argv[2]}/cgroup.procs", "w") as group:
        group.write(str(os.getpid()))

delivery = {"exit3": "process", "witnessed": "process"}.get(how, "thread")
tracker = "jsonl" if delivery == "process" else None
run = accel_track.init(
    "p",
    tracker,
    config={"lr": 0.1},
    delivery=delivery,
    stall_after=0.2 if how in ("hang", "killed_hang", "gil") else 60,
)
for step in range(10):
    run.log({"loss": float("nan") if how == "nan" and step > 6 else 1 / (step + 1)}, step=step)
    time.sleep(0.002)


def deadlocked(lock: threading.Lock) -> None:
    lock.acquire()


def broken() -> None:
    raise ValueError("\x1b[31mno </script> api_key=hunter2secret")


if how in ("exit3", "witnessed"):
    while not list(run.run_directory.rank(0).glob("companion.json")):
        time.sleep(0.01)
    time.sleep(0.1)
if how == "segv":
    ctypes.string_at(0)
elif how == "abort":
    os.abort()
elif how == "exit3":
    sys.exit(3)
elif how in ("kill", "witnessed"):
    os.kill(os.getpid(), signal.SIGKILL)
elif how == "raise":
    broken()
elif how == "full":
    with open("/dev/full", "w") as file:
        file.write("x" * 100_000)
elif how == "exit_in_block":
    with run:
        sys.exit(3)
elif how == "sigterm":
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
elif how == "interrupt":
    signal.raise_signal(signal.SIGINT)
elif how == "thread":
    thread = threading.Thread(target=broken, name="loader")
    thread.start()
    thread.join()
    os._exit(0)
elif how in ("hang", "killed_hang"):
    print("hangs", flush=True)
    lock = threading.Lock()
    lock.acquire()
    deadlocked(lock)
elif how == "gil":
    print("hangs", flush=True)
    ctypes.PyDLL(None).sleep(60)  # with the interpreter's lock held
elif how == "waits":
    print("hangs", flush=True)
    time.sleep(60)
elif how == "oom":
    run.flush()
    time.sleep(0.1)
    kept = []
    while True:
        kept.append(b"x" * 1_000_000)
elif how == "child":
    pid = os.fork()
    if pid == 0:
        ctypes.string_at(0)
    os.waitpid(pid, 0)
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGKILL)
