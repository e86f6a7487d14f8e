"""Long imports on the screen: checked and taken in the background, with progress, each row at fault, and a sheet of those rows to correct."""

import csv
import io
import re
from zipfile import ZipFile

import pytest
from openpyxl import Workbook, load_workbook

from metaloom.base.clock import SystemClock
from metaloom.base.text import Text
from metaloom.command import handle_import, import_sheet, limits
from metaloom.job import run_due
from metaloom.model import Field, FieldType
from metaloom.plugin.registry import installed
from metaloom.record import sheet
from tests.web.test_import import call, count, send

SHEET = "姓名,手机,等级\n" + "".join(f"长单{n},1390000{n:04},{'钻石' if n in (3, 9) else '普通'}\n" for n in range(1, 13))


@pytest.fixture
def few(monkeypatch):
    """More than five rows are too many for one answer."""
    monkeypatch.setattr(limits, "LIMITS", {**limits.LIMITS, "import_rows_at_once": 5})


@pytest.fixture
def work(tenancy):
    return lambda: run_due(tenancy.open("alpha"), {"import.run": lambda tenant, row: handle_import(tenant, row, plugins=installed(), clock=SystemClock())})


def test_a_long_sheet_is_checked_taken_corrected_and_taken_back(visitor, few, work):
    person, before = visitor("li"), None
    before = count(person)
    begun = send(person, SHEET.encode())
    assert begun.status_code == 303 and re.fullmatch(r"/alpha/e/shop\.buyer/imports/\d+", begun.headers["Location"])
    place = begun.headers["Location"].removeprefix("/alpha")
    page = person.get(place).text
    assert "等待中" in page and 'hx-trigger="every 2s"' in page and "已处理 0 行，共 12 行" in page and f"{place}/cancel" in page
    work()
    page = person.get(place).text
    assert "已检查" in page and "every 2s" not in page and "只导入没有问题的 10 行" in page and count(person) == before
    assert re.findall(r'<td class="num">(\d+)</td><td>([^<]*)</td>', page) == [("4", "等级"), ("10", "等级")]
    assert person.post(f"{place}/start").status_code == 303
    work()
    page = person.get(place).text
    assert "已完成" in page and count(person) == before + 10 and "上传改好的文件" in page
    answer = person.get(f"{place}/failed")
    failed = load_workbook(io.BytesIO(answer.data)).active
    assert [[cell.value for cell in row[:4]] for row in failed.iter_rows()] == [
        ["原行号（请勿修改）", "姓名", "手机", "等级"], [4, "长单3", "13900000003", "钻石"], [10, "长单9", "13900000009", "钻石"]]
    assert failed["D2"].comment and "等级" in failed["E2"].value
    again = upload(person, place, answer.data)
    assert again.status_code == 303
    work()
    assert "未通过的行" in person.get(place).text and count(person) == before + 10, "nothing was corrected, so nothing came in"
    book = load_workbook(io.BytesIO(answer.data))
    book.active["D2"] = "金牌"
    out = io.BytesIO()
    book.save(out)
    upload(person, place, out.getvalue())
    work()
    assert count(person) == before + 11
    refused = upload(person, place, out.getvalue())
    assert refused.status_code == 409 and "原行号 4" in refused.text, "a row that is in does not come a second time"
    listed = person.get("/e/shop.buyer/imports").text
    assert place in listed and "已完成" in listed
    assert person.post(f"{place}/undo").status_code == 303 and count(person) == before


