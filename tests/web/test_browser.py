"""The screens in a real browser: a whole visit without a console error or a request to the outside."""

import re
import time
from decimal import Decimal

import pytest
from playwright.sync_api import expect

from metaloom import command
from tests.web.site import BUYERS, PASSWORD, context_of
from tests.web.test_screens import stored

pytestmark = pytest.mark.browser


@pytest.fixture
def seen(page, live):
    """The page, and everything its browser complained about or fetched from elsewhere."""
    page.troubles = []
    page.weight = {}
    page.on("console", lambda m: page.troubles.append(f"{m.type}: {m.text}") if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: page.troubles.append(f"error: {e}"))
    page.on("request", lambda r: page.troubles.append(f"outside: {r.url}") if not r.url.startswith((live, "data:", "blob:")) else None)
    page.on("requestfinished", lambda r: page.weight.setdefault(r.url, r.sizes()["responseBodySize"]) if not page.is_closed() else None)
    page.set_default_timeout(20_000)
    yield page
    assert page.troubles == []


def log_in(page, live):
    page.goto(f"{live}/alpha/login/")
    page.fill("#username", "li")
    page.fill("#password", PASSWORD)
    page.click("form[action*=login] button.primary")
    page.wait_for_url("**/alpha/")


def test_a_first_visit_is_light_enough(seen, live):
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.sale/")
    seen.wait_for_load_state("networkidle")
    first = sum(size for size in seen.weight.values() if size > 0)
    seen.weight.clear()
    seen.goto(f"{live}/alpha/e/shop.sale/?tab=draft")
    seen.wait_for_load_state("networkidle")
    later = sum(size for size in seen.weight.values() if size > 0)
    print(f"first visit {first // 1024} KB, later page {later // 1024} KB over the wire")
    assert 50 * 1024 <= first <= 400 * 1024 and 3 * 1024 <= later <= 30 * 1024


def test_the_tools_of_a_list_stand_in_one_line_and_a_long_dialog_keeps_its_buttons_in_reach(seen, live):
    log_in(seen, live)
    seen.set_viewport_size({"width": 1440, "height": 900})
    seen.goto(f"{live}/alpha/e/shop.sale/")
    assert seen.locator(".viewpick a").count() == 4 and seen.locator(".listtools").evaluate("e => e.clientHeight") < 70
    seen.set_viewport_size({"width": 390, "height": 420})
    seen.goto(f"{live}/alpha/e/shop.buyer/")
    seen.click("[data-pop=savedmenu]")
    seen.click("#savedmenu [hx-get$='/new']")
    body, foot = seen.locator("#dialog .dlg-body"), seen.locator("#dialog .dlg-foot .primary")
    foot.wait_for()
    assert body.evaluate("e => e.scrollHeight > e.clientHeight + 20")
    assert foot.bounding_box()["y"] + foot.bounding_box()["height"] < 420 and seen.locator("#dialog .dlg-head").bounding_box()["y"] > 0


def test_names_of_search_fields_are_short_and_never_cut(seen, live):
    log_in(seen, live)
    seen.set_viewport_size({"width": 1440, "height": 900})
    seen.goto(f"{live}/alpha/e/shop.sale/")
    seen.click("[data-more]")
    labels = seen.locator(".searchgrid .f > label")
    assert labels.all_inner_texts()[-2:] == ["等级", "买家 · 创建时间"], "an order has a time of its own"
    for words in ("核销原因与减值准备的计提口径", "Reason of the write-off", "Reconciliation"):
        labels.evaluate_all("(labels, words) => labels.forEach(one => one.textContent = words)", words)
        for wide in (1440, 1300, 390):
            seen.set_viewport_size({"width": wide, "height": 900})
            assert not labels.evaluate_all("all => all.filter(one => one.scrollWidth > one.clientWidth).length"), (words, wide)


def test_a_search_keeps_the_order_and_the_chart_that_stand_in_the_address(seen, live):
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.sale/?view=chart")
    seen.select_option(".chartpick [name=by]", "ordered_on")
    seen.wait_for_url("**by=ordered_on**")
    seen.fill("[name='f.order_no']", "00007")
    seen.press("[name='f.order_no']", "Enter")
    seen.wait_for_url("**f.order_no=00007**")
    assert "by=ordered_on" in seen.url and "view=chart" in seen.url


def test_searching_sorting_and_paging_change_the_table_and_the_address(seen, live):
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.sale/")
    expect(seen.locator("#count-draft")).to_have_text(re.compile(r"\d+"))
    number = seen.locator("#listzone tbody td.stick-l a").first
    newest = number.inner_text()
    seen.click("text=下一页")
    seen.wait_for_url("**cursor=**")
    expect(number).not_to_have_text(newest)
    seen.click("text=上一页")
    expect(number).to_have_text(newest)
    seen.click("text=下一页")
    expect(number).not_to_have_text(newest)
    seen.click("th a:has-text('金额')")
    seen.wait_for_url("**sort=total**")
    amounts = [float(t.replace(",", "")) for t in seen.locator("tbody td.num").all_inner_texts()]
    assert amounts == sorted(amounts)
    seen.fill("[name='f.order_no']", "00007")
    seen.press("[name='f.order_no']", "Enter")
    expect(seen.locator("table.sheet tbody tr")).to_have_count(1)
    assert "f.order_no=00007" in seen.url and "f.buyer" not in seen.url
    seen.reload()
    assert seen.locator("table.sheet tbody tr").count() == 1
    expect(seen.locator("[data-total]").last).to_have_text(re.compile(r"[\d,]+\.\d\d"))


