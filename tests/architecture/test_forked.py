"""Children that hang: they are ended in time, and leave no open file behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tests import forked

COUNTS = """
import gc, os
from tests import forked

def own():
    return {name: os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")}

forked.run("pass")
gc.collect()
before = own()
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
left = {name: what for name, what in own().items() if before.get(name) != what}
print(left or "none")
"""


def test_a_child_that_hangs_is_killed_when_its_time_is_up() -> None:
    started = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        forked.run("import time; print('here', flush=True); time.sleep(300)", timeout=0.5)
    assert time.monotonic() - started < 60
    assert forked.run("print('done')", timeout=60).stdout == "done\n"


def test_a_child_that_is_killed_or_forgotten_leaves_no_file_open() -> None:
    """Looked at in a process of its own: in this one other tests' threads and connections open and close files, too."""
    told = subprocess.run([sys.executable, "-c", COUNTS], cwd=forked.ROOT, env={**os.environ, "PYTHONPATH": str(forked.ROOT)},
                          capture_output=True, text=True, timeout=240)
    assert told.stdout == "none\n", told.stdout + told.stderr
