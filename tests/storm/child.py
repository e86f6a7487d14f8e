"""Work in a process of its own that may be killed: forked from this one, with nothing of its connections."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from metaloom.base import crash


@dataclass(frozen=True)
class Ended:
    """How a child ended: ``killed`` by SIGKILL; else its ``answer``, or the ``fault`` that it raised in words."""

    killed: bool
    answer: Any
    fault: str


class Child:
    """A child that runs; ``end`` waits for it."""

    def __init__(self, work: Callable[[], Any]) -> None:
        reading, writing = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reading)
            _carry_out(work, writing)
        os.close(writing)
        self._reading = reading
        self._ended: Ended | None = None

    def end(self) -> Ended:
        if self._ended is None:
            with os.fdopen(self._reading, "rb") as said:
                word = said.read()
            _, status = os.waitpid(self.pid, 0)
            killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
            answer, fault = pickle.loads(word) if word else (None, "" if killed else f"ended without a word: {status}")  # noqa: S301 (our own child)
            self._ended = Ended(killed, answer, fault)
        return self._ended

    def stop(self) -> None:
        """At once, if it still runs."""
        if self._ended is None:
            os.kill(self.pid, signal.SIGKILL)
            self.end()


def in_child(work: Callable[[], Any]) -> Ended:
    return Child(work).end()


def answer_of(work: Callable[[], Any]) -> Any:
    """What the work gives in a child; AssertionError with its words when it fails there."""
    ended = in_child(work)
    assert not ended.killed and not ended.fault, ended.fault or "the child was killed"
    return ended.answer


def _carry_out(work: Callable[[], Any], writing: int) -> None:
    crash.WATCHERS.clear()
    answer, fault = None, ""
    try:
        answer = work()
    except BaseException:  # noqa: BLE001 - told to the parent
        fault = traceback.format_exc()
    try:
        with os.fdopen(writing, "wb") as door:
            pickle.dump((answer, fault), door)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
