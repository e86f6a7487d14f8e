# ruff: noqa: E501
"""Export: exactly the rows and fields of the list, masks kept, nothing that a spreadsheet would run."""

import csv
import io
import resource
from datetime import date, datetime
from decimal import Decimal

import openpyxl
import pytest

from metaloom.base.errors import Invalid, NotAllowed
from metaloom.record import Filter, encode_display, encode_json
from metaloom.record.export import neutral
from tests.record.world import ID_CARDS, NOW, PHONES

FORMULAS = ["=1+1", "+1", "-1+1", "@SUM(1)", "\t=1", "\r=1", "＝1+1", "＋1", "－1", "＠x", " =1", "|calc", "%0A=1", '"=1"', "a=1"]


def read_csv(raw: bytes) -> list[list[str]]:
    assert raw.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline="")))


def exported(reader, entity="demo.project", format="csv", **asked):
    file = io.BytesIO()
    count = reader.export(entity, format=format, file=file, **asked)
    return count, file.getvalue()


@pytest.mark.parametrize("roles", [("own",), ("office",), ("own", "office"), ("own_secret", "office"), ("everything", "all_clients")])
def test_an_export_is_exactly_the_list(world, roles):
    view = world.catalog.lists["demo.project/main"]
    with world.as_(1, *roles) as reader:
        page = reader.list("demo.project", view=view, limit=200)
        count, raw = exported(reader, view=view)
        header, *rows = read_csv(raw)
        exportable = [row for row in page if "export" in row.actions]
        assert count == len(rows) == len(exportable)
        assert len(header) == len(page.paths)
        for row, cells in zip(exportable, rows, strict=True):
            shown = encode_display(world.revision, row, "zh", reader.zone)
            for path, cell in zip(page.paths, cells, strict=True):
                expected = shown.get(path, "")
                plain = str(row[path]) if isinstance(row[path], Decimal) else "" if expected == "-" else expected
                assert cell == plain, (path, cell)


def test_an_export_needs_its_own_right_and_covers_only_rows_where_it_holds(world):
    with world.as_(1, "tree") as reader, pytest.raises(NotAllowed):
        exported(reader)
    with world.as_(1, "own", "tree") as reader:
        assert len(reader.list("demo.project")) == 4
        assert exported(reader)[0] == 2
    with world.as_(1, "own") as reader:
        for wrong in ("pdf", "", None, "CSV"):
            with pytest.raises(Invalid):
                exported(reader, format=wrong)
        with pytest.raises(Invalid):
            exported(reader, filters=[Filter("nothing", "eq", "1")])


def test_masks_stay_in_both_formats(world):
    with world.as_(1, "office") as reader:
        for format in ("csv", "xlsx"):
            _, raw = exported(reader, "demo.client", format)
            text = raw.decode("utf-8-sig") if format == "csv" else repr(_cells(raw))
            assert "132****5917" in text and "110101**********9X" in text
            for secret in (*PHONES.values(), *ID_CARDS.values()):
                assert secret not in text


def test_formulas_become_text_and_negative_numbers_stay_numbers(world):
    with world.tenant.write() as conn:
        world._rows(conn, "demo.project", [
            {"id": 500 + i, "code": f"F{i}", "name": text, "owner_id": 2, "company_id": 1, "org_unit_id": 3, "budget": Decimal("-5.50"), "tags": [text],
             "closed_at": NOW, "starts_on": date(2026, 1, 2), "hours": -3} for i, text in enumerate(FORMULAS)])
    try:
        with world.as_(2, "everything") as reader:
            asked = {"filters": [Filter("code", "prefix", "F")], "paths": ["name", "tags", "budget", "hours", "starts_on", "closed_at"], "sort": ["id"]}
            _, raw = exported(reader, **asked)
            for row, formula in zip(read_csv(raw)[1:], FORMULAS, strict=True):
                assert row[0] == neutral(formula) and row[0][0] not in "=+-@\t\r＝＋－＠|%"
                assert row[1][0] not in "=+-@\t\r＝＋－＠"
                assert row[2:4] == ["-5.50", "-3"]
            _, raw = exported(reader, format="xlsx", **asked)
            book = openpyxl.load_workbook(io.BytesIO(raw))
            for cells, formula in zip(list(book.active.iter_rows())[1:], FORMULAS, strict=True):
                assert cells[0].data_type in ("s", "inlineStr") and cells[0].value.strip() == formula.strip()
                assert (cells[2].value, cells[2].data_type, cells[3].value) == (-5.5, "n", -3)
                assert cells[4].value == datetime(2026, 1, 2) and cells[5].value == datetime(2026, 11, 1, 16)
    finally:
        with world.tenant.write() as conn:
            table = world.revision.tables.of("demo.project")
            conn.execute(table.delete().where(table.c.id >= 500))