def test_a_record_is_entered_by_keyboard_and_its_rules_live(seen, live):
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.sale/new")
    assert seen.locator("[data-field=express_reason]").is_hidden()
    seen.check("#f-express")
    assert seen.locator("[data-field=express_reason]").is_visible()
    seen.fill("[name=express_reason]", "客户催货")
    seen.click("#f-buyer-ts-control")
    seen.keyboard.type("wangfang")
    seen.click(".ts-dropdown .option:has-text('王芳')")
    seen.fill("[name=price]", "123456.5")
    seen.fill("[name=quantity]", "7")
    assert seen.locator("[data-shown=total]").inner_text() == "864,195.50"
    assert seen.locator("[data-field=price] [data-rule]").inner_text() == "金额不能超过 50 万"
    expect(seen.locator("[data-echo=price]")).to_contain_text("壹拾贰万叁仟肆佰伍拾陆元伍角")
    seen.fill("[name=quantity]", "2")
    seen.click("[data-row-add]")
    row = seen.locator("[data-grid=lines] tbody [data-row]").first
    row.locator("[name$='.goods']").fill("锤子")
    row.locator("[name$='.price']").fill("30")
    row.locator("[name$='.quantity']").fill("2")
    assert row.locator("[data-shown=amount]").inner_text() == "60.00"
    row.locator("[name$='.quantity']").press("Enter")
    assert seen.locator("[data-grid=lines] tbody [data-row]").count() == 2
    seen.locator("[data-row-remove]").last.click()
    seen.set_input_files("[data-upload] input[type=file]", {"name": "合同.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 text"})
    seen.wait_for_selector("[data-file]")
    seen.click(".actionbar button.primary")
    seen.wait_for_url(re.compile(r"/e/shop\.sale/\d+$"))
    assert "246,913.00" in seen.inner_text("main") and "锤子" in seen.inner_text("main") and "合同.pdf" in seen.inner_text("main")
    assert seen.locator("[data-toast]").count() == 1


class Held:
    """Answers about linked records that wait until they are let go: a server under load."""

    def __init__(self, page):
        self.routes = []
        page.route("**/linked/**", lambda route: self.routes.append(route))
        self.page = page

    def let_go(self, number=0):
        """The answer to the question at this place in the queue arrives now."""
        with self.page.expect_response("**/linked/**"):
            self.routes.pop(number).continue_()
        self.page.wait_for_function("() => new Promise(done => setTimeout(() => done(true), 30))")


def choose_buyer(page, name):
    page.click("[data-field=buyer] .ts-control")
    page.keyboard.type(name)
    page.click(f".ts-dropdown .option:has-text('{name}')")


def test_a_late_answer_never_writes_over_what_a_person_typed(seen, live):
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.sale/new")
    held = Held(seen)
    choose_buyer(seen, "张伟")
    seen.fill("[name=price]", "77.70")
    held.let_go()
    assert seen.input_value("[name=price]") == "77.70"
    seen.fill("[name=price]", "")
    choose_buyer(seen, "李娜")
    held.let_go()
    assert seen.input_value("[name=price]") == "200.00", "an emptied field is filled again"
    choose_buyer(seen, "王芳")
    held.let_go()
    assert seen.input_value("[name=price]") == "100.00", "what was filled follows the link"


def test_only_the_choices_that_the_linked_record_has_are_offered(seen, live):
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.sale/new")
    offered = seen.locator("select[name=ways] option")
    expect(offered).to_have_text(["请选择", "邮寄", "送货上门", "自提"])
    seen.select_option("select[name=ways]", "van")
    choose_buyer(seen, "李娜")
    expect(offered).to_have_text(["请选择", "邮寄", "送货上门", "自提"])
    seen.fill("[name=price]", "5")
    seen.click(".actionbar button.primary")
    expect(seen.locator("#problems")).to_contain_text("这里不能选择“送货上门”，可选：邮寄、自提。")
    seen.select_option("select[name=ways]", "post")
    expect(offered).to_have_text(["请选择", "邮寄", "自提"])
    choose_buyer(seen, "张伟")
    expect(offered).to_have_text(["请选择", "邮寄", "送货上门", "自提"])
    seen.troubles[:] = [trouble for trouble in seen.troubles if "400" not in trouble]


def sent_to(tenancy, name):
    """The id of a new order of the buyer of this name, already sent."""
    ctx = context_of(tenancy.open("alpha"), "li")
    made = command.create_record(ctx, "shop.sale", {"buyer": BUYERS.index(name) + 1, "price": Decimal(5)})
    command.run_action(ctx, "shop.sale", made.id, "send", {}, made.row_version)
    return made.id


