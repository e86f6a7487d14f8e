"""The worked examples that need more than plain terms, typed on the page 贷款试算 as an officer would: the same figures to the cent."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pypdf
import pytest

import metaloom_plugins.loan_math
from metaloom_plugins.loan_math.reading import schema
from tests.journeys import quoting

EXAMPLES = Path(metaloom_plugins.loan_math.__file__).with_name("examples")
REPLY = schema("quote_reply")["properties"]
IN_THE_SUITE = {("E16", 0), ("E18", 1)}


def stored(name: str, part: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((EXAMPLES / f"{name}.{part}.json").read_text("utf-8"))
    return found


def every_example() -> list[Any]:
    return [pytest.param(name, at, id=f"{name}-{at}", marks=() if (name, at) in IN_THE_SUITE else pytest.mark.nightly)
            for name in ("E11", "E13", "E14", "E16", "E17", "E18") for at in range(len(stored(name, "request")))]


def labelled(kinds: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, str]:
    return {kinds[key]["x-label"]["zh"]: str(value) for key, value in values.items() if not isinstance(value, list)}


@pytest.mark.parametrize(("name", "at"), every_example())
def test_an_example_typed_on_the_page_gives_its_figures(house: Any, desk: Any, name: str, at: int) -> None:
    page, asked, reply = desk("officer").page, stored(name, "request")[at], stored(name, "reply")[at]
    if asked.get("holidays", {}).get("rule") == "none":     # the page asks for no calendar then, and none would change anything
        asked["holidays"] = {"rule": "none"}
    quoting.ask(page, house.address, asked)
    for part in ("rows", "prepayments"):
        wanted = [labelled(REPLY[part]["items"]["properties"], row) for row in reply.get(part, ())]
        assert wanted or part != "rows"
        assert quoting.rows(page, REPLY[part]["x-label"]["zh"]) == wanted
    shown = quoting.figures(page)
    for part in {"totals", "state", "settlement"} & set(reply):
        for label, value in labelled(REPLY[part]["properties"], reply[part]).items():
            assert shown[f"{REPLY[part]['x-label']['zh']} {label}"] == value
    if "state" in reply:
        wanted = [labelled(REPLY["state"]["properties"]["bills"]["items"]["properties"], row) for row in reply["state"]["bills"]]
        assert [{key: row[key] for key in wanted[0]} for row in quoting.rows(page, "未还清的各期")] == wanted if wanted else True


def test_rows_are_added_changed_and_removed_on_a_phone(house: Any, desk: Any) -> None:
    """A row shows the fields of its kind alone; what was typed for another kind is not asked; a wrong cell is told at the cell."""
    page, asked = desk("officer").page, stored("E16", "request")[0]
    page.set_viewport_size({"width": 390, "height": 844})
    asked = {**asked, "events": [{"kind": "pause", "date": "2025-05-20", "until": "2025-05-21"}, *asked["events"], {"kind": "rate", "date": "2025-09-01"}]}
    quoting.ask(page, house.address, asked)
    assert "事件第 3 行：缺少 新年利率" in page.locator("#problems").inner_text()
    cards = page.locator("[data-grid=events] [data-row]")
    assert cards.nth(2).locator("[data-cell=annual_rate] .field-error").inner_text() == "缺少 新年利率"
    page.locator("#problems a").click()
    assert page.evaluate("document.activeElement.name") == "events.2.annual_rate"
    cards.nth(2).locator("[data-cell=kind] select").select_option("payment")
    assert cards.nth(2).locator("[data-cell]:visible").evaluate_all("cells => cells.map(c => c.dataset.cell)") == [
        "kind", "date", "amount", "principal", "allocation"]
    for _ in range(2):
        cards.first.locator("[data-row-remove]").click()
    cards.first.locator("[data-cell=kind] select").select_option("prepay")
    for key, text in (("date", "2025-06-01"), ("amount", "30,000.00"), ("fee_rate", "1")):
        cards.first.locator(f"[data-cell={key}] input >> visible=true").fill(text)
    page.locator(".toolform button.primary").click()
    page.wait_for_selector("#answer")
    assert quoting.rows(page, "提前还款")[0]["合计"] == "30685.24"
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_day_that_is_none_stays_as_it_was_typed(house: Any, desk: Any) -> None:
    page = desk("officer").page
    page.goto(f"{house.address}{quoting.PATH}?go=1&start_date=2025-02-30&as_of=2025-3-1")
    assert page.locator("[data-field='start_date'] input").input_value() == "2025-02-30"
    assert "2025-02-30" in page.locator("[data-field='start_date']").inner_text()
    assert page.locator("[data-field='as_of'] input").input_value() == "2025-03-01"


def test_paper_is_white_and_holds_who_asked_what_on_few_pages(house: Any, desk: Any) -> None:
    """An answer with its question fits on a page, whatever the theme of the screen is."""
    page = desk("officer").page
    quoting.ask(page, house.address, {"principal": "100000", "annual_rate": "0.12", "method": "EQUAL_PRINCIPAL", "periods": 12, "start_date": "2025-01-15",
                                      "fees": [{"code": "service", "when": "at_payout", "amount": "2000"}]})
    assert not page.locator(".papermeta").is_visible()
    page.evaluate("document.documentElement.setAttribute('data-bs-theme', 'dark')")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("document.documentElement.getAttribute('data-bs-theme')") == "light"
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("document.documentElement.getAttribute('data-bs-theme')") == "dark"
    page.emulate_media(media="print")
    assert page.locator(".papermeta").is_visible() and not page.locator(".toolform").is_visible() and page.locator(".onpaper").is_visible()
    assert len(pypdf.PdfReader(io.BytesIO(page.pdf(format="A4"))).pages) == 1