def _cells(raw: bytes):
    return [[cell.value for cell in row] for row in openpyxl.load_workbook(io.BytesIO(raw)).active.iter_rows()]


def test_a_workbook_shows_dates_and_amounts_whole_and_keeps_its_head_in_sight(world):
    with world.as_(1, "own") as reader:
        _, raw = exported(reader, format="xlsx", paths=["code", "starts_on", "created_at", "budget", "margin"])
    sheet = openpyxl.load_workbook(io.BytesIO(raw)).active
    assert [cell.number_format for cell in sheet[2]] == ["General", "yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss", "#,##0.00", "General"]
    widths = [sheet.column_dimensions[letter].width for letter in "ABCD"]
    assert widths[1] >= 12 and widths[2] >= 20 and widths[3] >= 16, widths
    assert sheet.freeze_panes == "A2" and sheet.auto_filter.ref.startswith("A1:E")


def test_an_empty_export_has_its_header(world):
    with world.as_(1, "own") as reader:
        for format in ("csv", "xlsx"):
            count, raw = exported(reader, format=format, filters=[Filter("code", "eq", "none")], paths=["code", "name"])
            assert count == 0
            assert (read_csv(raw) if format == "csv" else _cells(raw)) == [["编号", "名称"]]


def test_json_has_amounts_as_text_and_links_with_their_titles(world):
    with world.as_(1, "own") as reader:
        out = encode_json(world.revision, reader.get("demo.project", 1))
    assert out["budget"] == "100.00" and out["client"] == {"id": 1, "title": "张三"} and out["starts_on"] == "2026-01-01"
    assert out["created_at"] == "2026-11-01T08:00:00Z" and out["tags"] == ["a", "红"] and out["tasks"][0]["title"] == "task 1"
    assert out["margin"] == "0.12500000" and out["closed_at"] is None


def test_words_on_a_screen(world):
    with world.as_(1, "own") as reader:
        shown = encode_display(world.revision, reader.get("demo.project", 1), "zh", reader.zone)
        english = encode_display(world.revision, reader.get("demo.project", 1), "en", reader.zone)
    assert shown["budget"] == "100.00" and shown["margin"] == "12.50%" and shown["status"] == "草稿" and english["status"] == "Draft"
    assert shown["created_at"] == "2026-11-01 16:00:00" and shown["closed_at"] == "-" and shown["tags"] == "a、红"


def test_a_long_export_keeps_memory_flat(world):
    table = world.revision.tables.of("demo.project")
    with world.tenant.write() as conn:
        for start in range(0, 20_000, 1000):
            conn.execute(table.insert(), [{"id": 10_000 + start + i, "code": f"L{start + i}", "name": "长" * 50, "owner_id": 4, "company_id": 2, "org_unit_id": 5, "row_version": 1, "created_at": NOW,
                                           "updated_at": NOW, "secret": "x" * 150} for i in range(1000)])
    try:
        with world.as_(4, "own") as reader, open("/dev/null", "wb") as sink:
            reader.export("demo.project", format="csv", file=sink, filters=[Filter("code", "prefix", "L1")], paths=["code"])
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            assert reader.export("demo.project", format="csv", file=sink) >= 20_000
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000  # KiB
    finally:
        with world.tenant.write() as conn:
            conn.execute(table.delete().where(table.c.code.like("L%")))
