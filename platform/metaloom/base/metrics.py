"""Counters and durations of this machine, over all its processes, in the text format that Prometheus reads.

Each process counts in a file of its own that is mapped into memory (``<folder>/<number>.count``), so that whichever process is
asked adds up all of them. The file of a process that ended is added to ``ended.json`` by the next who asks: a counter never falls.
Before ``share`` a process counts for itself alone.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import struct
import threading
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from metaloom.base.held import is_held

# name → (type, help, labels)
KNOWN: Mapping[str, tuple[str, str]] = {
    "metaloom_requests_total": ("counter", "HTTP requests answered, by kind of page, method and class of status"),
    "metaloom_request_seconds": ("histogram", "How long a request took, by kind of page"),
    "metaloom_request_failures_total": ("counter", "Requests answered with 5xx, by kind of page"),
    "metaloom_sql_statements_total": ("counter", "Statements sent to the databases"),
    "metaloom_work_total": ("counter", "Rows of the outbox that workers ran, by kind and outcome"),
    "metaloom_work_seconds": ("histogram", "How long a row of the outbox took, by kind"),
    "metaloom_log_lines_total": ("counter", "Log lines of level warning and above"),
    "metaloom_outbox_rows": ("gauge", "Rows of the outbox by tenant and state; done ones are left out"),
    "metaloom_outbox_oldest_seconds": ("gauge", "How long the oldest due row of the outbox waits"),
    "metaloom_approval_tasks_open": ("gauge", "Approval tasks that wait for somebody"),
    "metaloom_tenant_up": ("gauge", "1 while the tenant's database answers"),
}
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZE = 64 * 1024
_HEAD = struct.Struct("<II")            # used bytes, nothing
_ENTRY = struct.Struct("<I")            # length of the key, which is followed by a double
_VALUE = struct.Struct("<d")


def count(name: str, value: float = 1.0, **labels: str) -> None:
    """Add ``value`` to the counter of these labels."""
    _mine().add(_key(name, labels), value)


def observe(name: str, seconds: float, **labels: str) -> None:
    """Note one duration in the histogram of these labels."""
    mine = _mine()
    mine.add(_key(name + "_sum", labels), seconds)
    mine.add(_key(name + "_count", labels), 1.0)
    bucket = next((str(limit) for limit in BUCKETS if seconds <= limit), "+Inf")
    mine.add(_key(name + "_bucket", {**labels, "le": bucket}), 1.0)


def share(folder: Path) -> None:
    """From now on count where the other processes of this machine see it; they use the same folder."""
    global _folder, _counts
    with _lock:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if _folder != folder:
            _folder, _counts = folder, None


def begin_process() -> None:
    """After a fork: count in a file of one's own, not in that of the parent."""
    global _counts
    with _lock:
        _counts = None


def text(gauges: Iterable[tuple[str, Mapping[str, str], float]] = ()) -> str:
    """Everything that was counted on this machine, and the ``gauges`` given: name, labels, value."""
    values = _all()
    for name, labels, value in gauges:
        values[_key(name, labels)] = value
    lines = []
    for name, (kind, said) in KNOWN.items():
        rows = _histogram(name, values) if kind == "histogram" else _plain(name, values)
        if rows:
            lines += [f"# HELP {name} {said}", f"# TYPE {name} {kind}", *rows]
    return "\n".join(lines) + "\n"


def _plain(name: str, values: Mapping[str, float]) -> list[str]:
    rows = sorted((json.loads(key)[1], value) for key, value in values.items() if json.loads(key)[0] == name)
    return [f"{name}{_labels(labels)} {value:.0f}" if value == int(value) else f"{name}{_labels(labels)} {value:.3f}" for labels, value in rows]


def _histogram(name: str, values: Mapping[str, float]) -> list[str]:
    lines = []
    for key in sorted(key for key in values if json.loads(key)[0] == f"{name}_count"):
        labels = dict(json.loads(key)[1])
        running = 0.0
        for limit in (*map(str, BUCKETS), "+Inf"):
            running += values.get(_key(f"{name}_bucket", {**labels, "le": limit}), 0.0)
            lines.append(f"{name}_bucket{_labels([*labels.items(), ('le', limit)])} {running:.0f}")
        lines.append(f"{name}_sum{_labels(list(labels.items()))} {values[_key(f'{name}_sum', labels)]:.6f}")
        lines.append(f"{name}_count{_labels(list(labels.items()))} {running:.0f}")
    return lines