def open_dialog(page, place, label):
    """The dialog of an action of the record, from its button or its menu."""
    page.goto(place)
    page.locator(".facts-head").wait_for()
    if not page.locator(f".facts-head button:has-text('{label}')").is_visible():
        page.click(".facts-head [data-pop=morepop]")
    page.click(f".facts-head button:has-text('{label}')")


def test_the_dialog_of_an_action_offers_only_the_choices_that_its_record_and_its_links_have(seen, live, tenancy):
    log_in(seen, live)
    open_dialog(seen, f"{live}/alpha/e/shop.sale/{sent_to(tenancy, '李娜')}", "改送")
    few, all_ways = ["请选择", "邮寄", "自提"], ["请选择", "邮寄", "送货上门", "自提"]
    expect(seen.locator("#dialog select[name=way] option")).to_have_text(all_ways)
    expect(seen.locator("#dialog select[name=back] option")).to_have_text(few)
    seen.click("#dialog [data-field=taker] .ts-control")
    seen.keyboard.type("李娜")
    seen.click(".ts-dropdown .option:has-text('李娜')")
    for name in ("way", "again"):
        expect(seen.locator(f"#dialog select[name={name}] option")).to_have_text(few)


def test_an_answer_about_a_link_that_was_changed_meanwhile_is_dropped(seen, live):
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.sale/new")
    held = Held(seen)
    choose_buyer(seen, "张伟")
    choose_buyer(seen, "李娜")
    held.let_go(1)
    assert seen.input_value("[name=price]") == "200.00" and seen.locator("[data-field=gift]").is_hidden()
    held.let_go(0)
    assert seen.input_value("[name=price]") == "200.00" and seen.locator("[data-field=gift]").is_hidden()


def test_saving_while_an_answer_is_on_its_way_loses_nothing(seen, live):
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.sale/new")
    choose_buyer(seen, "张伟")
    seen.fill("[name=gift]", "茶叶一盒")
    held = Held(seen)
    choose_buyer(seen, "陈静")
    choose_buyer(seen, "杨帆")
    assert seen.locator("[data-field=gift]").is_visible(), "nothing is hidden on a guess"
    seen.fill("[name=price]", "12.30")
    seen.click(".actionbar button.primary")
    seen.wait_for_url(re.compile(r"/e/shop\.sale/\d+$"))
    assert "茶叶一盒" in seen.inner_text("main") and "12.30" in seen.inner_text("main") and "杨帆" in seen.inner_text("main")
    assert len(held.routes) == 2


def test_a_late_list_of_candidates_neither_takes_the_focus_nor_the_text(seen, live):
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.sale/new")
    held = []
    seen.route("**/lookup/**", lambda route: held.append(route))
    seen.click("[data-field=buyer] .ts-control")
    seen.keyboard.type("zhang")
    while not held or "q=zhang" not in held[-1].request.url:
        seen.wait_for_timeout(50)
    seen.focus("[name=price]")
    seen.keyboard.type("45")
    for route in reversed(held):
        with seen.expect_response("**/lookup/**"):
            route.continue_()
    seen.keyboard.type("6.78")
    assert seen.input_value("[name=price]") == "456.78" and seen.evaluate("document.activeElement.name") == "price"


def test_what_was_sent_and_refused_is_not_written_over_either(seen, live):
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.sale/new")
    seen.fill("[name=price]", "600000.00")
    seen.click(".actionbar button.primary")
    seen.wait_for_selector("#problems")
    choose_buyer(seen, "李娜")
    seen.wait_for_load_state("networkidle")
    assert seen.input_value("[name=price]") == "600000.00"
    seen.troubles[:] = [trouble for trouble in seen.troubles if "400" not in trouble]


def focused(page):
    """What has the focus once the dialog stands: the name of a field, or the words of a button."""
    page.wait_for_selector("dialog[open] .dlg-foot")
    page.wait_for_function("() => new Promise(done => setTimeout(() => done(true), 200))")
    return page.evaluate("""() => { const e = document.activeElement, box = e.closest('[data-field]');
        return box ? box.dataset.field : e.name || e.innerText.trim() || e.getAttribute('aria-label') }""")


IN_SIGHT = """selector => { const e = document.querySelector(selector), r = e.getBoundingClientRect();
    return e.contains(document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2)) }"""


