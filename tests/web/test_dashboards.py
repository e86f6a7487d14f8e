"""The workbench: whose it is, that every number leads to just its rows, and what is refused."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from metaloom.app import create_app
from metaloom.base.text import Text
from metaloom.storage import Tenancy
from tests.web import site as shop


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return shop.settings_at(tmp_path_factory.mktemp("boards"))


@pytest.fixture(scope="module")
def tenancy(settings: Any) -> Iterator[Tenancy]:
    """A shop of its own: the numbers on a board are those of all rows, and other tests add some."""
    made = Tenancy(settings)
    shop.build_tenant(made, "alpha", Text("阿尔法商行", "Alpha Trading"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def app(settings: Any, tenancy: Tenancy) -> Any:
    return create_app(settings, tenancy=tenancy)


BOARD = "/board/shop.seller/"
WIDGETS = ("month", "share", "big", "mean", "trend", "states", "levels", "buyers", "express", "ways", "steps", "latest", "todo")


def links(page: str) -> dict[str, str]:
    """Address → text of every link into a list."""
    found = re.findall(r'<a [^>]*href="(/alpha/e/[^"]+)"[^>]*>(.*?)</a>', page, re.DOTALL)
    return {html.unescape(href): re.sub(r"<[^>]+>", " ", text).strip() for href, text in found if "w=" in href}


def drawn(page: str) -> dict[str, Any]:
    return json.loads(html.unescape(re.search(r'data-chart="([^"]+)"', page)[1]))


def path_of(href: str) -> str:
    return href.removeprefix("/alpha")


def rows_behind(visitor: Any, href: str) -> int:
    """How many rows the list at this address says it has."""
    place, _, query = path_of(href).partition("?")
    return int(visitor.get(f"{place}count?{query}").text.replace(",", ""))


def total_behind(visitor: Any, href: str) -> Decimal:
    place, _, query = path_of(href).partition("?")
    return Decimal(visitor.get(f"{place}totals?{query}").json["total"].replace(",", ""))


def test_the_page_stands_before_any_number_is_reckoned(visitor: Any) -> None:
    page = visitor("li").get("/").text
    assert page.index("下单金额") < page.index("订单按状态") and page.count("skeleton") == len(WIDGETS)
    assert all(f'hx-get="/alpha{BOARD}{name}"' in page for name in WIDGETS)
    assert "待处理预警" not in page, "nobody granted the seller alerts"
    assert "新建订单" in page and "最近浏览" in page and "echarts.min.js" in page and "第二工作台" in page
    assert 'id="w-month-p"' in page and 'id="w-share-p"' not in page


def test_another_board_is_chosen_by_its_tab_and_needs_no_chart_library(visitor: Any) -> None:
    page = visitor("li").get("/?board=shop.second").text
    assert "全部订单" in page and "下单金额" not in page and "echarts.min.js" not in page
    assert "下单金额" in visitor("li").get("/?board=shop.nobody").text


def test_who_has_no_dashboard_gets_the_one_for_everybody(visitor: Any) -> None:
    page = visitor("nobody").get("/").text
    assert "我的待办" in page and "快捷入口" in page and "最近浏览" in page and "下单金额" not in page


@pytest.mark.parametrize("path", [BOARD + "month", BOARD + "nothing", "/board/shop.nothing/month", "/board/platform.admin/runs", "/board/shop.second/all",
                                  "/board/x/y"])
def test_a_widget_of_another_role_is_as_unknown_as_none(visitor: Any, path: str) -> None:
    for who in ("han", "nobody"):
        assert visitor(who).get(path).status_code == 404


def test_rows_that_may_not_be_listed_make_no_widget(visitor: Any) -> None:
    han = visitor("han")
    page = han.get("/").text
    assert "订单数" in page and "viewer/audit" not in page
    assert han.get("/board/shop.viewer/count").status_code == 200 and han.get("/board/shop.viewer/audit").status_code == 403


@pytest.mark.parametrize("widget", ["month", "share", "big", "trend", "states", "levels", "buyers", "express", "ways", "steps", "latest"])
def test_every_number_opens_a_list_of_just_its_rows(visitor: Any, widget: str) -> None:
    """Counts equal the rows of the list behind them; sums equal its total."""
    li = visitor("li")
    answer = li.get(BOARD + widget)
    assert answer.status_code == 200, answer.text
    found, tried = links(answer.text), 0
    assert found, answer.text
    for href, text in list(found.items())[:80]:
        page = li.get(path_of(href))
        assert page.status_code == 200 and "正在查看" in page.text, href
        number = re.findall(r"[\d,]+(?:\.\d+)?", text)
        if widget in ("big", "states", "express", "ways", "steps"):
            assert rows_behind(li, href) == int(number[-1].replace(",", "")), (href, text)
        elif widget in ("trend", "levels") and Decimal(number[-1].replace(",", "")):
            assert total_behind(li, href) == Decimal(number[-1].replace(",", "")), (href, text)
        tried += 1
    print(f"{widget}: {tried} numbers opened")


def test_slices_come_in_their_order_with_the_rest_and_what_was_not_entered(visitor: Any) -> None:
    li = visitor("li")
    states = drawn(li.get(BOARD + "states").text)
    assert [(i["name"], i["value"], i["colour"]) for i in states["items"]] == [("草稿", 38.0, "grey"), ("已发货", 19.0, "blue")]
    page = li.get(BOARD + "buyers").text
    rest = next(href for href in links(page) if "w.but" in href)
    assert "其他" in page and page.count("<li>") == 6
    assert rows_behind(li, rest) + sum(rows_behind(li, href) for href in links(page) if href != rest) == 57
    unset = links(li.get(BOARD + "ways").text)
    assert [(rows_behind(li, href), text) for href, text in unset.items()] == [(57, "57")] and "（未填写）" in li.get(BOARD + "ways").text


def test_a_period_is_chosen_among_those_offered(visitor: Any) -> None:
    li = visitor("li")
    month, year = (li.get(BOARD + "month" + query).text for query in ("", "?period=this_year"))
    assert "2026-11-01" in unspan(month) and "2026-10-01" in month and "2026-01-01" in unspan(year)
    assert li.get(BOARD + "month?period=all").text == month and li.get(BOARD + "month?period='; drop table x").text == month
    points = drawn(li.get(BOARD + "trend").text)
    assert len(points["labels"]) == 30 and points["labels"][-1] == "11-21" and len(points["series"]) == 2
    assert len(drawn(li.get(BOARD + "trend?period=this_year").text)["labels"]) in (12, 53)


def unspan(page: str) -> str:
    return " ".join(dict(parse_qsl(urlsplit(href).query)).get("w.since", "") for href in links(page))


def test_a_share_is_of_the_whole_and_opens_its_part(visitor: Any) -> None:
    li = visitor("li")
    page = li.get(BOARD + "share").text
    assert "19.30%" in page and rows_behind(li, next(iter(links(page)))) == 11       # 11 of 57 are express


BAD_AIMS = [
    "w=shop.viewer/count", "w=shop.seller/nothing", "w=shop.seller/todo", "w=shop.seller/links", "w=", "w=x", "w=shop.seller/trend", "w=shop.seller/trend/none",
    "w=shop.seller/states&w.since=2026-01-01&w.until=2026-02-01", "w=shop.seller/month&w.at=1", "w=shop.seller/month&w.since=x&w.until=2026-01-01",
    "w=shop.seller/month&w.since=2026-01-01", "w=shop.seller/states&w.at=" + "x" * 300, "w=shop.seller/alerts", "w=shop.seller/big",
]


@pytest.mark.parametrize("query", BAD_AIMS)
def test_an_address_brings_no_condition_of_its_own(visitor: Any, query: str) -> None:
    assert visitor("li").get("/e/shop.sale/?" + query).status_code == 404


@pytest.mark.parametrize("query", ["w=shop.seller/buyers&w.at=' or 1=1", "w=shop.seller/levels&w.at=nothing", "w=shop.seller/express&w.at=x",
                                   "w=shop.seller/buyers&w.but=x"])
def test_a_key_that_means_nothing_is_refused_with_words(visitor: Any, query: str) -> None:
    answer = visitor("li").get("/e/shop.sale/?" + query)
    assert answer.status_code == 400 and "notice bad" in answer.text


def test_a_viewer_cannot_look_through_a_sellers_widget(visitor: Any) -> None:
    href = "/e/shop.sale/?w=shop.seller/states&w.at=draft"
    assert visitor("li").get(href).status_code == 200 and visitor("han").get(href).status_code == 404


def test_searching_within_the_rows_of_a_number_keeps_to_them(visitor: Any) -> None:
    li = visitor("li")
    page = li.get("/e/shop.sale/?w=shop.seller/states&w.at=draft").text
    assert '<input type="hidden" name="w" value="shop.seller/states">' in page and '<input type="hidden" name="w.at" value="draft">' in page
    assert "正在查看“订单按状态 · 草稿”统计中的记录" in page and 'class="listtabs"' not in page
    assert rows_behind(li, "/alpha/e/shop.sale/?w=shop.seller/states&w.at=draft&f.total~from=1000000") == 0


def test_a_widget_that_takes_too_long_says_so_in_its_own_place(visitor: Any, monkeypatch: Any) -> None:
    from metaloom.record import Reader
    from metaloom.storage.budget import TooSlow

    def slow(*args: Any, **kwargs: Any) -> None:
        raise TooSlow

    li = visitor("li")
    monkeypatch.setattr(Reader, "summary", slow)
    answer = li.get(BOARD + "month")
    assert answer.status_code == 200 and "缩短期间" in answer.text


def test_a_widget_costs_few_statements(visitor: Any, tenancy: Any) -> None:
    """One for each series, besides what every request costs."""
    from tests.record.world import statements

    li = visitor("li")
    counts: dict[str, int] = {}
    for name in ("states", "trend", "buyers", "month"):
        li.get(BOARD + name)
        with tenancy.open("alpha").read() as conn, statements(conn) as sent:
            li.get(BOARD + name)
        counts[name] = len([text for text in sent if "shop__sale" in text])
    assert counts == {"states": 1, "trend": 2, "buyers": 1, "month": 2}


@pytest.fixture
def english(visitor: Any) -> Iterator[Any]:
    li = visitor("li")
    li.client.set_cookie("ml_locale", "en", path="/alpha")
    yield li


def test_in_english(english: Any) -> None:
    page = english.get("/").text
    assert "Orders by state" in page and "Last 30 days" in page and "Refresh" in page
    assert not re.search(r"[一-鿿]", english.get(BOARD + "month").text + english.get(BOARD + "share").text)
