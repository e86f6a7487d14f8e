"""Import of spreadsheets: a trial keeps nothing, every problem names its row, good rows come in."""

import io
import re


def send(person, body, name="buyers.csv", **fields):
    data = {"csrf_token": person.token(), **fields}
    if body is not None:
        data["file"] = (io.BytesIO(body), name)
    return person.client.post(person.url("/e/shop.buyer/import"), data=data)


def count(person):
    return int(person.get("/e/shop.buyer/count").text)


GOOD = "姓名,手机,等级\n孔明,13912345678,金牌\nZhou Yu,13912345679,plain\n".encode()
MIXED = "姓名,手机,等级\n孙权,13912345670,普通\n,13912345671,普通\n曹操,12,钻石\n".encode("gb18030")


def test_a_trial_keeps_nothing_and_the_import_keeps_everything(visitor):
    person = visitor("li")
    before = count(person)
    trial = send(person, GOOD)
    assert trial.status_code == 200 and "可导入 2 行" in trial.text
    assert count(person) == before
    kept = re.search(r'name="_file" value="(\d+)"', trial.text)[1]
    assert send(person, None, _file=kept, _mode="all").status_code == 303
    assert count(person) == before + 2


def test_every_problem_names_its_row_and_good_rows_may_come_in(visitor):
    person = visitor("li")
    before = count(person)
    trial = send(person, MIXED)
    rows = re.findall(r'<td class="num">(\d+)</td><td>([^<]*)</td>', trial.text)
    assert ("2", "姓名") in rows and ("3", "手机") in rows and ("3", "等级") in rows
    kept = re.search(r'name="_file" value="(\d+)"', trial.text)[1]
    assert send(person, None, _file=kept, _mode="all").status_code == 200
    assert count(person) == before
    assert send(person, None, _file=kept, _mode="good_rows").status_code == 303
    assert count(person) == before + 1


def test_the_template_comes_back_as_an_import(visitor):
    from openpyxl import load_workbook

    person = visitor("li")
    book = load_workbook(io.BytesIO(person.get("/e/shop.buyer/import/template").data))
    sheet = book.active
    header = [cell.value for cell in sheet[1]]
    assert header[0] == "姓名" and set(header) == {"姓名", "手机", "等级", "可用送货方式", "惯用单价", "所在地区", "返点", "备注"}
    sheet.append(["诸葛亮"])
    out = io.BytesIO()
    book.save(out)
    assert "可导入 1 行" in send(person, out.getvalue(), "buyers.xlsx").text


def test_a_region_is_imported_by_its_words_or_its_code(visitor):
    person = visitor("li")
    sheet = "姓名,所在地区\n南山人,广东省 / 深圳市 / 南山区\n西湖人,330106\n外星人,火星省\n"
    told = send(person, sheet.encode(), "buyers.csv").text
    assert "可导入 2 行" in told and "没有这个行政区划" in told


def test_what_is_no_sheet_is_refused(visitor):
    person = visitor("li")
    for name, body in (
        ("a.txt", b"x"),
        ("a.xlsx", b"PK\x03\x04broken"),
        ("a.csv", b""),
        ("a.csv", b"\xff\xfe\x00"),
        ("a.csv", "姓名,爱好\nA,B".encode()),
        ("a.csv", "姓名".encode()),
    ):
        answer = send(person, body, name)
        assert 400 <= answer.status_code < 500, (name, body)
    assert send(person, None, _file="999999").status_code == 404


def test_import_needs_the_right(visitor):
    assert visitor("han").get("/e/shop.buyer/import").status_code == 403
