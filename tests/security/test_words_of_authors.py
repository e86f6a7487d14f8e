"""What an author of metadata writes is words: neither templates, nor pages, nor formulas, wherever it is shown."""

import io
import re
import zipfile

import pytest

from metaloom.compile import Source
from metaloom.schema_change import publish, rollback, sources_of
from tests.api import world as depot

HOSTILE = {"template": "Zq{{ 7*191 }}Zq${7*191}Zq#{7*191}Zq<%=7*191%>", "script": "<img src=x onerror=alert(1)>\"'><svg/onload=alert(2)>",
           "formula": "=HYPERLINK(\"http://evil.example\")"}
# What one of them would become. The mark in front belongs to it: four digits alone stand in many a token that is random.
RECKONED = re.compile(r"Zq[$#]?1337")
LABELS = ("买家", "编号", "姓名", "手机", "订单", "单号", "金额", "状态", "备注", "草稿", "提交",
          "大额", "红", "仓库", "工作台", "订单数", "按状态", "出货单",
          "明细", "品名")
PAGES = ("/", "/e/depot.sale/", "/e/depot.sale/new", "/e/depot.sale/{sale}", "/e/depot.sale/{sale}/edit", "/e/depot.buyer/", "/e/depot.buyer/new",
         "/e/depot.buyer/{buyer}", "/e/depot.sale/?tab=big", "/search?q=a", "/e/depot.sale/{sale}/tab/history")


def written_by(text: str, words: str) -> str:
    """The document with ``words`` in place of every label that a screen shows, in both languages."""
    quoted = "'" + words.replace("'", "''") + "'"
    for label in LABELS:
        for end in (",", "}"):
            text = text.replace(f"zh: {label}{end}", f"zh: {quoted}{end}")
    return text


@pytest.fixture(scope="module", params=HOSTILE)
def author(request, world):
    """The depot with one kind of hostile words as labels of entities, fields, choices, states, actions, tabs, menu, widgets and papers."""
    tenant = world.tenants["one"]
    before = tenant.revision().number
    words = HOSTILE[request.param]
    caller = world.client().login("chief")
    sale = caller.sale(note="plain", lines=[{"what": "x", "quantity": 1}])
    buyer = caller.get(f"/depot.sale/{sale}").json["buyer"]
    texts = [Source(s.layer, s.path, written_by(s.text, words) if s.path in depot.FILES else s.text) for s in sources_of(tenant, before)]
    publish(tenant, texts)
    yield world, request.param, words, sale, buyer["id"] if isinstance(buyer, dict) else buyer
    rollback(tenant, before)


@pytest.mark.parametrize("shown", ["Zq1337Zq${7*191}", "Zq{{ 7*191 }}Zq1337Zq#", "Zq$1337Zq", "Zq#{7*191}Zq1337"])
def test_what_was_reckoned_is_known_by_the_mark_before_it(shown):
    assert RECKONED.search(shown) and not RECKONED.search(HOSTILE["template"]) and not RECKONED.search('value="IjEx1337Zq"')


def test_words_of_an_author_are_shown_as_they_stand_on_every_page(author):
    world, kind, words, sale, buyer = author
    browser = world.browser("chief")
    shown = 0
    for path in PAGES:
        answer = browser.get(path.format(sale=sale, buyer=buyer))
        assert answer.status_code in (200, 404), (path, answer.status_code)
        page = answer.text
        assert not RECKONED.search(page), f"{path} reckoned"
        assert "<img src=x" not in page and "<svg/onload" not in page, f"{path} holds a tag of the author"
        assert "onerror=alert" not in page.replace("onerror=alert(1)&gt;", ""), path
        shown += page.count({"template": "{{ 7*191 }}", "script": "&lt;img src=x onerror=alert(1)&gt;", "formula": "=HYPERLINK("}[kind])
    assert shown > 40, "the words stood on the pages"


def test_words_of_an_author_are_text_in_files(author):
    """Headers of sheets are typed text, of CSV marked as text; a paper is drawn."""
    world, kind, words, sale, _ = author
    browser = world.browser("chief")
    sheet = browser.get("/e/depot.sale/export?format=xlsx")
    assert sheet.status_code == 200
    with zipfile.ZipFile(io.BytesIO(sheet.data)) as book:
        content = "".join(book.read(name).decode() for name in book.namelist() if name.endswith(".xml"))
    assert "<f>" not in content and not RECKONED.search(content) and "<img" not in content
    text = browser.get("/e/depot.sale/export?format=csv").data.decode("utf-8-sig")
    head = text.splitlines()[0]
    assert not RECKONED.search(text)
    if kind == "formula":
        assert not any(cell.strip('"').startswith(("=", "+", "-", "@")) for cell in head.split(",")) and "'=HYPERLINK" in head
    paper = world.client().login("chief").get(f"/depot.sale/{sale}/print/slip")
    assert paper.status_code in (200, 403) and b"/JavaScript" not in paper.data and b"/URI" not in paper.data


def test_words_of_an_author_are_text_in_the_answers_of_the_api(author):
    world, kind, words, sale, _ = author
    caller = world.client().login("chief")
    for path in (f"/depot.sale/{sale}", "/depot.sale?limit=5", "/openapi.json", "/menu", "/me", f"/depot.sale/{sale}/actions"):
        answer = caller.get(path, Accept_Language="zh")
        assert answer.status_code == 200, (path, answer.status_code)
        assert answer.mimetype.endswith("json") and answer.headers["X-Content-Type-Options"] == "nosniff"
        assert not RECKONED.search(answer.get_data(as_text=True)), f"{path} reckoned"