def test_a_sheet_of_failed_rows_holds_so_many_and_the_next_ones_come_after(visitor, few, work, monkeypatch):
    monkeypatch.setattr(import_sheet, "FAILED_AT_ONCE", 2)
    monkeypatch.setattr(sheet, "COMMENTS_MAX", 1)
    person = visitor("li")
    place = send(person, SHEET.replace("长单", "多单").replace("普通", "白银").encode()).headers["Location"].removeprefix("/alpha")
    work()
    assert all(words in person.get(place).text for words in ("下载未通过的前 2 行（共 12 行）", "Excel 一次最多 2 行"))
    person.post(f"{place}/start")
    work()
    assert "下载全部 12 行（CSV）" in person.get(place).text and person.get(f"{place}/failed?format=pdf").status_code == 404
    whole = person.get(f"{place}/failed?format=csv")
    assert whole.mimetype == "text/csv" and whole.headers["Content-Disposition"].startswith('attachment; filename="shop.buyer-import')
    lines = list(csv.DictReader(io.StringIO(whole.data.decode("utf-8-sig"))))
    assert len(lines) == 12 and [line["原行号（请勿修改）"] for line in lines][:4] == ["2", "3", "4", "5"]
    assert all("等级" in list(line.values())[-1] for line in lines)
    seen = []
    for left in (12, 10):
        body = person.get(f"{place}/failed").data
        book = load_workbook(io.BytesIO(body))
        rows = list(book.active.iter_rows(min_row=2))
        assert f"共 {left} 行" in person.get(place).text and [bool(cell.comment) for cell in (rows[0][3], rows[1][3])] == [True, False]
        assert all("等级" in row[4].value for row in rows), "without a comment the column still says what is wrong"
        seen += [row[0].value for row in rows]
        for row in rows:
            row[3].value = "金牌"
        out = io.BytesIO()
        book.save(out)
        upload(person, place, out.getvalue())
        work()
    assert seen == [2, 3, 4, 5]
    person.post("/settings/locale", {"locale": "en"})
    assert "Download the first 2 of 8 rows that failed" in person.get(place).text
    person.post("/settings/locale", {"locale": "zh"})
    rest = person.get(f"{place}/failed?format=csv").data.decode("utf-8-sig").replace("白银", "金牌").replace("钻石", "金牌")
    data = {"csrf_token": person.token(), "file": (io.BytesIO(rest.encode()), "corrected.csv")}
    assert person.client.post(person.url(f"{place}/corrected"), data=data).status_code == 303
    work()
    assert person.get(f"{place}/failed").status_code == 404, "all of them came back in one file"


def upload(person, place, body):
    data = {"csrf_token": person.token(), "file": (io.BytesIO(body), "corrected.xlsx")}
    return person.client.post(person.url(f"{place}/corrected"), data=data)


def test_one_is_stopped_and_goes_on_and_english_is_spoken(visitor, few, work):
    person = visitor("li")
    place = send(person, SHEET.replace("钻石", "普通").replace("长单", "停单").encode()).headers["Location"].removeprefix("/alpha")
    assert person.post(f"{place}/cancel").status_code == 303 and "已停止" in person.get(place).text
    assert person.post(f"{place}/cancel").status_code == 409
    work()
    assert person.post(f"{place}/start").status_code == 303
    work()
    page = person.get(place).text
    assert "导入全部 12 行" in page
    person.post("/settings/locale", {"locale": "en"})
    assert "Import all 12 rows" in person.get(place).text and "Checked" in person.get(place).text
    person.post("/settings/locale", {"locale": "zh"})
    assert person.get(f"{place}/failed").status_code == 404


def test_nobody_else_sees_or_moves_it(visitor, few, work):
    person, other = visitor("li"), visitor("han")
    place = send(person, SHEET.encode()).headers["Location"].removeprefix("/alpha")
    work()
    for path, method in ((place, other.get), (f"{place}/failed", other.get), (f"{place}/start", other.post), (f"{place}/cancel", other.post),
                         (f"{place}/corrected", other.post), (f"{place}/undo", other.post)):
        assert method(path).status_code == 403, path
    for path in (place.replace("shop.buyer", "shop.sale"), "/e/shop.buyer/imports/9999999", "/e/shop.buyer/imports/99999999999999999999"):
        assert person.get(path).status_code in (403, 404), path
    assert "extra" not in person.get(place).text and upload(person, place, b"no sheet").status_code == 409