def test_a_dialog_opens_at_its_first_field_or_at_the_button_that_does_no_harm(seen, live, tenancy):
    log_in(seen, live)
    place = f"{live}/alpha/e/shop.sale/{sent_to(tenancy, '李娜')}"
    open_dialog(seen, place, "改送")
    assert focused(seen) == "taker" and not seen.locator(".ts-dropdown:visible").count(), "nothing covers the dialog before somebody asks for it"
    seen.keyboard.type("李娜")
    seen.wait_for_selector(".ts-dropdown .option:has-text('李娜')")
    assert seen.evaluate(IN_SIGHT, ".ts-dropdown .option"), "the dialog cuts nothing off that opens in it"
    seen.click(".ts-dropdown .option:has-text('李娜')")
    seen.click("#dialog [name=until]")
    seen.wait_for_selector(".flatpickr-calendar.open")
    assert seen.evaluate(IN_SIGHT, ".flatpickr-calendar.open .flatpickr-day") and seen.evaluate(IN_SIGHT, ".flatpickr-calendar.open .flatpickr-day:last-child")
    open_dialog(seen, place, "完成")
    assert focused(seen) == "note"
    seen.fill("dialog [name=note]", "收到")
    seen.click("dialog button.primary")
    seen.wait_for_selector("dialog .notice.bad, dialog .field-error")
    assert focused(seen) in ("note", "_reason")
    open_dialog(seen, place, "签收")
    assert focused(seen) == "签收"
    open_dialog(seen, place, "作废")
    assert focused(seen) == "取消"
    seen.troubles[:] = [trouble for trouble in seen.troubles if "400" not in trouble]


SHIFTS = """window.shifts = []; new PerformanceObserver(list => list.getEntries().forEach(e => window.shifts.push([e.value, ...e.sources.map(s =>
    s.node && s.node.className || '')]))).observe({type: 'layout-shift', buffered: true})"""


def test_nothing_that_arrives_later_pushes_the_page(seen, live):
    seen.add_init_script(SHIFTS)
    seen.set_viewport_size({"width": 1440, "height": 900})
    log_in(seen, live)
    for group in seen.locator(".side summary").all():
        group.click()
    for path in ("/e/platform.approval_task/", "/e/shop.sale/", "/e/shop.sale/1", "/e/shop.buyer/new"):
        seen.goto(f"{live}/alpha{path}")
        seen.wait_for_load_state("networkidle")
        assert sum(shift[0] for shift in seen.evaluate("window.shifts")) < 0.01, (path, seen.evaluate("window.shifts"))


def test_the_widgets_of_a_dashboard_stand_where_they_will_stand(seen, live):
    seen.add_init_script(SHIFTS)
    log_in(seen, live)
    seen.route("**/board/**", lambda route: (time.sleep(0.1), route.continue_()))       # one after the other, as on a phone
    for wide, high in ((390, 844), (1440, 900)):
        seen.set_viewport_size({"width": wide, "height": high})
        seen.goto(f"{live}/alpha/")
        seen.wait_for_load_state("networkidle")
        assert seen.locator(".widget.k-number .figure").count() > 1 and not seen.locator(".skeleton").count()
        assert sum(shift[0] for shift in seen.evaluate("window.shifts")) < 0.01, (wide, seen.evaluate("window.shifts"))


def test_an_action_with_a_reason_is_done_in_its_dialog(seen, live):
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.sale/?tab=sent")
    seen.click("table.sheet tbody a >> nth=0")
    seen.click(".facts-head button:has-text('完成')")
    seen.wait_for_selector("dialog[open]")
    seen.fill("dialog [name=_reason]", "已签收")
    with seen.expect_navigation():
        seen.click("dialog button.primary")
    assert "完成" in seen.inner_text(".facts-head")
    seen.click("[role=tab]:has-text('变更历史')")
    seen.wait_for_selector("text=已签收")


def test_a_phone_shows_cards_and_everything_fits(seen, live):
    seen.set_viewport_size({"width": 390, "height": 844})
    log_in(seen, live)
    for path in ("/", "/e/shop.sale/", "/e/shop.sale/new", "/e/shop.sale/1", "/userinfo/"):
        seen.goto(f"{live}/alpha{path}")
        seen.wait_for_load_state("networkidle")
        assert seen.evaluate("document.documentElement.scrollWidth") <= 390, path
    seen.goto(f"{live}/alpha/e/shop.sale/")
    cards = seen.locator("table.sheet tbody tr")
    assert cards.count() == 20 and seen.locator("table.sheet thead").is_hidden()
    boxes = [cards.nth(n).bounding_box() for n in (0, 1)]
    assert all(box["width"] > 300 and box["height"] > 80 for box in boxes) and boxes[0]["y"] + boxes[0]["height"] <= boxes[1]["y"]
    first = cards.first
    assert first.locator("td.head a").is_visible() and first.locator(".tag1 .tag").is_visible()
    told = first.locator("td[data-l]:not(.tag1, .off)")
    labels = told.evaluate_all("cells => cells.map(c => getComputedStyle(c, '::before').content)")
    assert labels and all(len(label) > 2 for label in labels) and "-" not in told.all_inner_texts()
    seen.click("[data-nav-open]")
    assert seen.locator(".side").is_visible()


def test_a_phone_picks_cards_and_changes_several(seen, live):
    seen.set_viewport_size({"width": 390, "height": 844})
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.sale/")
    for number in (1, 2):
        seen.locator("[data-pick]").nth(number).check()
    assert seen.locator("#selinfo").inner_text().strip() == "已选 2 条"
    seen.click("[data-pop=manymenu]")
    menu = seen.locator("#manymenu")
    box = menu.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390 and menu.locator("[data-needs-pick]").first.is_enabled()
    seen.keyboard.press("Escape")
    seen.locator("[data-pick]").nth(1).uncheck()
    assert seen.locator("#selinfo").inner_text().strip() == "已选 1 条"


