"""Exports on the screen: at once where they are short, in the background where they are long, and there only for whoever asked."""

import re

import pytest

from metaloom.base.clock import SystemClock
from metaloom.command import handle_export, limits
from metaloom.job import run_due
from metaloom.plugin.registry import installed


@pytest.fixture
def few(monkeypatch):
    """More than ten rows are too many for one answer."""
    monkeypatch.setattr(limits, "LIMITS", {**limits.LIMITS, "export_rows_at_once": 10})


@pytest.fixture
def work(tenancy):
    tenant = tenancy.open("alpha")

    def run():
        return run_due(tenant, {"export.run": lambda tenant, row: handle_export(tenant, row, plugins=installed(), clock=SystemClock())})

    return run


def test_a_short_list_is_answered_at_once_by_either_verb(visitor):
    person = visitor("li")
    posted = person.post("/e/shop.sale/export?format=csv&tab=sent")
    assert posted.status_code == 200 and "attachment" in posted.headers["Content-Disposition"]
    assert posted.data == person.get("/e/shop.sale/export?format=csv&tab=sent").data


def test_a_long_list_is_prepared_and_shown_among_the_person_s_exports(visitor, few, work):
    person, other = visitor("li"), visitor("han")
    assert person.get("/e/shop.sale/export?format=csv").status_code == 409
    answer = person.post("/e/shop.sale/export?format=csv")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/alpha/exports")
    page = person.get("/exports").text
    assert "等待中" in page and 'hx-trigger="every 2s"' in page and re.search(r"共约 [1-9]\d+ 行", page)
    id = int(re.search(r"/exports/(\d+)/cancel", page)[1])
    assert person.get(f"/exports/{id}/file").status_code == 409
    work()
    page = person.get("/exports").text
    assert "已完成" in page and "every 2s" not in page and "KB" in page
    file = person.get(f"/exports/{id}/file")
    assert file.status_code == 200 and file.content_length == len(file.data) and file.headers["Cache-Control"] == "private, no-store"
    assert file.data.decode("utf-8-sig").count("\r\n") >= 50
    assert "已下载 1 次" in person.get("/exports").text
    for path, method in ((f"/exports/{id}/file", other.get), (f"/exports/{id}/delete", other.post), (f"/exports/{id}/cancel", other.post)):
        assert method(path).status_code == 404, path
    assert f"/exports/{id}/" not in other.get("/exports").text
    assert person.post(f"/exports/{id}/delete").status_code == 303
    assert "已失效" in person.get("/exports").text and person.get(f"/exports/{id}/file").status_code == 409


def test_one_that_is_not_wanted_any_more_is_cancelled_and_english_is_spoken(visitor, few, work):
    person = visitor("li")
    person.post("/e/shop.sale/export")
    page = person.get("/exports").text
    id = int(re.search(r"/exports/(\d+)/cancel", page)[1])
    assert person.post(f"/exports/{id}/cancel").status_code == 303
    work()
    assert "已取消" in person.get("/exports").text
    person.post("/settings/locale", {"locale": "en"})
    assert "My exports" in person.get("/exports").text and "Cancelled" in person.get("/exports").text


def test_who_may_not_export_is_refused_by_both_verbs(visitor):
    person = visitor("han")
    assert person.get("/e/shop.sale/export").status_code == person.post("/e/shop.sale/export").status_code == 403
    assert visitor("li").get("/exports/99999999999999999999/file").status_code == 404
