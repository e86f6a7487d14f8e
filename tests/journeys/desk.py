"""A person at a screen: words for what hands do in the browser, and nothing that a person could not do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from typing import Any

from playwright.sync_api import TimeoutError as NotSeen

from metaloom.app.demo import PASSWORD


class Desk:
    """One window. Waits are for what a person would see, never for a time."""

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.address = page, address
        self.errors: list[str] = []
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("response", lambda answer: self.errors.append(f"{answer.status} {answer.url}") if answer.status >= 500 else None)

    def close(self) -> None:
        self.page.context.close()
        assert not self.errors, self.errors

    def log_in(self, username: str) -> None:
        self.page.goto(f"{self.address}/login/")
        self.page.fill("#username", username)
        self.page.fill("#password", PASSWORD)
        self.page.click("form button.primary")
        self.page.wait_for_selector("nav, .sidebar, .topbar")

    def go(self, path: str) -> None:
        self.page.goto(f"{self.address}{path}")

    def menu(self, group: str, item: str) -> None:
        """A list by its place in the menu."""
        link = self.page.locator("nav a", has_text=re.compile(f"^\\s*{item}\\s*$")).first
        if not link.is_visible():
            self.page.locator("nav button, nav summary, nav a", has_text=group).first.click()
        link.click()

    @property
    def record_id(self) -> int:
        """Of the detail page that is open."""
        found = re.search(r"/e/[a-z_.]+/(\d+)(?:[/?#]|$)", self.page.url)
        assert found, self.page.url
        return int(found[1])

    # -- forms -------------------------------------------------------------------------------------------------------

    def fill(self, values: Mapping[str, object], within: str = "#recordform") -> None:
        """By field name: text into inputs, a tuple into a search box of a link, True or False into a tick box."""
        for name, value in values.items():
            self._fill_one(self.page.locator(f"{within} [data-field='{name}']").first, name, value)

    def _fill_one(self, box: Any, name: str, value: object) -> None:
        select = box.locator(f"select[name='{name}']")
        if isinstance(value, bool):
            box.locator("input[type=checkbox]").set_checked(value)
        elif isinstance(value, tuple):
            self._look_up(box, str(value[0]))
        elif isinstance(value, list):
            for words in value:
                self._look_up(box, str(words))
        elif select.count():
            select.select_option(label=str(value))
        else:
            field = box.locator(f"input[name='{name}']:not([type=hidden]), textarea[name='{name}']").first
            for _ in range(3):      # a box of choices takes the keys back a moment after its choice was made: whoever sees that types again
                field.fill(str(value))
                if field.input_value():
                    break
            field.blur()

    def _look_up(self, box: Any, words: str) -> None:
        option = box.locator(".ts-dropdown .option", has_text=words).first
        for last in (False, False, True):   # a box that was left a moment ago may close once more: whoever sees that opens it again
            box.locator(".ts-control").click()
            box.locator(".ts-control input, .ts-dropdown input").first.fill(words)
            with nullcontext() if last else suppress(NotSeen):
                option.click(timeout=20_000 if last else 4_000)
                break
        box.locator(".ts-control input").first.evaluate("input => input.blur()")

    def shown(self, name: str) -> str:
        """What stands in a field of the form."""
        box = self.page.locator(f"[data-field='{name}']").first
        field = box.locator(f"[name='{name}']").last
        if field.evaluate("e => e.tagName") == "SELECT":
            return str(field.locator("option:checked").inner_text())
        return str(field.input_value())

    def save(self) -> int:
        """Saves the form; the id of the record that is shown then."""
        self.page.click(".actionbar button.primary")
        self.page.wait_for_selector(".facts-head, #problems")
        assert not self.page.locator("#problems").count(), self.page.locator("#problems").inner_text()
        return self.record_id

    def save_refused(self) -> str:
        """Saves a form that comes back; what it says."""
        self.page.click(".actionbar button.primary")
        return self.seen("#problems, .notice.bad")

    # -- actions -----------------------------------------------------------------------------------------------------

    def act(self, label: str, values: Mapping[str, object] | None = None, reason: str = "") -> None:
        """Clicks an action of the record, fills its dialog, confirms, and waits for the outcome."""
        self._mark_old()
        self.open_action(label)
        if self._dialog_comes():
            self.fill(values or {}, "#dialog")
            if reason:
                self.page.fill("#dialog [name=_reason]", reason)
            self.page.click("#dialog .dlg-foot button:not([data-close-dialog])")
        self.page.wait_for_selector("body:not([data-old]) .facts-head, #dialog .dlg-foot a")
        if self.page.locator("#dialog .dlg-foot a").count():      # the outcome is shown first
            self.page.click("#dialog .dlg-foot a")
            self.page.wait_for_selector("body:not([data-old]) .facts-head")

    def decide(self, words: str, answer: str = "通过", values: Mapping[str, object] | None = None, opinion: str = "") -> int:
        """What waits for this person and is called ``words``, decided from the workbench; the clicks that it took, words not counted."""
        self.go("/")
        clicks = 1
        self.page.locator(".widget.k-todo .rows a, .bench .rows a", has_text=words).first.click()
        self.page.wait_for_selector("#way")
        claim = self.page.locator(".facts-head button", has_text="认领")
        if claim.count():
            claim.first.click()
            clicks += 1
            self.page.wait_for_selector("form [name=decision]")
        for name, value in (values or {}).items():
            self._fill_one(self.page.locator(f".decide [data-field='{name}']"), f"out.{name}", value)
        self.page.fill("#opinion", opinion)
        self.page.locator(".decidebar button", has_text=answer).click()
        self.page.wait_for_selector("#inboxzone")
        return clicks + 1

    def act_refused(self, label: str, values: Mapping[str, object] | None = None) -> str:
        """The same, refused: what the dialog (or the page) says."""
        self._mark_old()
        self.open_action(label)
        if self._dialog_comes():
            self.fill(values or {}, "#dialog")
            self.page.click("#dialog .dlg-foot button:not([data-close-dialog])")
            return self.seen("#dialog .notice.bad, #dialog .field-error, [data-toast], .notice.bad")
        return self.seen(".notice.bad, [data-toast]")

    def _mark_old(self) -> None:
        """Marks the page that stands; waits for one, as the last action may still be loading it."""
        self.page.locator("body:has(.facts-head)").evaluate("body => body.dataset.old = '1'")

    def open_action(self, label: str) -> None:
        button = self.page.locator(".facts-head button", has_text=re.compile(f"^\\s*{label}\\s*$"))
        if not button.first.is_visible():
            self.page.click(".facts-head [data-pop=morepop]")
        button.locator("visible=true").first.click()

    def _dialog_comes(self) -> bool:
        """Whether the click opened a dialog rather than the next page."""
        self.page.wait_for_selector("#dialog form, body:not([data-old]) .facts-head")
        return bool(self.page.locator("#dialog form").count())

    def offers(self, label: str) -> bool:
        """Whether a button of this name can be pressed now."""
        button = self.page.locator(".facts-head button:enabled, .facts-head form button:enabled", has_text=re.compile(f"^\\s*{label}\\s*$"))
        return button.count() > 0

    # -- looking -----------------------------------------------------------------------------------------------------

    def seen(self, selector: str) -> str:
        """The words at the first place that matches, once it is there."""
        place = self.page.locator(selector).locator("visible=true").first
        place.wait_for()
        return str(place.inner_text())

    def facts(self) -> dict[str, str]:
        """The head of a detail page."""
        self.page.wait_for_selector(".facts-head .facts .fact")
        facts = {_without_unit(fact.locator(".k").inner_text()): fact.locator(".v").inner_text() for fact in self.page.locator(".facts .fact").all()}
        return {"状态标签": self.page.locator(".facts-head .tag").first.inner_text(), **facts}

    def tab(self, label: str) -> list[list[str]]:
        """The rows of a related tab, cell by cell."""
        self.page.evaluate("for (const old of document.querySelectorAll('#tabpanel > *')) old.dataset.old = '1'")
        self.page.locator(".detail-tabs [role=tab]", has_text=re.compile(f"^\\s*{label}\\s*(…|[\\d,]+\\+?)?\\s*$")).click()
        self.page.wait_for_selector("#tabpanel:not(:has([data-old])) table.sheet tbody tr")
        return self.table("#tabpanel table.sheet")

    def table(self, selector: str = "#listzone table.sheet") -> list[list[str]]:
        rows = self.page.locator(f"{selector} tbody tr").all()
        return [[cell.inner_text().strip() for cell in row.locator("td").all()] for row in rows]


def _without_unit(label: str) -> str:
    """``贷款金额(元)`` is ``贷款金额``."""
    return re.sub(r"\s*[(（][^()（）]*[)）]\s*$", "", label).strip()