def test_a_colleague_is_mentioned_with_the_keyboard(seen, live, unsaid):
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.sale/1?tab=timeline")
    seen.click("textarea[data-mentions]")
    seen.keyboard.type("请看 @韩")
    seen.wait_for_selector(".saybox .pop [aria-selected=true]")
    seen.keyboard.press("Enter")
    assert seen.input_value("textarea[data-mentions]") == "请看 @韩梅梅 "
    seen.keyboard.press("Control+Enter")
    seen.wait_for_selector(".ev-comment .named:has-text('@韩梅梅')")


def test_leaving_a_changed_form_asks_first(seen, live):
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.sale/new")
    asked = []
    seen.on("dialog", lambda d: (asked.append(d.type), d.accept()))
    seen.locator("[name=price]").press_sequentially("12")
    seen.goto(f"{live}/alpha/")
    assert asked == ["beforeunload"]


def test_words_keep_their_contrast_in_light_and_dark(seen, live):
    log_in(seen, live)
    checks = """() => {
      const lum = c => { const v = c.map(x => { x /= 255; return x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4; });
        return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
      const rgb = s => (s.match(/[\\d.]+/g) || []).map(Number);
      const ground = e => { for (; e; e = e.parentElement) {
        const b = rgb(getComputedStyle(e).backgroundColor); if (b.length && (b.length < 4 || b[3] === 1)) return b.slice(0, 3); } return [255, 255, 255]; };
      const bad = [];
      for (const e of document.querySelectorAll('main *, .side *, .top *')) {
        if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) || !e.offsetParent) continue;
        const s = getComputedStyle(e), a = lum(rgb(s.color).slice(0, 3)), b = lum(ground(e)), r = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
        if (r < 4.5 && !e.closest('[disabled],[aria-disabled]')) bad.push(r.toFixed(2) + ' ' + e.className + ' ' + e.textContent.trim().slice(0, 20));
      }
      return [...new Set(bad)];
    }"""
    for theme in ("light", "dark"):
        seen.context.add_cookies([{"name": "ml_theme", "value": theme, "url": f"{live}/alpha/"}])
        for path in ("/", "/e/shop.sale/", "/e/shop.sale/new", "/e/shop.sale/1"):
            seen.goto(f"{live}/alpha{path}")
            seen.wait_for_load_state("networkidle")
            assert seen.evaluate(checks) == [], (theme, path)


def test_what_a_choice_means_changes_with_it(seen, live):
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.buyer/new")
    said = seen.locator("[data-field=level] [data-helps]")
    expect(said).to_be_hidden()
    seen.select_option("[name=level]", "gold")
    expect(said).to_have_text("满三年的老客户")
    seen.select_option("[name=level]", "plain")
    expect(said).to_be_hidden()


def test_a_region_is_chosen_by_province_city_and_county(seen, live):
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.buyer/new")
    seen.fill("[name=name]", "钱多多")
    province, city, county = (seen.get_by_label(f"所在地区 {level}", exact=True) for level in ("省份", "城市", "区县"))
    expect(city).to_be_hidden()
    province.focus()
    seen.keyboard.press("ArrowDown")
    expect(seen.locator("[name=region]")).to_have_value("110100")  # one city: its counties are offered at once
    province.select_option(label="浙江省")
    expect(seen.locator("[name=region]")).to_have_value("330000")
    city.select_option(label="杭州市")
    county.select_option(label="西湖区")
    expect(seen.locator("[name=region]")).to_have_value("330106")
    province.select_option(label="北京市")
    county.select_option(label="朝阳区")
    seen.click(".actionbar button.primary")
    seen.wait_for_url(re.compile(r"/e/shop\.buyer/\d+$"))
    assert "北京市 / 朝阳区" in seen.inner_text("main")
    seen.goto(f"{seen.url}/edit")
    expect(county).to_have_value("110105")
    seen.goto(f"{live}/alpha/e/shop.buyer/")
    seen.click("[data-more]")
    province.select_option(label="北京市")
    seen.press("[name='f.name']", "Enter")
    seen.wait_for_url("**f.region=110100**")
    expect(seen.locator("table.sheet tbody tr")).to_have_count(1)


def test_no_region_is_fetched_where_none_is_asked(seen, live):
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.sale/new")
    seen.wait_for_load_state("networkidle")
    assert seen.weight and not [url for url in seen.weight if "regions.json" in url]


