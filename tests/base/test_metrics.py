"""Counters are those of all processes of the machine, also of those that ended, and never fall."""

import multiprocessing
import re

import pytest

from metaloom.base import metrics


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(metrics, "_folder", None)
    monkeypatch.setattr(metrics, "_counts", None)
    metrics.share(tmp_path / "metrics")
    return tmp_path / "metrics"


def value(name, **labels):
    wanted = "{" + ",".join(f'{k}="{v}"' for k, v in sorted(labels.items())) + "}" if labels else ""
    found = re.search(rf"^{re.escape(name + wanted)} (\S+)$", metrics.text(), re.MULTILINE)
    return float(found.group(1)) if found else None


def _work(times, waits=None, goes=None):
    for number in range(times):
        metrics.count("metaloom_sql_statements_total", 2)
        metrics.observe("metaloom_work_seconds", 0.02, kind=f"kind{number % 50}")
    if waits is not None:
        goes.set()
        waits.wait(20)


def test_processes_are_added_up_while_they_live_and_after(folder):
    fork = multiprocessing.get_context("fork")
    waits, goes = fork.Event(), fork.Event()
    metrics.count("metaloom_sql_statements_total")
    ended = [fork.Process(target=_work, args=(500,)) for _ in range(3)]
    living = fork.Process(target=_work, args=(500, waits, goes))
    for process in (*ended, living):
        process.start()
    for process in ended:
        process.join()
    assert goes.wait(20)
    for _ in range(3):
        assert value("metaloom_sql_statements_total") == 4 * 1000 + 1, "three ended, one lives, and this one"
    assert value("metaloom_work_seconds_count", kind="kind3") == 40
    waits.set()
    living.join()
    assert value("metaloom_sql_statements_total") == 4 * 1000 + 1
    assert len(list(folder.glob("*.count"))) == 1, "files of those that ended are gone"


def test_a_histogram_is_cumulative_and_ends_with_all(folder):
    for seconds in (0.001, 0.02, 0.02, 99):
        metrics.observe("metaloom_request_seconds", seconds, page="records.list")
    page = {"page": "records.list"}
    text = metrics.text()
    buckets = [int(n) for n in re.findall(r'request_seconds_bucket\{page="records.list",le="[^"]+"\} (\d+)', text)]
    assert buckets == sorted(buckets) and buckets[0] == 1 and buckets[-1] == 4 and len(buckets) == len(metrics.BUCKETS) + 1
    assert value("metaloom_request_seconds_count", **page) == 4 and value("metaloom_request_seconds_sum", **page) == pytest.approx(99.041)


def test_labels_cannot_forge_lines(folder):
    metrics.count("metaloom_work_total", kind='x"} 1\nfake 2', outcome="done")
    assert "\nfake 2" not in metrics.text() and len([line for line in metrics.text().splitlines() if line.startswith("metaloom_work_total")]) == 1


def test_a_file_grows_when_there_are_many_labels(folder):
    for number in range(2000):
        metrics.count("metaloom_work_total", kind=f"a kind with a rather long name {number}", outcome="done")
    assert sum(line.startswith("metaloom_work_total") for line in metrics.text().splitlines()) == 2000


def test_a_disk_that_vanished_or_is_full_stops_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr(metrics, "_folder", None)
    monkeypatch.setattr(metrics, "_counts", None)
    metrics.share(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    metrics.count("metaloom_sql_statements_total")
    assert not (tmp_path / "gone").exists()


def test_every_metric_is_described_in_the_docs():
    from pathlib import Path

    text = (Path(__file__).resolve().parents[2] / "docs" / "production.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(metaloom_[a-z_]+)`", text)) == set(metrics.KNOWN)
