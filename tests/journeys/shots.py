"""Screenshots of every kind of screen into ``shots/``: 1440 and 390 px, light and dark, Chinese and English.

``python -m tests.journeys.shots`` makes a small shop of its own; ``--url http://127.0.0.1:8000/demo --user … --password …``
takes pictures of a running application. Screens are found through its menu, so any pack will do.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "shots"
LOOKS = tuple((width, theme, locale) for width in (1440, 390) for theme in ("light", "dark") for locale in ("zh", "en"))
CHROMIUM = (shutil.which("chromium") or shutil.which("chromium-headless-shell"),
            ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-first-run"))
LISTS_MAX = 3


def main() -> int:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--url", help="tenant address of a running application")
    ask.add_argument("--user", default="li")
    ask.add_argument("--password", default="right-horse-7")
    ask.add_argument("--only", default="", help="take only screens whose name contains this")
    given = ask.parse_args()
    OUT.mkdir(exist_ok=True)
    with _application(given.url) as base, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM[0], args=list(CHROMIUM[1]))
        troubles = [trouble for look in LOOKS for trouble in _take_all(browser, base, given.user, given.password, look, given.only)]
        browser.close()
    print(f"{len(list(OUT.glob('*.png')))} pictures in {OUT}")
    for trouble in troubles:
        print(trouble, file=sys.stderr)
    return 1 if troubles else 0


@contextmanager
def _application(url: str | None) -> Iterator[str]:
    """The running application, or one made for this."""
    if url:
        yield url.rstrip("/")
        return
    import logging

    from werkzeug.serving import make_server

    from metaloom.app import create_app
    from metaloom.base.text import Text
    from metaloom.storage import Tenancy
    from tests.web import site

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as home:
        settings = site.settings_at(Path(home))
        tenancy = Tenancy(settings)
        site.build_tenant(tenancy, "shop", Text("示范商行", "Demo Trading"))
        server = make_server("127.0.0.1", 0, create_app(settings, tenancy=tenancy), threaded=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/shop"
        server.shutdown()
        tenancy.close()


def _take_all(browser: Browser, base: str, user: str, password: str, look: tuple[int, str, str], only: str) -> list[str]:
    """All screens in one look; gives what the browser complained about."""
    width, theme, locale = look
    context = browser.new_context(viewport={"width": width, "height": 900 if width > 500 else 844}, locale="zh-CN" if locale == "zh" else "en-GB")
    origin = base.split("/", 3)
    path = "/" + (origin[3] if len(origin) > 3 else "")
    context.add_cookies(
        [
            {"name": name, "value": value, "domain": origin[2].split(":")[0], "path": path}
            for name, value in (("ml_theme", theme), ("ml_locale", locale))
        ]
    )
    page = context.new_page()
    troubles: list[str] = []
    page.on("console", lambda m: troubles.append(f"{page.url}: {m.text}") if m.type in ("error", "warning") and "status of 4" not in m.text else None)
    page.on("pageerror", lambda e: troubles.append(f"{page.url}: {e}"))
    page.on("request", lambda r: troubles.append(f"outside: {r.url}") if not r.url.startswith(("/".join(origin[:3]), "data:", "blob:")) else None)
    for name, go in _screens(page, base, user, password, width):
        go()
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(250)
        if only in name:
            page.screenshot(path=OUT / f"{name}-{width}-{theme}-{locale}.png", full_page=False)
    context.close()
    return troubles


def _screens(page: Page, base: str, user: str, password: str, width: int) -> Iterator[tuple[str, Any]]:
    """(name, how to get there), in the order of a visit."""

    def log_in() -> None:
        page.fill("#username", user)
        page.fill("#password", password)
        page.click("form[action*='login'] button.primary")
        page.wait_for_url(lambda url: "/login" not in url)

    yield "login", lambda: page.goto(f"{base}/login/")
    yield "workbench", log_in
    if width < 500:
        yield "menu", lambda: page.click("[data-nav-open]")
    hrefs = page.eval_on_selector_all(".side .sub .leaf", "links => links.map(a => a.href)")
    for number, href in enumerate(hrefs[:LISTS_MAX], 1):
        yield from _of_list(page, number, href)
    for name, tail in (("profile", "/userinfo/"), ("password", "/resetmypassword/form"), ("not-found", "/e/no.such/")):
        yield name, lambda tail=tail: page.goto(base + tail)
    yield "search", lambda: _search(page, base)


def _of_list(page: Page, number: int, href: str) -> Iterator[tuple[str, Any]]:
    yield f"list{number}", lambda: page.goto(href)
    if page.locator("[data-more]").count():
        yield f"list{number}-search", lambda: page.click("[data-more]")
    page.goto(href)
    for view, there in page.eval_on_selector_all(".viewpick [data-view]", "links => links.map(a => [a.dataset.view, a.href])"):
        if view != "table":
            yield f"list{number}-{view}", lambda there=there: page.goto(there)
    yield f"list{number}-empty", lambda: page.goto(href + "?q=zzzzzz")
    page.goto(href)
    new, first = page.locator("a[href$='/new']").first, page.locator("table.sheet tbody a").first
    new_url = new.get_attribute("href") if new.count() else None
    first_url = first.get_attribute("href") if first.count() else None
    site = "/".join(page.url.split("/")[:3])
    if new_url:
        yield f"form{number}", lambda: page.goto(site + new_url)
        yield f"form{number}-refused", lambda: page.click(".actionbar button.primary")
        yield f"import{number}", lambda: page.goto(site + new_url.removesuffix("new") + "import")
    if first_url:
        yield f"detail{number}", lambda: page.goto(site + first_url)
        if page.locator("[role=tab]").count() > 1:
            yield f"detail{number}-tab", lambda: page.locator("[role=tab]").last.click()


def _search(page: Page, base: str) -> None:
    page.goto(base + "/")
    page.fill("#globalsearch", "0")
    page.wait_for_timeout(600)


if __name__ == "__main__":
    raise SystemExit(main())
