"""Warm starts: Python programs that find heavy packages imported, forked from a process that has nothing else to do.

Importing torch, Lightning and MLflow takes seconds of a processor, and many tests start programs of their own. What is
started here is a process like any other: with its own environment, folder, arguments, signals and exit, and it can be
killed. Where coverage is measured, it begins behind the imports, which it makes twice as long.
"""

import contextlib
import functools
import gc
import importlib
import json
import os
import random
import runpy
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import types
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

ROOT = Path(__file__).parents[2]
_LONGEST = 100_000
_PREFIXES = ("SLURM_", "TORCH_", "PL_", "CUDA_", "PYTHON", "LD_", "OMP_")
"""Begins of variables that something reads while it is imported."""
_PASSED = ("PYTHONPATH", "PYTHONUNBUFFERED")
NOT_MEASURED = {"COVERAGE_PROCESS_CONFIG": ""}
"""Environment of a program that forks: coverage's tracer takes a lock, with which a child that is forked meanwhile hangs."""
coverage: dict[str, str] = {}
"""Environment of a program whose own programs are measured, too."""


def keep_coverage() -> None:
    """Take what starts coverage in every program out of the environment, for warm programs only."""
    found = {name: os.environ.pop(name, "") for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")}
    coverage.update((name, value) for name, value in found.items() if value)


class Popen(subprocess.Popen[str]):
    """`subprocess.Popen` for `[sys.executable, "-W", "ignore", script or "-c" or "-m", …]`, forked from the warm process.

    Where the environment has what is read at an import, the program is started as it always is.
    """

    _status: socket.socket | None = None

    def _execute_child(self, *arguments: Any) -> None:  # type: ignore[override]
        command, cwd, env, session = list(arguments[0]), arguments[5], arguments[6], arguments[21]
        variables = dict(os.environ if env is None else env)
        if not hasattr(os, "pidfd_open") or _read_at_import(variables) != _read_at_import(os.environ):
            super()._execute_child(*arguments)  # type: ignore[misc]
            return
        p2cread, _, _, c2pwrite, _, errwrite = arguments[10:16]
        null = os.open(os.devnull, os.O_RDWR)
        files = [null if file == -1 else file for file in (p2cread, c2pwrite, errwrite)]
        request = {"command": command[1:], "cwd": os.fspath(cwd or os.getcwd()), "env": variables, "session": session}
        request["coverage"] = {} if NOT_MEASURED.items() <= variables.items() else coverage
        self._status = _connected(_server())
        socket.send_fds(self._status, [json.dumps(request).encode()], files)
        self.pid = int(self._status.recv(_LONGEST))
        self._child_created = True
        for file in {null, p2cread, c2pwrite, errwrite} - {-1}:
            os.close(file)

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        if self._status is None:
            return super()._internal_poll(*_, **__)  # type: ignore[misc, no-any-return]
        return self._ended(0.0)

    def _wait(self, timeout: float | None) -> int:
        if self._status is None:
            return super()._wait(timeout)  # type: ignore[misc, no-any-return]
        if self._ended(timeout) is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        assert self.returncode is not None
        return self.returncode

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and self._status is not None:
            self._status.settimeout(timeout)
            try:
                answer = self._status.recv(_LONGEST)
            except (TimeoutError, BlockingIOError):
                return None
            self._status.close()
            self.returncode = os.waitstatus_to_exitcode(int(answer))
        return self.returncode


def run(
    command: Sequence[str], *, timeout: float, check: bool = False, **arguments: Any
) -> "subprocess.CompletedProcess[str]":
    """Do as `subprocess.run(…, capture_output=True, text=True)` does."""
    pipe = subprocess.PIPE
    with Popen(command, stdout=pipe, stderr=pipe, text=True, **arguments) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(command, process.returncode, output, errors)
    if check:
        done.check_returncode()
    return done


def _read_at_import(variables: Any) -> dict[str, str]:
    return {name: value for name, value in variables.items() if name.startswith(_PREFIXES) and name not in _PASSED}


def _connected(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(path)
    return connection


@functools.lru_cache(1)
def _server() -> str:
    """Return the address of the warm process, which the first that needs it starts for all processes of a test run.

    It ends with the process that began the test run: pytest-xdist's workers have it as their parent.
    """
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    owner = os.getpid() if run is None else os.getppid()
    folder = os.path.join(tempfile.gettempdir(), f"accel_track-warm-{owner}-{run}")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = os.path.join(folder, "socket")
    with FileLock(os.path.join(folder, "lock")):
        if not os.path.exists(path):
            ready, write = os.pipe()
            command = [sys.executable, __file__, path, str(write), str(owner)]
            server = subprocess.Popen(command, cwd=ROOT, pass_fds=(write,), stdin=subprocess.DEVNULL)
            server.returncode = 0  # nobody waits for it: else Python warns that it is still there
            os.close(write)
            assert os.read(ready, 1) == b"!", "the warm process did not start"
            os.close(ready)
    return path


# -- the warm process -----------------------------------------------------------------------------------------------------


def serve(path: str, ready: int, owner: int) -> dict[str, Any] | None:
    """Fork a child for each request and tell its end; return the request in the child, and None at the owner's end."""
    alive = os.pidfd_open(owner)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listening.bind(path)
    listening.listen(64)
    os.write(ready, b"!")
    os.close(ready)
    children: dict[int, tuple[int, socket.socket]] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(listening, selectors.EVENT_READ)
        selector.register(alive, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd == alive:
                    return None
                if key.fd in children:
                    pid, connection = children.pop(key.fd)
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    connection.send(str(os.waitpid(pid, 0)[1]).encode())
                    connection.close()
                    continue
                connection, _ = listening.accept()
                content, files, _, _ = socket.recv_fds(connection, _LONGEST, 3)
                pid = os.fork()
                if pid == 0:
                    for file, number in zip(files, range(3), strict=True):
                        os.dup2(file, number)
                    for file in (*files, *children, *(one.fileno() for _, one in children.values()), alive):
                        os.close(file)
                    for one in (connection, listening):
                        one.close()
                    request: dict[str, Any] = json.loads(content)
                    return request
                for file in files:
                    os.close(file)
                child = os.pidfd_open(pid)
                children[child] = pid, connection
                selector.register(child, selectors.EVENT_READ)
                connection.send(str(pid).encode())


def become(request: dict[str, Any]) -> None:
    """Run what was asked for, as Python's own command line does."""
    if request["session"]:
        os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    random.seed()
    rank_zero_only.rank = _get_rank() or 0
    if request["coverage"]:
        from coverage import process_startup

        os.environ.update(request["coverage"])
        process_startup()
        for name in request["coverage"].keys() - request["env"].keys():
            del os.environ[name]
    warnings.resetwarnings()
    command = list(request["command"])
    if command[0] == "-W":
        warnings.simplefilter(command[1])
        command = command[2:]
    added = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    what, *sys.argv = command
    if what in ("-c", "-m"):
        sys.path[:0] = ["" if what == "-c" else os.getcwd(), *added]
        code, *arguments = sys.argv
        if what == "-m":
            sys.argv = [code, *arguments]
            runpy.run_module(code, run_name="__main__", alter_sys=True)
        else:
            sys.argv = ["-c", *arguments]
            main = sys.modules["__main__"] = types.ModuleType("__main__")
            exec(compile(code, "<string>", "exec"), vars(main))
    else:
        sys.argv = command
        sys.path[:0] = [os.path.dirname(os.path.abspath(what)), *added]
        runpy.run_path(what, run_name="__main__")


if __name__ == "__main__":
    sys.path[0] = str(ROOT)

    import lightning.fabric.wrappers  # with torch's compiler, the half of what an Accelerator imports
    from lightning.fabric.utilities.rank_zero import _get_rank, rank_zero_only

    import accel_track.lightning

    assert lightning.fabric.wrappers
    assert accel_track.lightning
    for package in ("mlflow", "accelerate"):
        with contextlib.suppress(ImportError):
            importlib.import_module(package)
    gc.freeze()
    asked = serve(sys.argv[1], *map(int, sys.argv[2:]))
    if asked is None:
        shutil.rmtree(os.path.dirname(sys.argv[1]))
    else:
        sys.path.remove(str(ROOT))
        become(asked)
