"""A signature drawn on the page of a case: with mouse and finger, kept through a refusal, shown afterwards on screen and on paper."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.serving import make_server

from tests.pen import fresh, png, signed, text
from tests.web import hall
from tests.web.conftest import Visitor


@pytest.fixture(scope="module")
def guild(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    made, app = hall.site(tmp_path_factory.mktemp("pad"))
    made.app = app
    yield made
    made.tenancy.close()


@pytest.fixture(scope="module")
def at(guild: Any) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, guild.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hall"
    server.shutdown()
    thread.join()


def visitor(guild: Any, person: str) -> Visitor:
    found = Visitor(guild.app, "hall")
    found.log_in(person, hall.PASSWORD)
    return found


def drawn(guild: Any, case: int) -> dict[str, Any]:
    return next(row["data"]["signature"] for row in guild.rows("approval_event", case_id=case) if row["kind"] == "decided")


def test_what_is_no_signature_comes_back_in_words_with_everything_that_was_typed(guild: Any) -> None:
    case = guild.start("by_hand", guild.request(name="要手签"))
    task, checker = guild.open_task(case, "checker"), visitor(guild, "checker")
    page = checker.get(f"/task/{task}").text
    assert page.count("data-signpad-clear") == 1 and "js/signpad.js" in page
    assert "data-signpad" in checker.get(f"/task/{task}/ask/return").text
    given = {"decision": "pass", "opinion": "同意手签", "_version": str(guild.version(guild.case(case)["record_id"]))}
    for signature, status, said in (("", 409, "须手写签名"), (text(png(lines=0)), 400, "签名为空"), ("x", 400, "PNG"), ("A" * 200_000, 400, "过大")):
        answer = checker.post(f"/task/{task}/decide", {**given, "signature": signature})
        assert answer.status_code == status and said in answer.text and "同意手签" in answer.text, (status, answer.status_code)
    own = signed()
    again = checker.post(f"/task/{task}/decide", {**given, "_version": "1000", "signature": own})
    assert again.status_code == 409 and f'name="signature" value="{own}"' in again.text, "what was drawn stands on the pad again"
    assert checker.post(f"/task/{task}/decide", {**given, "signature": own}).status_code == 303
    other = guild.start("three", guild.request(name="不用手签"))
    assert "data-signpad" not in checker.get(f"/task/{guild.open_task(other, 'checker')}").text


def test_a_delegate_sees_neither_a_pad_nor_a_field_for_the_password(guild: Any) -> None:
    for chain, step, mark in (("by_hand", "hand", "data-signpad"), ("signed", "sign", "sign-password")):
        case = guild.start(chain, guild.request(name=f"委派{chain}"))
        task = guild.open_task(case, "checker")
        assert mark in visitor(guild, "checker").get(f"/task/{task}").text
        guild.move(case, "checker", "delegate", task, to=guild.people["master"])
        master, own = visitor(guild, "master"), guild.open_task(case, "master")
        page = master.get(f"/task/{own}").text
        assert 'value="resolve"' in page and mark not in page, chain
        given = {"decision": "resolve", "opinion": "看过", "_version": str(guild.version(guild.case(case)["record_id"]))}
        assert master.post(f"/task/{own}/decide", given).status_code == 303
        assert mark in visitor(guild, "checker").get(f"/task/{guild.open_task(case, 'checker', step)}").text, "who delegated it signs"


def test_a_signature_is_drawn_on_the_page_and_stands_in_the_story_and_on_paper(guild: Any) -> None:
    case = guild.start("by_hand", guild.request(name="看手签"))
    picture = fresh()
    guild.decide(case, "checker", signature=text(picture))
    kept, clerk = drawn(guild, case), visitor(guild, "clerk")
    for path in (f"/case/{case}", f"/case/{case}/way", f"/case/{case}/print"):
        shown = clerk.get(path).text
        assert re.search(rf'<img src="[^"]*/file/{kept["file"]}" alt="李初审的手写签名"', shown) and kept["digest"][:12] in shown, path
    answer = clerk.get(f"/file/{kept['file']}")
    assert (answer.data, answer.mimetype) == (picture, "image/png")
    path = guild.tenant.files.path(kept["digest"])
    for wrong in (fresh(), None):
        path.unlink() if wrong is None else path.write_bytes(wrong)
        shown = clerk.get(f"/case/{case}").text
        assert "签名图片与审批记录不符" in shown and "的手写签名" not in shown, "bytes that are not the signature's, or none"
    path.write_bytes(picture)
    assert "的手写签名" in clerk.get(f"/case/{case}").text
    table = guild.tenant.revision().tables.engine.file
    with guild.tenant.write() as conn:
        conn.execute(table.update().where(table.c.id == kept["file"]).values(digest="0" * 64))
    for path in (f"/case/{case}", f"/case/{case}/print"):
        shown = clerk.get(path).text
        assert "签名图片与审批记录不符" in shown and "的手写签名" not in shown, "another picture is not shown as the signature"


def enter(page: Any, at: str, person: str) -> list[str]:
    troubles: list[str] = []
    page.on("console", lambda m: troubles.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: troubles.append(str(e)))
    page.goto(f"{at}/login/")
    page.fill("#username", person)
    page.fill("#password", hall.PASSWORD)
    page.click("form[action*=login] button.primary")
    return troubles


@pytest.mark.browser
def test_a_mouse_draws_wipes_and_draws_again(guild: Any, page: Any, at: str) -> None:
    case = guild.start("by_hand", guild.request(name="鼠标手签"))
    troubles = enter(page, at, "checker")
    page.goto(f"{at}/task/{guild.open_task(case, 'checker')}")
    pad, value = page.locator(".decide [data-signpad]"), page.locator(".decide [name=signature]")
    assert pad.locator("[data-signpad-clear]").is_hidden()
    scribble(page, pad)
    assert value.input_value().startswith("data:image/png;base64,")
    pad.locator("[data-signpad-clear]").click()
    assert value.input_value() == "" and pad.locator(".here").is_visible()
    scribble(page, pad)
    page.click(".decidebar [value=pass]")
    page.wait_for_url("**/task/")
    assert drawn(guild, case)["digest"] and troubles == []


def scribble(page: Any, pad: Any) -> None:
    """Three strokes across the pad."""
    pad.scroll_into_view_if_needed()
    box = pad.locator("canvas").bounding_box()
    for row in (0.3, 0.5, 0.7):
        page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * row)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * (row + 0.1), steps=6)
        page.mouse.up()


@pytest.mark.browser
def test_a_finger_signs_in_the_dialog_on_a_phone(guild: Any, chromium: Any, at: str) -> None:
    """Touch on the pad draws and does not scroll the page; the dialog of sending back has a pad of its own."""
    case = guild.start("by_hand", guild.request(name="手指手签"))
    context = chromium.new_context(locale="zh-CN", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    try:
        page = context.new_page()
        troubles = enter(page, at, "checker")
        page.goto(f"{at}/task/{guild.open_task(case, 'checker')}")
        page.click("button:has-text('退回')")
        page.fill("#ask-text", "请补充")
        page.wait_for_timeout(400)                              # the dialog slides in
        touch(context.new_cdp_session(page), page.locator("dialog [data-signpad] canvas").bounding_box())
        assert page.locator("dialog [name=signature]").input_value().startswith("data:image/png;base64,")
        page.select_option("#ask-step", "initiator")
        page.click("dialog .btn.primary")
        page.wait_for_url("**/task/")
        assert guild.case(case)["status"] == "returned" and drawn(guild, case)["digest"] and troubles == []
    finally:
        context.close()


def touch(session: Any, box: dict[str, float]) -> None:
    for row in (0.3, 0.6):
        points = [{"x": box["x"] + box["width"] * part, "y": box["y"] + box["height"] * (row + part / 5)} for part in (0.15, 0.3, 0.5, 0.7, 0.85)]
        session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": points[:1]})
        for point in points[1:]:
            session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
