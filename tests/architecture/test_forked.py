"""Children that hang: they are ended in time, and leave no open file behind."""

from __future__ import annotations

import gc
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests import forked


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_child_that_hangs_is_killed_when_its_time_is_up() -> None:
    started = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        forked.run("import time; print('here', flush=True); time.sleep(300)", timeout=0.5)
    assert time.monotonic() - started < 60
    assert forked.run("print('done')", timeout=20).stdout == "done\n"


def test_a_child_that_is_killed_or_forgotten_leaves_no_file_open() -> None:
    forked.run("pass")
    before = open_files()
    for _ in range(3):
        child = forked.Forked("import time; time.sleep(20)")
        child.kill()
        assert child.wait(5) == -9
        child.kill()
        lost = forked.Forked("import sys; sys.stdin.read()")
        os.kill(lost.pid, 9)
        for stream in (child.stdin, child.stdout, child.stderr, lost.stdin, lost.stdout, lost.stderr):
            stream.close()
        del child, lost
    gc.collect()
    assert open_files() == before
