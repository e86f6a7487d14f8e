"""Lists as charts over HTTP: figures of the whole filter, each a link to its rows, for whom, in how many statements."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest

from tests.web.test_screens import statements

HERE = "/e/shop.sale/?view=chart"


def chart(page: str) -> dict[str, Any]:
    found = re.search(r'data-chart="([^"]*)"', page)
    return json.loads(html.unescape(found[1])) if found else {}


@pytest.mark.parametrize("more", ["&by=status", "&by=buyer&of=total", "&by=ordered_on&of=total&unit=week", "&by=created_at", "&by=buyer.level"])
def test_a_chart_costs_at_most_two_statements_of_its_own(app: Any, tenancy: Any, visitor: Any, more: str) -> None:
    for who in ("li", "han"):
        person = visitor(who)
        person.get(HERE)
        answer, seen = statements(app, tenancy, lambda person=person: person.get(HERE + more))
        seen = [s for s in seen if "ml_pointer" not in s and "auth_stamp" not in s]        # whose session it is
        assert answer.status_code == 200 and 1 <= len(seen) <= 2, "\n\n".join(seen)


def test_each_figure_is_of_the_whole_filter_and_leads_to_its_rows(visitor: Any) -> None:
    person = visitor("li")
    items = chart(person.get(f"{HERE}&by=status&of=total&f.price~from=2").text)["items"]
    assert [i["name"] for i in items] == ["草稿", "已发货"] or [i["name"] for i in items] == ["草稿", "已发货", "完成"]
    for item in items:
        where = item["href"].removeprefix("/alpha/e/shop.sale/")
        assert "view=table" in where and "f.price" in where
        assert person.get(f"/e/shop.sale/totals{where}").json["total"] == item["said"]
    counted = chart(person.get(f"{HERE}&by=status&tab=sent").text)["items"]
    assert [i["name"] for i in counted] == ["已发货"] and counted[0]["said"] == person.get("/e/shop.sale/count?tab=sent").text


def test_days_are_put_together_and_no_month_between_is_left_out(visitor: Any) -> None:
    made = chart(visitor("li").get(f"{HERE}&by=ordered_on&unit=month&as=line&f.ordered_on~from=2026-09-01").text)
    assert made["kind"] == "line" and made["labels"] == ["2026-09", "2026-10", "2026-11"] or made["labels"][:2] == ["2026-09", "2026-10"]
    assert "f.ordered_on~from=2026-10-01" in html.unescape(made["series"][0]["href"][1]).replace("%7E", "~")


@pytest.mark.parametrize("wrong", ["&by=gone", "&by=price", "&by=buyer.mobile", "&of=gone", "&of=quantity", "&as=cake", "&unit=hour", "&by=", "&by=%00"])
def test_what_is_unknown_falls_back_to_what_there_is(visitor: Any, wrong: str) -> None:
    assert visitor("li").get(HERE + wrong).status_code == 200


def test_a_search_that_finds_nothing_draws_nothing_and_strangers_find_no_list(visitor: Any) -> None:
    assert "data-chart" not in visitor("li").get(f"{HERE}&f.price~from=999999").text
    assert visitor("nobody").get(HERE).status_code == 404


def test_masked_names_are_no_groups_in_the_clear(visitor: Any) -> None:
    """The columns of a chart are codes, links and days that the person reads; a mobile is never one."""
    page = visitor("han").get("/e/shop.buyer/?view=chart").text
    assert "mobile" not in re.findall(r'<option value="([^"]*)"', page) and re.search(r'<option value="level"', page)


@pytest.mark.parametrize(("view", "name"), [("board", "laid_out"), ("calendar", "by_day"), ("chart", "summed")])
def test_what_takes_too_long_says_so_where_it_would_stand_and_locks_nobody_out(visitor: Any, monkeypatch: Any, view: str, name: str) -> None:
    """The way of looking is remembered: the page around must come, with the search and the way back to the table."""
    from metaloom.record import reader as reader_room
    from metaloom.storage.budget import TooSlow

    def slow(*args: Any, **more: Any) -> None:
        raise TooSlow

    person = visitor("li")
    try:
        assert person.post("/settings/list/shop.sale/main", {"view": view}).status_code == 204
        monkeypatch.setattr(reader_room, name, slow)
        answer = person.get("/e/shop.sale/?f.price~from=2", follow_redirects=True)
        assert answer.status_code == 200 and "缩小范围" in answer.text and 'id="search"' in answer.text
        assert re.search(r'<a href="[^"]*view=table"[^>]*data-view="table"', answer.text) and f'data-view="{view}"' in answer.text
        part = person.get(f"/e/shop.sale/?view={view}", headers={"HX-Request": "true", "HX-Target": "listzone"})
        assert part.status_code == 200 and "缩小范围" in part.text and 'id="search"' not in part.text and "view=table" in part.text
    finally:
        person.post("/settings/list/shop.sale/main", {"view": "table"})