def test_rest_answers_with_a_place_to_ask(visitor, few, work):
    person = visitor("li")
    rows = [{"name": f"远单{n}", "mobile": f"1380000{n:04}"} for n in range(7)] + [{"name": "", "mobile": "12"}]
    begun = call(person, "POST", "/shop.buyer/import", {"rows": rows, "name": "rest"})
    assert begun.status_code == 202 and begun.json["status"] == "waiting" and begun.headers["Location"].endswith(f"/shop.buyer/imports/{begun.json['id']}")
    place = f"/shop.buyer/imports/{begun.json['id']}"
    work()
    seen = call(person, "GET", place).json
    assert (seen["status"], seen["good"], seen["failed"]) == ("checked", 7, 1)
    assert {(p["row"], p["field"]) for p in seen["problems"]} == {(8, "name"), (8, "mobile")}
    assert call(person, "POST", f"{place}/start", {}).json["status"] == "waiting"
    assert call(person, "POST", f"{place}/cancel", {}).json["status"] == "cancelled"
    assert call(person, "POST", f"{place}/start", {}).status_code == 200
    work()
    assert call(person, "GET", place).json["kept"] == 7 and call(person, "POST", f"{place}/start", {}).status_code == 409
    assert call(person, "POST", f"{place}/undo", {}).json["taken_back"] == 7
    at_once = call(person, "POST", "/shop.buyer/import", {"rows": rows[:7], "mode": "all"})
    assert at_once.status_code == 200 and len(at_once.json["created"]) == 7, "all or none is one transaction"
    assert call(visitor("han"), "GET", place).status_code == 403 and call(person, "GET", "/shop.buyer/imports/0").status_code == 404


@pytest.mark.parametrize("name", ["a\nb", "a\r\nSubject: b", "a\u2028b\x85", "\x7f\x01"])
def test_a_name_holds_no_line_break(visitor, few, work, name):
    """It becomes the name of a download and the subject of a message."""
    person = visitor("li")
    rows = [{"name": f"名单{n}", "mobile": "12"} for n in range(6)]
    begun = call(person, "POST", "/shop.buyer/import", {"rows": rows, "name": name})
    work()
    seen = call(person, "GET", f"/shop.buyer/imports/{begun.json['id']}").json
    assert begun.status_code == 202 and seen["failed"] == 6 and seen["name"].isprintable()
    assert person.get(f"/e/shop.buyer/imports/{begun.json['id']}/failed").status_code == 200
    at_once = call(person, "POST", "/shop.buyer/import", {"rows": [{"name": "名单", "mobile": "13912340001"}], "name": name, "mode": "all"}).json
    assert call(person, "GET", "/shop.buyer/imports").json["items"][0]["name"].isprintable()
    assert call(person, "POST", f"/shop.buyer/imports/{at_once['run']}/undo", {}).status_code == 200


def test_numbers_that_no_workbook_holds_come_back_as_words(visitor, few, work):
    person = visitor("li")
    out, book = io.BytesIO(), Workbook()
    for cells in (("姓名", "手机", "等级"), *((f"数单{n}", f"1370000{n:04}", float(n)) for n in range(7))):
        book.active.append(cells)
    book.save(out)
    place = send(person, with_numbers(out.getvalue(), {"<v>0</v>": "<v>NaN</v>", "<v>5</v>": "<v>1e999</v>"}), "buyers.xlsx").headers["Location"]
    work()
    answer = person.get(place.removeprefix("/alpha") + "/failed")
    assert answer.status_code == 200
    grades = [row[3].value for row in load_workbook(io.BytesIO(answer.data)).active.iter_rows(min_row=2)]
    assert grades == ["nan", 1, 2, 3, 4, "inf", 6]


def with_numbers(body, changed):
    """The workbook with other numbers written into its sheet."""
    out = io.BytesIO()
    with ZipFile(io.BytesIO(body)) as old, ZipFile(out, "w") as new:
        for part in old.namelist():
            text = old.read(part)
            if "/sheet1" in part:
                for was, now in changed.items():
                    assert text.count(was.encode()) == 1, was
                    text = text.replace(was.encode(), now.encode())
            new.writestr(part, text)
    return out.getvalue()


@pytest.mark.parametrize("typed", ["=1+1", "-5.00", "+86 13800000000", "@x", "普通", "'quoted'", ""])
def test_what_a_file_of_failed_rows_makes_safe_comes_back_as_it_was_typed(typed):
    """Spreadsheets show a leading apostrophe where they would calculate; an import takes it off again."""
    field = Field(name="code", label=Text("编号", "Code"), type=FieldType.TEXT)
    body = sheet.all_failed([(2, {"code": typed or None}, [("code", "不对")])], [field], "zh")
    head, row = sheet.read_rows("a.csv", body, 10)
    assert list(row)[:2] == ["2", typed] or typed == "" and list(row)[1] in ("", None)
    assert not typed.startswith(("=", "-", "+")) or f"'{typed}" in body.decode("utf-8-sig")
