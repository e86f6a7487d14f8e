"""Lists as calendars over HTTP: the days of a span, what stands on them, for whom."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest

from metaloom import command
from metaloom.base.clock import SystemClock
from metaloom.plugin.registry import installed
from metaloom.web.calendar_page import reach
from tests.web.site import context_of
from tests.web.test_screens import statements

HERE = "/e/shop.sale/?view=calendar"


def days(page: str) -> dict[str, str]:
    return dict(re.findall(r'class="long"><span class="num">([\d-]+)</span>(.*?)</li>\s*(?=<li class="cal-day|</ol>)', page, re.DOTALL))


@pytest.mark.parametrize(("span", "at", "first", "last"), [
    ("month", date(2026, 11, 21), date(2026, 10, 26), date(2026, 12, 6)), ("month", date(2026, 2, 1), date(2026, 1, 26), date(2026, 3, 1)),
    ("month", date(2027, 2, 15), date(2027, 2, 1), date(2027, 2, 28)), ("month", date(2026, 12, 31), date(2026, 11, 30), date(2027, 1, 3)),
    ("week", date(2026, 11, 22), date(2026, 11, 16), date(2026, 11, 22)), ("week", date(2026, 11, 23), date(2026, 11, 23), date(2026, 11, 29)),
    ("day", date(2024, 2, 29), date(2024, 2, 29), date(2024, 2, 29)),
])
def test_a_span_begins_on_monday_and_holds_the_whole_month(span: str, at: date, first: date, last: date) -> None:
    assert reach(span, at) == (first, last)


def test_a_calendar_costs_at_most_two_statements_of_its_own(app: Any, tenancy: Any, visitor: Any) -> None:
    for who in ("li", "han"):
        person = visitor(who)
        person.get(HERE)
        answer, seen = statements(app, tenancy, lambda person=person: person.get(HERE))
        seen = [s for s in seen if "ml_pointer" not in s and "auth_stamp" not in s]        # whose session it is
        print(f"calendar of {who}: {len(seen)} statements")
        assert answer.status_code == 200 and 1 <= len(seen) <= 2, "\n\n".join(seen)


def test_the_month_of_the_business_date_stands_there_and_each_sale_on_its_day(visitor: Any) -> None:
    page = visitor("li").get(HERE).text
    found = days(page)
    assert list(found)[0] == "2026-10-26" and list(found)[-1] == "2026-12-06" and "2026 年 11 月" in page
    assert re.search(r'class="cal-day[^"]* today[^"]*">.*?2026-11-21', page, re.DOTALL)
    assert re.findall(r'class="n num">(\d+)<', found["2026-11-20"]) and "/e/shop.sale/" in found["2026-11-20"]
    assert "class=\"ev" not in found["2026-12-01"]


def test_full_days_say_how_many_more_there_are_and_the_day_shows_them(visitor: Any, tenancy: Any) -> None:
    ctx = context_of(tenancy.open("alpha"), "li")
    for _ in range(7):
        command.create_record(ctx, "shop.sale", {"buyer": 2, "price": "3.00", "quantity": 1, "ordered_on": date(2025, 3, 5)})
    person = visitor("li")
    day = days(person.get(f"{HERE}&at=2025-03-01").text)["2025-03-05"]
    assert day.count('class="ev') - day.count('class="evmore') == 4 and "还有 3 条" in day
    whole = person.get(f"{HERE}&span=day&at=2025-03-05").text
    assert whole.count('class="ev ') == 7
    week = days(person.get(f"{HERE}&span=week&at=2025-03-05").text)
    assert list(week) == [f"2025-03-0{n}" for n in range(3, 10)] and week["2025-03-05"].count('class="ev ') == 7


def test_search_holds_masked_fields_are_left_out_and_a_wrong_day_is_today(visitor: Any) -> None:
    assert 'class="ev ' not in visitor("li").get(f"{HERE}&f.price~from=999999").text
    assert re.search(r"138\d{8}", visitor("li").get(HERE).text) and not re.search(r"138[\d*]", visitor("han").get(HERE).text)
    for wrong in ("at=2026-02-30", "at=x", "at=9999-12-31", "at=0001-01-01", "span=year", "at=%00"):
        assert "2026-11-21" in days(visitor("li").get(f"{HERE}&{wrong}").text)
    assert "class=\"cal " not in visitor("li").get("/e/shop.buyer/?view=calendar").text
    assert visitor("nobody").get(HERE).status_code == 404


def test_days_that_the_company_does_not_work_are_marked(visitor: Any, tenancy: Any) -> None:
    tenant = tenancy.open("alpha")
    ctx = command.system_context(tenant, plugins=installed(), clock=SystemClock())
    for day, kind in ((date(2026, 11, 12), "holiday"), (date(2026, 11, 14), "workday")):
        command.create_record(ctx, "platform.calendar_day", {"day": day, "kind": kind, "name": "x"})
    page = visitor("li").get(HERE).text
    found = days(page)
    assert ">休<" in found["2026-11-12"] and ">班<" in found["2026-11-14"] and "mark" not in found["2026-11-13"]
    assert re.search(r'class="cal-day[^"]* free[^"]*">(?:(?!cal-day).)*2026-11-12', page, re.DOTALL)
