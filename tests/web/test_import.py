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
    assert ("3", "姓名") in rows and ("4", "手机") in rows and ("4", "等级") in rows
    assert "“钻石”不是可选项，可填：金牌、普通。" in trial.text
    kept = re.search(r'name="_file" value="(\d+)"', trial.text)[1]
    assert send(person, None, _file=kept, _mode="all").status_code == 200
    assert count(person) == before
    assert send(person, None, _file=kept, _mode="good_rows").status_code == 303
    assert count(person) == before + 1


def test_rows_are_numbered_as_the_workbook_shows_them(visitor):
    from openpyxl import Workbook, load_workbook

    person, book = visitor("li"), Workbook()
    for at, cells in {3: ("姓名", "手机"), 4: ("刘禅", "13912345670"), 7: ("赵云", "12"), 9: ("马超", "34")}.items():
        for column, value in enumerate(cells, 2):
            book.active.cell(at, column, value)
    out = io.BytesIO()
    book.save(out)
    trial = send(person, out.getvalue(), "buyers.xlsx")
    assert re.findall(r'<td class="num">(\d+)</td><td>([^<]*)</td>', trial.text) == [("7", "手机"), ("9", "手机")]
    kept = re.search(r'name="_file" value="(\d+)"', trial.text)[1]
    marked = load_workbook(io.BytesIO(send(person, None, _file=kept, _mode="marked").data)).active
    assert [cell.row for row in marked.iter_rows() for cell in row if cell.comment] == [7, 9]
    csv = "姓名,手机\n\n刘禅,12\n".encode()
    assert re.findall(r'<td class="num">(\d+)</td>', send(person, csv).text) == ["3"]


def test_the_template_comes_back_as_an_import(visitor):
    from openpyxl import load_workbook

    person = visitor("li")
    book = load_workbook(io.BytesIO(person.get("/e/shop.buyer/import/template").data))
    sheet = book.active
    header = [cell.value for cell in sheet[1]]
    assert header[0] == "姓名" and set(header) == {"姓名", "手机", "等级", "可用送货方式", "惯用单价", "所在地区", "返点", "备注"}
    formats = {cell.value: sheet.column_dimensions[cell.column_letter] for cell in sheet[1]}
    assert all(_numbers_as_typed(book, formats[name]) for name in ("姓名", "手机", "所在地区")), "no digit is lost, no zero in front"
    assert not _numbers_as_typed(book, formats["惯用单价"])
    assert [(str(rule.sqref), rule.formula1) for rule in sheet.data_validations.dataValidation] == [("C2:C5001", '"金牌,普通"')]
    assert next(cell.comment.text for cell in sheet[1] if cell.value == "可用送货方式").endswith("邮寄、送货上门、自提")
    sheet.append(["诸葛亮"])
    out = io.BytesIO()
    book.save(out)
    assert "可导入 1 行" in send(person, out.getvalue(), "buyers.xlsx").text


def _numbers_as_typed(book, column):
    """Whether the cells of the column are text."""
    return column.number_format == "@"


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


def test_the_marked_sheet_colours_and_explains_every_wrong_cell_and_comes_back_when_corrected(visitor):
    from openpyxl import load_workbook

    person = visitor("li")
    trial = send(person, MIXED)
    kept = re.search(r'name="_file" value="(\d+)"', trial.text)[1]
    answer = send(person, None, _file=kept, _mode="marked")
    book = load_workbook(io.BytesIO(answer.data))
    sheet = book.active
    red = {(cell.row, cell.column) for row in sheet.iter_rows(max_col=3) for cell in row if cell.fill.fgColor.rgb == "FFFFC7CE"}
    assert red == {(3, 1), (4, 2), (4, 3)}
    assert {(cell.row, cell.column) for row in sheet.iter_rows() for cell in row if cell.comment} == red
    assert sheet["D2"].value is None and "手机" in sheet["D4"].value and "等级" in sheet["D4"].value and sheet["A4"].value == "曹操"
    sheet["A3"], sheet["B4"], sheet["C4"] = "=1+1", "13912345699", "金牌"
    sheet["A3"].data_type = "s"
    out = io.BytesIO()
    book.save(out)
    again = send(person, out.getvalue(), "buyers.xlsx")
    assert again.status_code == 200 and "可导入 3 行" in again.text


def test_the_rows_that_stay_behind_come_by_themselves_and_are_imported_when_corrected(visitor):
    from openpyxl import load_workbook

    person = visitor("li")
    before = count(person)
    trial = send(person, MIXED)
    kept = re.search(r'name="_file" value="(\d+)"', trial.text)[1]
    assert "下载未通过的 2 行" in trial.text
    book = load_workbook(io.BytesIO(send(person, None, _file=kept, _mode="failed").data))
    sheet = book.active
    assert [row[0] for row in sheet.iter_rows(min_row=2, max_col=1, values_only=True)] == [3, 4] and count(person) == before
    send(person, None, _file=kept, _mode="good_rows")
    at = {cell.value: cell.column for cell in sheet[1]}
    sheet.cell(2, at["姓名"], "刘巴"), sheet.cell(3, at["手机"], "13912345699"), sheet.cell(3, at["等级"], "金牌")
    out = io.BytesIO()
    book.save(out)
    again = send(person, out.getvalue(), "buyers.xlsx")
    assert "可导入 2 行" in again.text, again.text
    send(person, None, _file=re.search(r'name="_file" value="(\d+)"', again.text)[1], _mode="all")
    assert count(person) == before + 3