def test_a_table_that_is_a_little_too_wide_moves_together(seen, live):
    """No column stands half under the actions where the cells may give way; where they cannot, they keep their room."""
    log_in(seen, live)
    seen.set_viewport_size({"width": 1440, "height": 900})
    seen.goto(f"{live}/alpha/e/shop.sale/")
    wrap = seen.locator("#listzone .tablewrap")
    wrap.evaluate("w => { w.style.width = '300px'; }")
    expect(wrap).to_have_class(re.compile(r"\bmore-x\b"))
    assert "tight-x" not in wrap.get_attribute("class")
    needed = wrap.evaluate("w => w.scrollWidth")
    wrap.evaluate("(w, width) => { w.style.width = width + 'px'; }", needed - 40)
    expect(wrap).to_have_class(re.compile(r"\btight-x\b"))
    expect(wrap).not_to_have_class(re.compile(r"\bmore-x\b"))
    wrap.evaluate("(w, width) => { w.style.width = width + 'px'; }", needed + 40)
    expect(wrap).not_to_have_class(re.compile(r"\btight-x\b"))
    half = """w => { const all = [...w.querySelectorAll('thead th')].map(h => h.getBoundingClientRect()), edge = all.pop().left;
        return all.filter(h => h.left < edge - 2 && h.right > edge + 2).length }"""
    for width in range(needed - 400, needed - 200, 29):
        wrap.evaluate("(w, width) => { w.style.width = width + 'px'; }", width)
        expect(wrap).to_have_class(re.compile(r"\bmore-x\b"))
        seen.wait_for_timeout(50)
        assert wrap.evaluate(half) == 0, width


@pytest.mark.parametrize("locale", ["zh", "en"])
def test_the_pager_of_a_phone_has_its_two_steps_side_by_side(seen, live, locale):
    log_in(seen, live)
    seen.context.add_cookies([{"name": "ml_locale", "value": locale, "url": f"{live}/alpha/"}])
    seen.set_viewport_size({"width": 390, "height": 800})
    seen.goto(f"{live}/alpha/e/shop.sale/")
    back, on = (seen.locator(".pager > .btn").nth(n).bounding_box() for n in (0, 1))
    size = seen.locator(".pager form").bounding_box()
    assert back["y"] == on["y"] and abs(back["width"] - on["width"]) < 2 and on["height"] >= 38 and size["y"] + size["height"] <= back["y"]
    assert on["x"] + on["width"] <= 390


def test_a_wide_table_says_that_there_is_more_and_shows_its_last_column_whole(seen, live):
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.sale/")
    wrap = seen.locator(".tablewrap")
    wrap.evaluate("w => { w.firstElementChild.style.minWidth = '1800px'; }")
    expect(wrap).to_have_class(re.compile(r"\bmore-x\b"))
    shade = "w => getComputedStyle(w.querySelector('td.stick-r'), '::before').backgroundImage"
    assert "gradient" in wrap.evaluate(shade)
    wrap.evaluate("w => { w.scrollLeft = w.scrollWidth; }")
    expect(wrap).not_to_have_class(re.compile(r"\bmore-x\b"))
    hidden = wrap.evaluate("""w => Math.max(...[...w.querySelectorAll('tr')].map(r => r.lastElementChild)
        .filter(c => c.classList.contains('stick-r') && c.previousElementSibling)
        .map(c => c.previousElementSibling.getBoundingClientRect().right - c.getBoundingClientRect().left))""")
    assert hidden <= 1 and wrap.evaluate(shade) == "none"
    wrap.evaluate("w => { w.scrollLeft = 0; }")
    expect(wrap).to_have_class(re.compile(r"\bmore-x\b"))
    seen.set_viewport_size({"width": 2400, "height": 800})
    expect(wrap).not_to_have_class(re.compile(r"\bmore-x\b"))


def somebody_else_changes(tenancy, id):
    tenant = tenancy.open("alpha")
    table = tenant.revision().tables.of("shop.sale")
    with tenant.write() as conn:
        conn.execute(table.update().where(table.c.id == id).values(row_version=table.c.row_version + 1))


def test_a_refused_action_can_be_reloaded_and_a_stale_dialog_keeps_what_was_typed(seen, live, app, tenancy):
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.sale/?tab=sent")
    seen.locator("table.sheet tbody a").first.click()
    seen.wait_for_selector(".facts-head")
    here = seen.url
    id = int(here.rsplit("/", 1)[1])
    seen.click(".facts-head button:has-text('完成')")
    seen.wait_for_selector("#dialog form")
    seen.fill("#dialog [name=note]", "说明写了很久")
    seen.fill("#dialog [name=_reason]", "已签收")
    somebody_else_changes(tenancy, id)
    seen.click("#dialog .dlg-foot button.btn:not([data-close-dialog])")
    seen.wait_for_selector(".notice.bad")
    assert seen.url == here and stored(tenancy, id)["status"] == "sent"
    seen.reload()
    assert seen.locator(".notice.bad").count() == 0
    seen.click(".facts-head button:has-text('完成')")
    seen.wait_for_selector("#dialog form")
    assert (seen.input_value("#dialog [name=note]"), seen.input_value("#dialog [name=_reason]")) == ("说明写了很久", "已签收")
    seen.click("#dialog .dlg-foot button.btn:not([data-close-dialog])")
    seen.wait_for_selector(".facts-head .tag:has-text('完成')")
    assert stored(tenancy, id)["status"] == "done"
    seen.troubles[:] = [trouble for trouble in seen.troubles if "409" not in trouble]


