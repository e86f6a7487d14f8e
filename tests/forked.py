"""Processes of tests that are killed, paused or crash: real ones, forked from a server that has imported the product already.

A fresh interpreter spends two seconds of processor time on imports; some 150 children of the suite are begun this way instead. The
server never opens a connection, never starts a thread and reads no settings: a child gets its own environment, arguments and streams.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]
PRELOADED = ("metaloom.app", "metaloom.cli", "metaloom.command", "metaloom.job", "metaloom.plugin.registry", "metaloom.schema_change",
             "metaloom.storage", "metaloom.worker", "alembic.operations", "psycopg", "pytest", "redis", "sqlalchemy.dialects.postgresql",
             "sqlalchemy.dialects.sqlite")  # fmt: skip
_MESSAGE = 1 << 20
KILLED_SECONDS = 10.0               # a killed child is gone long before
_server: tuple[int, socket.socket] | None = None


class Forked:
    """One child, used like ``subprocess.Popen(..., text=True)`` with pipes for its input and output; its errors go to a file."""

    def __init__(self, script: str, *words: object, env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> None:
        own_in, self.stdin = _pipe("w")
        own_out, self.stdout = _pipe("r")
        self._status, own_status = os.pipe()
        self.stderr: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 (lives as long as the child)
        order = {"script": script, "words": [str(word) for word in words], "env": dict(os.environ if env is None else env), "cwd": str(cwd)}
        handed = [own_in, own_out, os.dup(self.stderr.fileno()), own_status]
        try:
            socket.send_fds(_running(), [json.dumps(order).encode()], handed)
        finally:
            for number in handed:
                os.close(number)
        self.returncode: int | None = None
        self.pid = self._told()

    def _told(self) -> int:
        """A number that its minder sends."""
        line = b""
        while not line.endswith(b"\n"):
            read = os.read(self._status, 1)
            assert read, "the server of forked processes is gone"
            line += read
        return int(line)

    def poll(self) -> int | None:
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """TimeoutExpired as of a Popen."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("forked", timeout or 0)
        return code

    def _ended(self, seconds: float | None) -> int | None:
        if self.returncode is None and self._status >= 0 and select.select([self._status], [], [], seconds)[0]:
            try:
                self.returncode = self._told()
            finally:
                self._close()
        return self.returncode

    def _close(self) -> None:
        number, self._status = self._status, -1
        if number >= 0:
            os.close(number)

    def __del__(self) -> None:
        if hasattr(self, "_status"):
            self._close()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """And waits until it is gone."""
        self.send_signal(signal.SIGKILL)
        self._ended(KILLED_SECONDS)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def errors(self) -> str:
        """What it has said on its error stream so far."""
        self.stderr.seek(0)
        return self.stderr.read()


def run(script: str, *words: object, env: Mapping[str, str] | None = None, cwd: Path = ROOT, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """A child to its end, its streams caught. TimeoutExpired, and the child is killed, when that takes longer than ``timeout`` seconds."""
    child, late = Forked(script, *words, env=env, cwd=cwd), threading.Event()

    def stop() -> None:
        late.set()
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)

    timer = threading.Timer(timeout, stop)
    timer.daemon = True
    timer.start()
    try:
        child.stdin.close()
        said = child.stdout.read()
        child.wait()
    finally:
        timer.cancel()
        timer.join()
        child.kill()
    if late.is_set():
        raise subprocess.TimeoutExpired("forked", timeout, said)
    return subprocess.CompletedProcess(["forked", *map(str, words)], child.returncode or 0, said, child.errors())


def _pipe(mine: str) -> tuple[int, IO[str]]:
    """The child's end, and this process's as a text stream that reads (r) or writes (w)."""
    reading, writing = os.pipe()
    return (reading, os.fdopen(writing, "w", encoding="utf-8")) if mine == "w" else (writing, os.fdopen(reading, "r", encoding="utf-8"))


def _running() -> socket.socket:
    global _server
    if _server is None or _server[0] != os.getpid():
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        subprocess.Popen([sys.executable, "-m", "tests.forked", str(there.fileno())], cwd=ROOT, pass_fds=[there.fileno()], stdin=subprocess.DEVNULL,
                         env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
        there.close()
        _server = (os.getpid(), here)
    return _server[1]


def serve(door: socket.socket) -> None:
    """Until the test process is gone. Each child has a minder of its own, which tells its number and how it ended."""
    from importlib import import_module

    from metaloom.base import heap

    heap.calm()
    for name in PRELOADED:
        import_module(name)
    import_module("metaloom.plugin.registry").load()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, handed, *_ = socket.recv_fds(door, _MESSAGE, 4)
        if not message:
            return
        if os.fork() == 0:
            door.close()
            _mind(json.loads(message), handed)
        for number in handed:
            os.close(number)


def _mind(order: dict[str, Any], handed: list[int]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *streams, status = handed
    child = os.fork()
    if child == 0:
        os.close(status)
        os._exit(_carry_out(order, streams))
    for number in streams:
        os.close(number)
    os.write(status, f"{child}\n".encode())
    _, how = os.waitpid(child, 0)
    os.write(status, f"{os.waitstatus_to_exitcode(how)}\n".encode())
    os._exit(0)


def _carry_out(order: dict[str, Any], streams: list[int]) -> int:
    """The script as ``python -c`` runs it, with the exit code that it would have."""
    import traceback

    for place, number in enumerate(streams):
        os.dup2(number, place)
        os.close(number)
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    sys.argv = ["-c", *order["words"]]
    code = 0
    try:
        exec(compile(order["script"], "<forked>", "exec"), {"__name__": "__main__"})
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return code


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
