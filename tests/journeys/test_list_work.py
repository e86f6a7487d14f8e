"""A seller's work with lists: find, keep the search, take it out, bring a workbook in and back out, change many, compare, restore."""

import io
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from openpyxl import load_workbook
from playwright.sync_api import expect
from werkzeug.serving import make_server

from metaloom.app import create_app
from metaloom.base.text import Text
from metaloom.storage import Tenancy
from tests.web import site

SHEET = "姓名,手机,等级\n孙权,13912345670,普通\n,13912345671,普通\n曹操,12,钻石\n".encode()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = site.settings_at(tmp_path_factory.mktemp("home"))
    tenancy = Tenancy(settings)
    site.build_tenant(tenancy, "alpha", Text("阿尔法商行", "Alpha Trading"), sales=3)
    server = make_server("127.0.0.1", 0, create_app(settings, tenancy=tenancy), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/alpha"
    server.shutdown()
    thread.join()
    tenancy.close()


@pytest.fixture
def page(shop: str, chromium: Any) -> Iterator[Any]:
    """The seller's window; what goes wrong in it fails the journey."""
    context = chromium.new_context(locale="zh-CN", viewport={"width": 1440, "height": 900}, accept_downloads=True)
    window, wrong = context.new_page(), []
    window.on("pageerror", lambda error: wrong.append(str(error)))
    window.on("response", lambda answer: wrong.append(f"{answer.status} {answer.url}") if answer.status >= 500 else None)
    window.on("dialog", lambda asked: asked.accept())
    window.goto(f"{shop}/login/")
    window.fill("#username", "li")
    window.fill("#password", site.PASSWORD)
    window.click("form button.primary")
    window.wait_for_selector(".topbar, nav")
    yield window
    context.close()
    assert not wrong, wrong


def titles(page: Any) -> list[str]:
    return [text.strip() for text in page.locator("#listzone tbody tr td.stick-l a").all_inner_texts()]


def test_a_seller_works_with_lists(shop: str, page: Any) -> None:
    page.goto(f"{shop}/e/shop.buyer/")
    keep_the_search(shop, page)
    bring_a_workbook_in_and_take_it_back(shop, page)
    change_many(shop, page)
    compare_and_restore(shop, page)


def workbook(download: Any) -> Any:
    """What the browser took; it keeps it under a name without an ending."""
    return load_workbook(io.BytesIO(download.path().read_bytes()))


def keep_the_search(shop: str, page: Any) -> None:
    page.goto(f"{shop}/e/shop.buyer/?f.level=gold&sort=-name")
    gold = titles(page)
    assert len(gold) == 4
    page.click(".savedbtn")
    page.click("#savedmenu >> text=保存当前筛选")
    page.fill("#saved-name", "金牌买家")
    page.check("#dialog input[name=default]")
    page.click("#dialog button[value=save]")
    expect(page.locator(".savedbtn .t")).to_have_text("金牌买家")
    page.goto(f"{shop}/e/shop.buyer/")
    assert titles(page) == gold
    page.click("[data-pop=exportmenu]")
    with page.expect_download() as taken:
        page.click("[data-export=xlsx] button")
    book = workbook(taken.value)
    assert {row[0].value for row in book.active.iter_rows(min_row=2)} >= set(gold) and book.active.max_row <= len(gold) + 3


def bring_a_workbook_in_and_take_it_back(shop: str, page: Any) -> None:
    page.goto(f"{shop}/e/shop.buyer/import")
    page.set_input_files("#import-file", {"name": "买家.csv", "mimeType": "text/csv", "buffer": SHEET})
    page.click("form[enctype] button.primary")
    page.wait_for_selector("table.compare")
    with page.expect_download() as taken:
        page.click("button[value=marked]")
    marked = workbook(taken.value).active
    assert [cell.coordinate for row in marked.iter_rows() for cell in row if cell.comment] == ["A3", "B4", "C4"]
    marked["A3"], marked["B4"], marked["C4"] = "刘备", "13912345672", "金牌"
    out = io.BytesIO()
    marked.parent.save(out)
    page.set_input_files("#import-file", {"name": "买家.xlsx", "mimeType": "application/octet-stream", "buffer": out.getvalue()})
    page.click("form[enctype] button.primary")
    page.click("button[value=all]")
    page.wait_for_url("**/imports")
    page.goto(f"{shop}/e/shop.buyer/?q=刘备")
    assert titles(page) == ["刘备"]
    page.goto(f"{shop}/e/shop.buyer/imports")
    page.click("form[data-ask] button")
    expect(page.locator("table.sheet form[data-ask]")).to_have_count(0)
    page.goto(f"{shop}/e/shop.buyer/?q=刘备")
    assert titles(page) == []


def change_many(shop: str, page: Any) -> None:
    page.goto(f"{shop}/e/shop.buyer/?f.level=plain&saved=0")
    for at in range(3):
        page.locator("[data-pick]").nth(at).check()
    page.click("[data-pop=manymenu]")
    page.click("#manymenu button >> nth=0")
    page.fill(".manyrow[data-field=remark] textarea", "年末回访")
    page.locator(".manyrow[data-field=remark] textarea").blur()
    page.click("form[action*=many] button.primary")
    expect(page.locator(".notice[role=status]")).to_contain_text("成功 3 条")
    page.click("form[action*=many] button.primary")
    page.wait_for_selector("form[action*=undo]")
    page.click("form[action*=undo] button")
    expect(page.locator(".notice[role=status]")).to_contain_text("恢复 3 条")


def compare_and_restore(shop: str, page: Any) -> None:
    page.goto(f"{shop}{page.locator('table.compare a').first.get_attribute('href').removeprefix('/alpha')}?tab=history")
    page.click("text=版本对比")
    page.wait_for_selector("#version-a")
    expect(page.locator("table.compare tbody")).to_contain_text("年末回访")
    page.click("form[data-ask] button")
    page.wait_for_url("**tab=history")
    page.click("[role=tab] >> nth=0")
    expect(page.locator("#tabpanel")).to_contain_text("年末回访")