def fresh_sale(tenancy, to="draft"):
    """A sale that stands first on its column when the newest come first."""
    from metaloom import command
    from tests.web.site import context_of

    ctx = context_of(tenancy.open("alpha"), "li")
    saved = command.create_record(ctx, "shop.sale", {"buyer": 1, "price": "8.00", "quantity": 1})
    if to == "sent":
        command.run_action(ctx, "shop.sale", saved.id, "send", {}, saved.row_version)
    return saved.id


def drag(page, card, lane, let_go=True):
    """A card is taken by its middle and carried over a column, as a hand would."""
    box, there = card.bounding_box(), lane.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 8)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 20, box["y"] + box["height"], steps=3)
    page.mouse.move(there["x"] + there["width"] / 2, there["y"] + 60, steps=8)
    if let_go:
        page.mouse.up()


def test_cards_are_dragged_where_an_action_leads_and_stay_where_none_does(seen, live, tenancy):
    """Twice on one page, through a dialog that is given up, with Escape, and where no action leads."""
    first, second = fresh_sale(tenancy), fresh_sale(tenancy)
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.sale/?sort=-id")
    seen.click(".viewpick [data-view=board]")
    seen.wait_for_url("**view=board**")
    draft, sent, done = (seen.locator(f"[data-lane={state}]") for state in ("draft", "sent", "done"))
    card = seen.locator(f"[data-card='{first}']")
    drag(seen, card, done, let_go=False)
    assert "cannot" in done.get_attribute("class") and "can" in sent.get_attribute("class").split()
    expect(done.locator(".noway")).to_be_visible()
    seen.mouse.up()
    expect(seen.locator("[data-toast]")).to_contain_text("没有操作能移到“完成”")
    drag(seen, card, sent, let_go=False)
    seen.keyboard.press("Escape")
    seen.mouse.up()
    assert seen.locator(".ghost").count() == 0 and draft.locator(f"[data-card='{first}']").count() == 1
    for id in (first, second):
        drag(seen, seen.locator(f"[data-card='{id}']"), sent)
        expect(sent.locator(f"[data-card='{id}']")).to_have_count(1)
    assert "view=board" in seen.url and "sort=-id" in seen.url
    drag(seen, sent.locator(f"[data-card='{second}']"), done)
    expect(seen.locator("#dialog")).to_be_visible()
    seen.click("#dialog [data-close-dialog] >> nth=0")
    assert sent.locator(f"[data-card='{second}']").count() == 1
    drag(seen, sent.locator(f"[data-card='{second}']"), done)
    seen.fill("#ask-reason", "客户已签收")
    seen.click("#dialog .btn.primary")
    expect(done.locator(f"[data-card='{second}']")).to_have_count(1)
    seen.click(f"[data-card='{second}'] .t a")
    seen.wait_for_url(f"**/e/shop.sale/{second}")
    seen.goto(f"{live}/alpha/e/shop.sale/")
    assert seen.locator("[data-kanban]").count() == 1, "the way of looking is remembered"
    with seen.expect_request("**/settings/list/**"):
        seen.click(".viewpick [data-view=table]")
    expect(seen.locator("table.sheet")).to_be_visible()


def test_a_card_moves_by_its_menu_with_the_keyboard_and_on_a_phone(seen, live, tenancy):
    first, second = fresh_sale(tenancy), fresh_sale(tenancy)
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.sale/?view=board&sort=-id")
    seen.locator(f"[data-card='{first}'] [data-row-menu]").focus()
    seen.keyboard.press("Enter")
    expect(seen.locator("#rowmenu [data-move-to=sent]")).to_be_focused()
    seen.keyboard.press("Enter")
    expect(seen.locator(f"[data-lane=sent] [data-card='{first}']")).to_have_count(1)
    seen.set_viewport_size({"width": 390, "height": 844})
    seen.reload()
    seen.locator(f"[data-card='{second}'] [data-row-menu]").click()
    seen.click("#rowmenu [data-move-to=sent]")
    expect(seen.locator(f"[data-lane=sent] [data-card='{second}']")).to_have_count(1)
    assert seen.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page itself does not scroll sideways"


def test_a_calendar_is_walked_by_month_and_a_chart_asked_anew_without_a_new_page(seen, live):
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.sale/?view=calendar&at=2026-11-21")
    expect(seen.locator(".calbar h2")).to_have_text("2026 年 11 月")
    seen.click(".calbar [aria-label='往前']")
    expect(seen.locator(".calbar h2")).to_have_text("2026 年 10 月")
    assert "at=2026-10-01" in seen.url
    seen.set_viewport_size({"width": 390, "height": 844})
    assert seen.locator(".cal-names").is_hidden() and seen.evaluate("document.documentElement.scrollWidth <= innerWidth")
    seen.locator(".cal-day:not(.out) a.ev").first.click()
    seen.wait_for_url(re.compile(r"/e/shop\.sale/\d+$"))
    seen.set_viewport_size({"width": 1440, "height": 900})
    seen.goto(f"{live}/alpha/e/shop.sale/?view=chart")
    expect(seen.locator("[data-chart] canvas")).to_have_count(1)
    seen.select_option(".chartpick [name=by]", "ordered_on")
    seen.wait_for_url("**by=ordered_on**")
    expect(seen.locator(".chartpick [name=unit]")).to_have_value("month")
    expect(seen.locator("[data-chart] canvas")).to_have_count(1)


