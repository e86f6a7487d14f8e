"""The quote's page as people use it: a request typed field by field, and what the page then shows."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

PATH = "/tool/lending/quote"
RATES = ("rate", "annual_rate", "fee_rate")


def ask(page: Any, address: str, request: Mapping[str, Any]) -> None:
    """Types the request into the empty form and asks for the answer."""
    page.goto(f"{address}{PATH}")
    _type(page, request, "")
    page.click(".toolform button.primary")
    page.wait_for_selector("#answer, #problems")


def figures(page: Any) -> dict[str, str]:
    """What the answer says in single values, by ``title label``."""
    found = {}
    for group in page.locator("#answer > .toolfigures").all():
        title = group.locator("h2").inner_text() if group.locator("h2").count() else ""
        for fact in group.locator(".fact").all():
            found[f"{title} {fact.locator('.k').inner_text()}".strip()] = fact.locator(".v").inner_text().replace(",", "")
    return found


def rows(page: Any, label: str) -> list[dict[str, str]]:
    """A table of the answer, row by row."""
    table = page.locator(f"#answer > .tablewrap[aria-label='{label}']")
    heads = table.locator("thead th").all_inner_texts()
    return [dict(zip(heads, (text.replace(",", "") for text in row.locator("td").all_inner_texts()), strict=True)) for row in table.locator("tbody tr").all()]


def _type(page: Any, request: Mapping[str, Any], before: str) -> None:
    for key, value in request.items():
        if isinstance(value, Mapping):
            _type(page, value, f"{before}{key}.")
        elif isinstance(value, list) and isinstance(value[0], Mapping):
            for row in value:
                _add_row(page, before + key, row)
        else:
            _put(_box(page, before + key), key, value)


def _add_row(page: Any, grid: str, row: Mapping[str, Any]) -> None:
    _unfold(page.locator(f"[data-grid='{grid}']"))
    page.click(f"[data-grid='{grid}'] [data-row-add]")
    card = page.locator(f"[data-grid='{grid}'] [data-row]").last
    for key, value in row.items():
        _put(card.locator(f"[data-cell='{key}']").locator("visible=true"), key, value)


def _box(page: Any, key: str) -> Any:
    box = page.locator(f".toolform [data-field='{key}']")
    _unfold(box)
    return box


def _unfold(inside: Any) -> None:
    section = inside.locator("xpath=ancestor::details")
    if section.count() and section.get_attribute("open") is None:
        section.locator("summary").click()


def _put(box: Any, key: str, value: Any) -> None:
    if box.locator("select").count():
        box.locator("select").select_option(str(value).lower() if isinstance(value, bool) else str(value))
        return
    field = box.locator("input:not([type=hidden])")
    if isinstance(value, list):
        value = ", ".join(value)
    field.fill(format((Decimal(value) * 100).normalize(), "f") if key in RATES else str(value))
    field.blur()