def undo(person, run):
    return person.post(f"/e/shop.buyer/imports/{run}/undo")


def test_an_import_is_undone_except_what_changed_since(visitor, tenancy):
    from metaloom import command
    from tests.web.site import context_of

    person, li = visitor("li"), context_of(tenancy.open("alpha"), "li")
    before = count(person)
    done = command.import_records(li, "shop.buyer", [{"name": f"来客{n}", "mobile": f"1370000000{n}"} for n in range(4)], "all", name="来客.xlsx")
    changed, sold = done.created[0], done.created[1]
    command.change_record(li, "shop.buyer", changed, {"remark": "熟客"}, 1)
    command.archive_record(li, "shop.buyer", sold, 1)
    page = person.get("/e/shop.buyer/imports").text
    assert "来客.xlsx" in page and f"/imports/{done.run}/undo" in page
    answer = undo(person, done.run)
    assert answer.status_code == 200 and "收回 2 条，保留 2 条" in answer.text and "来客0" in answer.text and "导入后已有改动" in answer.text
    assert count(person) == before + 1
    assert "保留 1 条" in undo(person, done.run).text
    gone = command.import_records(li, "shop.buyer", [{"name": "过客"}], "all")
    assert undo(person, gone.run).status_code == 303 and undo(person, gone.run).status_code == 409
    with tenancy.open("alpha").read() as conn:
        from metaloom.storage.tables import ENGINE

        audit = ENGINE.audit
        asked = audit.select().where(audit.c.command == "undo_import", audit.c.record_id.is_(None)).order_by(audit.c.id)
        row = next(row for row in conn.execute(asked).mappings() if row["after"]["undo_import"]["run"] == done.run)
        assert row["after"]["undo_import"]["kept"] == [sold, changed] and row["channel"] == "import"


def test_nobody_undoes_what_others_imported(visitor, tenancy):
    from metaloom import command
    from tests.web.site import context_of

    run = command.import_records(context_of(tenancy.open("alpha"), "li"), "shop.buyer", [{"name": "张三丰"}], "all").run
    assert visitor("han").get("/e/shop.buyer/imports").status_code == 403
    assert undo(visitor("han"), run).status_code == 403
    assert undo(visitor("li"), 10**6).status_code == 404


def test_a_repeated_key_undoes_once_and_says_the_same(tenancy):
    from metaloom import command
    from tests.web.site import context_of

    li = context_of(tenancy.open("alpha"), "li")
    run = command.import_records(li, "shop.buyer", [{"name": "石敢当"}], "all").run
    first, second = (command.undo_import(li.with_key("undo-1"), run) for _ in range(2))
    assert (first.taken_back, second.taken_back, second.replayed) == (1, 1, True)


def call(person, method, path, body=None):
    """REST with the session of the browser."""
    return person.client.open(person.url(f"/api/v1{path}"), method=method, json=body, headers={"X-CSRFToken": person.token()})


def test_rest_tries_keeps_and_takes_back(visitor):
    person = visitor("li")
    rows = [{"name": "铁木真", "mobile": "13912345611"}, {"name": "", "mobile": "12"}]
    tried = call(person, "POST", "/shop.buyer/import", {"rows": rows}).json
    assert (tried["created"], tried["good"], tried["run"]) == ([], 1, None)
    assert {(p["row"], p["field"]) for p in tried["problems"]} == {(2, "name"), (2, "mobile")}
    done = call(person, "POST", "/shop.buyer/import", {"rows": rows, "mode": "good_rows", "name": "rest"}).json
    listed = call(person, "GET", "/shop.buyer/imports").json["items"]
    assert len(done["created"]) == 1 and listed[0]["id"] == done["run"] and listed[0]["name"] == "rest"
    assert call(person, "POST", f"/shop.buyer/imports/{done['run']}/undo").json["taken_back"] == 1
    assert call(person, "POST", f"/shop.buyer/imports/{done['run']}/undo").status_code == 409
    assert call(person, "POST", f"/shop.sale/imports/{done['run']}/undo").status_code == 404
    for wrong in ({}, {"rows": []}, {"rows": [1]}, {"rows": rows, "mode": "some"}, {"rows": rows, "drop": 1}):
        assert call(person, "POST", "/shop.buyer/import", wrong).status_code == 400
    assert call(visitor("han"), "POST", "/shop.buyer/import", {"rows": rows}).status_code == 403


def test_a_link_to_what_is_archived_is_told_as_that_and_its_title_is_still_known(tenancy):
    from metaloom import command
    from metaloom.base.clock import SystemClock
    from metaloom.command.session import Pinned
    from tests.web.site import context_of

    li = context_of(tenancy.open("alpha"), "li")
    made = command.create_record(li, "shop.buyer", {"name": "退场客"})
    command.archive_record(li, "shop.buyer", made.id, made.row_version)
    pinned = Pinned(tenancy.open("alpha"), "test", SystemClock())
    pinned.enter(li.actor.user_id, "screen")
    try:
        told = [{p.field: p.message.code for p in row.problems}
                for row in command.read_import(pinned, "shop.sale", [{"buyer": "退场客"}, {"buyer": "退场客"}, {"buyer": "从未来过"}], "import")]
        assert [one["buyer"] for one in told] == ["record.link_archived", "record.link_archived", "record.link_missing"]
        assert [hit.title for hit in pinned.reader.lookup("shop.buyer", ids=[made.id])] == ["退场客"]
        assert pinned.reader.lookup("shop.buyer", "退场客") == [] and not pinned.reader.visible("shop.buyer", [made.id])
    finally:
        pinned.release()
