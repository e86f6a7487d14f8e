"""The workbench in a real browser: charts draw without a complaint, lead to their rows, follow theme and size."""

import re

import pytest
from playwright.sync_api import expect

from tests.web.site import PASSWORD

pytestmark = pytest.mark.browser
CHARTS = ("trend", "states", "levels", "express", "ways")


@pytest.fixture
def bench(page, live):
    """The seller's workbench with everything drawn; afterwards the browser must not have complained."""
    troubles = []
    page.on("console", lambda m: troubles.append(f"{m.type}: {m.text}") if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: troubles.append(f"error: {e}"))
    page.on("request", lambda r: troubles.append(f"outside: {r.url}") if not r.url.startswith((live, "data:", "blob:")) else None)
    page.set_default_timeout(20_000)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{live}/alpha/login/")
    page.fill("#username", "li")
    page.fill("#password", PASSWORD)
    page.click("form[action*=login] button.primary")
    page.wait_for_url("**/alpha/")
    expect(page.locator(".widget .skeleton")).to_have_count(0)
    yield page
    assert troubles == []


def painted(page, widget):
    """How many different colours the canvas of a widget shows."""
    return page.evaluate("""name => {
        const c = document.querySelector('#w-' + name + ' canvas');
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, seen = new Set();
        for (let i = 0; i < d.length; i += 4) if (d[i + 3] === 255) seen.add((d[i] << 16) | (d[i + 1] << 8) | d[i + 2]);
        return seen.size;
    }""", widget)


def test_every_chart_is_painted_and_named(bench):
    for name in CHARTS:
        expect(bench.locator(f"#w-{name} canvas")).to_have_count(1)
        bench.wait_for_timeout(400)
        assert painted(bench, name) >= 3, name
        assert bench.locator(f"#w-{name} .chart").get_attribute("aria-label").startswith(bench.locator(f"#w-{name}-h").inner_text())


def test_a_click_on_a_slice_opens_as_many_rows_as_it_says(bench):
    box = bench.locator("#w-states .chart")
    box.scroll_into_view_if_needed()
    bench.wait_for_timeout(500)
    where, told = box.bounding_box(), bench.evaluate("JSON.parse(document.querySelector('#w-states .chart').dataset.chart).items")
    spots = bench.evaluate("""() => {
        const box = document.querySelector('#w-states .chart'), chart = echarts.getInstanceByDom(box), o = chart.getOption().series[0];
        const cx = chart.getWidth() * parseFloat(o.center[0]) / 100, cy = chart.getHeight() * parseFloat(o.center[1]) / 100;
        const r = Math.min(chart.getWidth(), chart.getHeight()) / 2 * 0.65;
        return [cx + r * 0.7, cy + r * 0.7];
    }""")
    bench.mouse.click(where["x"] + spots[0], where["y"] + spots[1])
    bench.wait_for_url("**w=shop.seller**")
    here = re.search(r"w\.at=(\w+)", bench.url.replace("%2F", "/"))[1]
    wanted = next(item["value"] for item in told if f"w.at={here}" in item["href"])
    expect(bench.locator("#count-all-rows")).to_have_text(str(int(wanted)))
    expect(bench.locator(".notice.aim")).to_contain_text("订单按状态")


def test_every_number_is_reached_by_keyboard_in_the_table_beside_the_chart(bench):
    summary = bench.locator("#w-levels summary")
    summary.focus()
    bench.keyboard.press("Enter")
    bench.keyboard.press("Tab")
    bench.keyboard.press("Tab")
    assert bench.evaluate("document.activeElement.closest('#w-levels') !== null && document.activeElement.matches('a.num')")
    shown = bench.evaluate("document.activeElement.textContent")
    bench.keyboard.press("Enter")
    bench.wait_for_url("**w=shop.seller**")
    expect(bench.locator("[data-total=total]")).to_have_text(shown)


def test_a_period_is_chosen_and_stays_when_the_page_is_refreshed(bench):
    first = bench.locator("#w-month .big").inner_text()
    with bench.expect_response("**/board/shop.seller/month?period=this_year"):
        bench.select_option("#w-month-p", "this_year")
    expect(bench.locator("#w-month .big")).not_to_have_text(first)
    chosen = bench.locator("#w-month .big").inner_text()
    with bench.expect_response("**/board/shop.seller/month?period=this_year"):
        bench.click("[data-board-refresh]")
    expect(bench.locator("#w-month .big")).to_have_text(chosen)
    expect(bench.locator("#w-trend canvas")).to_have_count(1)


def test_charts_follow_the_theme_and_the_window(bench):
    text = "getComputedStyle(document.documentElement).getPropertyValue('--ml-ink-2').trim()"
    colour = "echarts.getInstanceByDom(document.querySelector('#w-trend .chart')).getOption().textStyle.color"
    light = bench.evaluate(colour)
    bench.locator(".top [data-theme-toggle]").first.click()
    bench.wait_for_function(f"{colour} !== '{light}'")
    assert bench.evaluate(colour) == bench.evaluate(text) != light
    bench.set_viewport_size({"width": 390, "height": 844})
    bench.wait_for_function("document.querySelector('#w-trend canvas').clientWidth < 380")
    lefts = bench.evaluate("[...new Set([...document.querySelectorAll('.board > .widget')].map(w => Math.round(w.getBoundingClientRect().left)))]")
    assert len(lefts) == 1, "one column on a phone"
    assert bench.evaluate("document.documentElement.scrollWidth") <= 390