def _labels(labels: Iterable[Iterable[str]]) -> str:
    pairs = [f'{name}="{_escaped(value)}"' for name, value in labels]
    return "{" + ",".join(pairs) + "}" if pairs else ""


def _escaped(value: str) -> str:
    return str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _key(name: str, labels: Mapping[str, str]) -> str:
    return _written(name, tuple(labels.items()))


@lru_cache(4000)
def _written(name: str, labels: tuple[tuple[str, str], ...]) -> str:
    return json.dumps([name, sorted(labels)], ensure_ascii=True)


# ---- one process

class _Counts:
    """The counters of this process; with a file they are seen by others while they change, and the lock on it ends with the process."""

    def __init__(self, folder: Path | None) -> None:
        self._places: dict[str, int] = {}
        self._lock = threading.Lock()
        self._values: dict[str, float] = {}
        self._map: mmap.mmap | None = None
        if folder is not None:
            try:
                self._open(folder)
            except OSError:         # a full or vanished disk must not stop anybody's work: count for this process alone
                self._map = None

    def _open(self, folder: Path) -> None:
        self._file = os.open(folder / f"{os.getpid()}-{os.urandom(4).hex()}.count", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        os.posix_fallocate(self._file, 0, _SIZE)      # room that is promised: writing into a hole of a full disk kills a process
        self._map = mmap.mmap(self._file, _SIZE)
        _HEAD.pack_into(self._map, 0, _HEAD.size, 0)

    def add(self, key: str, value: float) -> None:
        with self._lock:
            if self._map is None:
                self._values[key] = self._values.get(key, 0.0) + value
                return
            try:
                place = self._places.get(key) or self._room(key)
            except OSError:
                return
            _VALUE.pack_into(self._map, place, _VALUE.unpack_from(self._map, place)[0] + value)

    def _room(self, key: str) -> int:
        assert self._map is not None
        used: int = _HEAD.unpack_from(self._map, 0)[0]
        name = key.encode()
        place = used + _ENTRY.size + len(name)
        end = place + _VALUE.size
        if end > len(self._map):
            os.posix_fallocate(self._file, 0, len(self._map) * 2)
            self._map.resize(len(self._map) * 2)
        _ENTRY.pack_into(self._map, used, len(name))
        self._map[used + _ENTRY.size:place] = name
        _VALUE.pack_into(self._map, place, 0.0)
        _HEAD.pack_into(self._map, 0, end, 0)           # last: who reads meanwhile sees the entry whole or not at all
        self._places[key] = place
        return place

    def values(self) -> dict[str, float]:
        with self._lock:
            return dict(self._values)


_folder: Path | None = None
_counts: _Counts | None = None
_lock = threading.Lock()


def _mine() -> _Counts:
    global _counts
    if _counts is None:
        with _lock:
            if _counts is None:
                _counts = _Counts(_folder)
    return _counts


def _forget() -> None:
    """After a fork the child counts in a file of its own, and waits for no lock that a thread of its parent held."""
    global _counts, _lock
    _counts, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)


# ---- all processes

def _all() -> dict[str, float]:
    if _folder is None:
        return _mine().values()
    _mine()
    with open(_folder / "ended.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ended = _folder / "ended.json"
        total: dict[str, float] = json.loads(ended.read_text()) if ended.exists() else {}
        living: dict[str, float] = {}
        gone = []
        for path in sorted(_folder.glob("*.count")):
            dead = not is_held(path)
            _add(total if dead else living, _read(path))
            gone += [path] if dead else []
        if gone:
            scratch = ended.with_suffix(".new")
            scratch.write_text(json.dumps(total))
            os.replace(scratch, ended)
            for path in gone:
                path.unlink()
    _add(total, living)
    return total


def _read(path: Path) -> dict[str, float]:
    data = path.read_bytes()
    if len(data) < _HEAD.size:
        return {}
    found, place = {}, _HEAD.size
    used, _ = _HEAD.unpack_from(data, 0)
    while place < min(used, len(data)):
        (length,) = _ENTRY.unpack_from(data, place)
        key = data[place + _ENTRY.size:place + _ENTRY.size + length].decode()
        place += _ENTRY.size + length
        (found[key],) = _VALUE.unpack_from(data, place)
        place += _VALUE.size
    return found


def _add(total: dict[str, float], more: Mapping[str, float]) -> None:
    for key, value in more.items():
        total[key] = total.get(key, 0.0) + value
