"""A Redis of a test's own, on a port of its own, that may be killed, stopped and started again."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import redis

from tests.conftest import require


class RedisServer:
    """Runs as long as its ``with`` lasts; skips the test where no redis-server is installed."""

    def __init__(self, folder: Path) -> None:
        require("redis-server", shutil.which("redis-server") is not None)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._folder = folder
        self.start()

    def __enter__(self) -> RedisServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Empty, as whoever keeps nothing on disk comes back."""
        self._process = subprocess.Popen(["redis-server", "--port", str(self.port), "--save", "", "--appendonly", "no", "--dir", str(self._folder)],
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        for _ in range(400):
            if self._answers():
                return
            time.sleep(0.05)
        raise AssertionError("redis-server does not answer")

    def _answers(self) -> bool:
        with suppress(redis.RedisError):
            return bool(redis.Redis.from_url(self.url).ping())
        return False

    def send(self, number: signal.Signals) -> None:
        """SIGKILL: it is gone; SIGSTOP: it takes connections and never answers."""
        self._process.send_signal(number)
        if number == signal.SIGKILL:
            self._process.wait()

    def kill(self) -> None:
        self.send(signal.SIGKILL)
