"""The button 打印: a record and a list on paper, from the browser."""

from __future__ import annotations

import io
import re
from typing import Any

import pypdf


def text_of(answer: Any) -> str:
    assert answer.status_code == 200 and answer.mimetype == "application/pdf"
    assert answer.headers["Content-Disposition"].startswith("inline")
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(answer.data)).pages)


def test_the_button_of_a_record_leads_to_its_paper(visitor: Any) -> None:
    person = visitor("li")
    page = person.get("/e/shop.sale/1").text
    [link] = re.findall(r'href="/alpha(/e/shop\.sale/1/print/main)" target="_blank" rel="noopener"', page)
    text = text_of(person.get(link))
    row = person.get("/e/shop.sale/1").text
    assert "螺丝" in text and "扳手" in text and "88.00" in text and "打印人：李雷（li）" in text and "东城分公司" in text and "第 1 / 1 页" in text
    assert re.search(r"<h1>([^<]+)</h1>", row)[1] in text  # type: ignore[index]


def test_a_masked_value_is_masked_on_paper_and_a_stranger_gets_none(visitor: Any) -> None:
    assert "13800000003" in text_of(visitor("li").get("/e/shop.buyer/3/print"))
    masked = text_of(visitor("han").get("/e/shop.buyer/3/print"))
    assert "138****0003" in masked and "13800000003" not in masked
    for path in ("/e/shop.buyer/3/print", "/e/shop.buyer/print", "/e/shop.buyer/999999/print", "/e/shop.buyer/3/print/none"):
        assert visitor("nobody").get(path).status_code in (403, 404)
    assert visitor("li").get("/e/shop.buyer/3/print/none").status_code == 404


def test_a_list_is_printed_as_it_is_filtered_by_those_who_may_export_it(visitor: Any) -> None:
    person = visitor("li")
    page = person.get("/e/shop.buyer/?f.name=王芳").text
    link, in_menu = re.findall(r'data-follow href="/alpha(/e/shop\.buyer/print[^"]*)"', page)
    assert in_menu == link, "a phone has it in the menu of exports"
    text = text_of(person.get(link))
    assert "王芳" in text and "李娜" not in text and "共 1 行" in text and "等级" in text
    assert "data-follow" not in visitor("han").get("/e/shop.buyer/").text
    assert visitor("han").get("/e/shop.buyer/print").status_code == 403
    assert visitor("li").get("/e/shop.buyer/none/print").status_code == 404


def test_the_history_says_that_it_was_printed(visitor: Any) -> None:
    person = visitor("li")
    text_of(person.get("/e/shop.buyer/5/print"))
    assert "打印" in person.get("/e/shop.buyer/5/tab/history").text