def test_refreshing_and_the_density_keep_the_search_the_order_and_the_page(seen, live):
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.sale/")
    rows = seen.locator("#listzone tbody tr")
    seen.fill("[name='f.order_no']", "00007")
    seen.press("[name='f.order_no']", "Enter")
    expect(rows).to_have_count(1)
    with seen.expect_response(lambda answer: "/e/shop.sale/?" in answer.url):
        seen.click("[aria-label=刷新]")
    expect(rows).to_have_count(1)
    seen.click(".listtools form [title=密度]")
    seen.wait_for_selector(".panel.dense")
    expect(rows).to_have_count(1)
    assert "f.order_no=00007" in seen.url
    seen.goto(f"{live}/alpha/e/shop.sale/?sort=price")
    first = seen.locator("#listzone tbody a").first
    before = first.inner_text()
    expect(seen.locator("#count-draft")).to_have_text(re.compile(r"\d+"))
    seen.click("text=下一页")
    expect(first).not_to_have_text(before)
    second = first.inner_text()
    with seen.expect_response(lambda answer: "/e/shop.sale/?" in answer.url):
        seen.click("[aria-label=刷新]")
    seen.wait_for_timeout(300)
    assert first.inner_text() == second


def test_the_boxes_to_pick_leave_no_gap_that_a_wide_table_shows_through(seen, live):
    log_in(seen, live)
    seen.set_viewport_size({"width": 1000, "height": 700})
    seen.goto(f"{live}/alpha/e/shop.sale/")
    gap = seen.locator("#listzone tbody tr").first.evaluate("""r => { r.cells[2].style.minWidth = '1200px'; r.closest('.tablewrap').scrollLeft = 300;
        return r.cells[1].getBoundingClientRect().left - r.cells[0].getBoundingClientRect().right; }""")
    assert abs(gap) < 1


def test_actions_on_several_records_go_into_a_menu_where_they_do_not_fit(seen, live):
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.sale/")
    assert seen.locator(".bulkset [data-bulk]").count() == 1 and seen.locator(".bulkfold").is_hidden()
    seen.locator(".bulkset [data-bulk]").evaluate("b => { for (let i = 0; i < 6; i++) b.after(b.cloneNode(true)); }")
    seen.set_viewport_size({"width": 1500, "height": 900})
    expect(seen.locator("#bulkmenu [data-bulk]")).to_have_count(7)
    assert seen.locator(".listtools").evaluate("e => e.clientHeight") < 70
    seen.locator("[data-pick]:visible").first.check()
    seen.click("[data-pop=bulkmenu]")
    assert seen.locator("#bulkmenu [data-bulk]").first.is_enabled()
    seen.keyboard.press("Escape")
    seen.set_viewport_size({"width": 2600, "height": 800})
    expect(seen.locator(".bulkset [data-bulk]")).to_have_count(7)


def test_the_menu_of_exports_closes_and_roles_are_asked_where_a_search_is_shared_with_them(seen, live):
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.buyer/")
    seen.click("[data-pop=exportmenu]")
    with seen.expect_download():
        seen.click("[data-export=csv] button")
    expect(seen.locator("#exportmenu")).to_be_hidden()
    seen.click("[data-pop=savedmenu]")
    seen.click("#savedmenu [hx-get$='/new']")
    seen.wait_for_selector("#saved-shared")
    expect(seen.locator("#saved-roles")).to_be_hidden()
    seen.select_option("#saved-shared", "roles")
    expect(seen.locator("#saved-roles")).to_be_visible()


def test_a_file_is_picked_in_the_words_of_the_page_and_named(seen, live):
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.buyer/import")
    expect(seen.locator(".filepick")).to_have_text("选择文件未选择文件")
    with seen.expect_file_chooser() as asked:
        seen.click(".filepick .btn")
    asked.value.set_files({"name": "买家.csv", "mimeType": "text/csv", "buffer": "姓名\n孙权\n".encode()})
    expect(seen.locator(".filepick .nm")).to_have_text("买家.csv")


def test_a_bulk_edit_offers_all_choices_once_what_narrows_them_is_to_change_too(seen, live, tenancy):
    li = context_of(tenancy.open("alpha"), "li")
    buyer = command.create_record(li, "shop.buyer", {"name": "By post", "ways": ["post"]}).id
    number = command.create_record(li, "shop.sale", {"buyer": buyer, "price": Decimal(5), "quantity": 1, "lines": []}).id
    log_in(seen, live)
    seen.goto(f"{live}/alpha/e/shop.sale/")
    seen.locator(f"tr:has(a[href$='/e/shop.sale/{number}']) input[type=checkbox]").first.check()
    seen.click("[data-pop=manymenu]")
    seen.locator("#manymenu button").first.click()
    offered = seen.locator("select[name=ways] option")
    expect(offered).to_have_count(2)
    seen.check("[data-many=buyer]")
    expect(offered).to_have_count(4)
    seen.uncheck("[data-many=buyer]")
    expect(offered).to_have_count(2)
