"""Files that are not what they say: wrong bytes, two kinds in one, scripts, bombs. Refused in words, or given out so that nothing in them runs."""

import io
import time
import tracemalloc

import pytest

from metaloom.base.errors import Invalid, NotPossible
from metaloom.command.file_kind import kind_of
from metaloom.record import sheet
from metaloom.record.sheet import _refuse_swelling, read_rows
from tests.security.archives import (
    TYPES,
    archive,
    before_its_beginning,
    beyond_every_place,
    one_part_many_times,
    swelling,
    that_lies,
    workbook,
)

PNG, JPEG, GIF, PDF = b"\x89PNG\r\n\x1a\n" + b"\0" * 20, b"\xff\xd8\xff\xe0" + b"\0" * 20, b"GIF89a" + b"\0" * 20, b"%PDF-1.7\n"
OLE, WEBP = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 30, b"RIFF\x10\0\0\0WEBPVP8 " + b"\0" * 10
WORD = archive({"[Content_Types].xml": TYPES, "word/document.xml": "<d/>"})
ROW = '<row r="1"><c r="A1"><v>1</v></c></row>'
SCRIPTS = (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", b"<html><script>alert(1)</script>", b"<?xml version='1.0'?><svg/>",
           b"\xef\xbb\xbf<svg onload=alert(1)>", b"<!-- x --><svg onload=alert(1)>", b"\n\t <!DOCTYPE html>", b"<script>alert(1)</script>",
           b"\xff\xfe<\0s\0v\0g\0>\0", b"MZ\x90\0\x03", b"\x7fELF\x02", b"#!/bin/sh\nid\n", b"<?php system($_GET[0]); ?>", b"\xca\xfe\xba\xbe\0\0")
GOOD = {"a.png": PNG, "a.jpg": JPEG, "a.JPEG": JPEG, "a.gif": GIF, "a.pdf": PDF, "a.doc": OLE, "a.webp": WEBP, "a.docx": WORD, "a.xlsx": workbook(ROW),
        "a.pptx": archive({"[Content_Types].xml": TYPES, "ppt/presentation.xml": "<p/>"}), "a.zip": archive({"scan.png": PNG}),
        "a.txt": "说明".encode(), "a.csv": "编号,姓名\n1,张三\n".encode("gb18030")}
NO_FILE = ("a.svg", "a.html", "a.xhtml", "a.xml", "a.js", "a.exe", "a.sh", "a.php", "a.jar", "a.hta", "a.swf", "a.docm", "a.xlsm", "a.lnk", "a", "a.")


def refused(name: str, body: bytes) -> bool:
    try:
        kind_of(name, io.BytesIO(body))
    except Invalid:
        return True
    return False


def test_what_a_file_is_must_fit_its_name() -> None:
    """Every kind of content under the name of every other kind."""
    assert [name for name, body in GOOD.items() if refused(name, body)] == []
    same = ({"a.jpg", "a.JPEG"}, {"a.txt", "a.csv"}, {"a.zip", "a.docx", "a.xlsx", "a.pptx"})
    wrong = [(name, other) for name in GOOD for other, body in GOOD.items()
             if name != other and not any({name, other} <= group for group in same) and not refused(name, body)]
    assert wrong == []
    for office in ("a.docx", "a.xlsx", "a.pptx"):
        assert [other for other in same[2] - {office} if not refused(office, GOOD[other])] == [], office


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script[:12].hex())
def test_scripts_and_programs_pass_under_no_name(script: bytes) -> None:
    assert [name for name in (*GOOD, *NO_FILE) if not refused(name, script)] == []


def test_no_name_of_a_kind_that_runs_is_taken() -> None:
    assert [name for name in NO_FILE for body in GOOD.values() if not refused(name, body)] == []


@pytest.mark.parametrize("body", [
    archive({"[Content_Types].xml": TYPES, "word/document.xml": "<d/>", "word/vbaProject.bin": OLE}), archive({"word/document.xml": "<d/>"}),
    swelling(210), that_lies(swelling(210)), one_part_many_times(100), WORD[:-30], b"PK\x03\x04" + b"\0" * 60,
    archive({"[Content_Types].xml": TYPES, "word/document.xml": "<d/>", "../../etc/cron.d/x": "x"}),
    archive({"[Content_Types].xml": TYPES, "word/document.xml": "<d/>"} | {f"p{n}": "" for n in range(5_001)}),
    beyond_every_place(WORD), before_its_beginning(WORD),
], ids=["macro", "no card", "swells", "swells and lies", "one part a hundred times", "cut off", "no archive", "way out", "parts without end",
        "beyond every place", "before its beginning"])
def test_an_archive_is_measured_before_it_is_kept(body: bytes) -> None:
    began = time.process_time()
    assert refused("a.docx", body)
    assert time.process_time() - began < 20


@pytest.mark.parametrize("body", [that_lies(swelling(130, "xl/worksheets/sheet1.xml")), one_part_many_times(60), swelling(130)],
                         ids=["lies", "one part many times", "swells"])
def test_a_sheet_that_swells_is_refused_whatever_its_directory_says(body: bytes) -> None:
    with pytest.raises(NotPossible) as found:
        read_rows("a.xlsx", body)
    assert found.value.message.code == "sheet.too_large"


FAR = ('<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>', '<row r="900000"><c r="ALL900000"><v>1</v></c></row>',
       '<row r="1048576"><c><v>1</v></c>' + "<c/>" * 9 + "</row>", "<row r='1048576'><c r='zz1048576'><v>1</v></c></row>")


@pytest.mark.parametrize("far", FAR, ids=["last cell", "far away", "without address", "small letters"])
@pytest.mark.parametrize("place", ["worksheets/sheet1.xml", "media/picture.png"])
def test_two_cells_far_apart_do_not_take_the_memory_of_all_between(far: str, place: str) -> None:
    """A reader of sheets lays out every cell between the first and the last one: 17 thousand million of them."""
    with pytest.raises(NotPossible) as found:
        read_rows("a.xlsx", workbook(ROW + far, sheet=place))
    assert found.value.message.code == "sheet.too_wide"


CROWDS = {"addresses": ' r="A1"' * 300_000, "cells": "<c/>" * 500_000, "tags without end": "<c " * 500_000, "rows": '<row r="1"/>' * 200_000}


@pytest.mark.parametrize("crowd", CROWDS)
def test_measuring_how_far_cells_reach_takes_no_memory_of_its_own(crowd: str) -> None:
    """Megabytes that take some kilobytes packed: nothing is kept for each of them."""
    body = workbook("<row><c/></row>" + CROWDS[crowd])
    tracemalloc.start()
    try:
        _refuse_swelling(body)
    except NotPossible:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 10 * 1024 * 1024


def test_cells_are_counted_no_further_than_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """What says nothing about where it stands is counted as well, across the pieces in which a part is read."""
    monkeypatch.setattr(sheet, "CELLS_MAX", 40_000)
    for text in (CROWDS["cells"], "<row>" + "<c/>" * 70_000 + "</row>", "<row/>" * 50_000 + "<row><c/></row>", "<row>" + CROWDS["addresses"]):
        with pytest.raises(NotPossible):
            read_rows("a.xlsx", workbook("<row/>" + text))


def test_where_a_piece_ends_hides_no_address() -> None:
    """An address on every seam between two pieces, with spaces as wide as a piece."""
    for piece in (*range(65, 140, 7), 1_000):
        for text in (FAR[0], FAR[2], FAR[0].replace("r=", "r \n =" + " " * 300), '<x:row r="1048576"  >' + "<x:c\t/>" * 9):
            reach = sheet._Reach("a")
            body = (ROW * 3 + text).encode()
            with pytest.raises(NotPossible):
                for at in range(0, len(body), piece):
                    reach(body[at:at + piece])
                reach(b"")


def test_entities_in_a_sheet_are_not_unfolded() -> None:
    laughs = "<!DOCTYPE w [<!ENTITY a0 \"aaaaaaaaaa\">" + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10)) + "]>"
    text = '<row r="1"><c r="A1" t="inlineStr"><is><t>{}</t></is></c></row><row r="2"><c r="A2"><v>1</v></c></row>'
    with pytest.raises(NotPossible):
        read_rows("a.xlsx", workbook(text.format("&a9;"), laughs))
    outside = '<!DOCTYPE w [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    with pytest.raises(NotPossible):
        read_rows("a.xlsx", workbook(text.format("&a;"), outside))
    assert read_rows("a.xlsx", workbook(text.format("名称"))) == [["名称"], [1.0]]


def test_an_upload_of_each_kind_is_refused_at_every_door_and_leaves_nothing(world) -> None:
    """Screen and REST, before bytes or a row are kept."""
    browser, caller = world.browser("chief"), world.client().login("chief")
    tenant = world.tenants["one"]
    folder = tenant.files._folder
    before = sorted(folder.rglob("*"))
    for name, body in (("a.docx", swelling(210)), ("a.docx", PNG), ("a.png", SCRIPTS[0]), ("a.svg", SCRIPTS[0]), ("a.xlsx", GOOD["a.zip"])):
        answer = browser.post("/files", {"file": (io.BytesIO(body), name)}, content_type="multipart/form-data")
        assert answer.status_code in (400, 422) and answer.json["error"], (name, answer.status_code)
        token = {"Authorization": f"Bearer {caller.token}"}
        answer = caller.http.post("/one/api/v1/files", data={"file": (io.BytesIO(body), name)}, headers=token, content_type="multipart/form-data")
        assert answer.status_code in (400, 422), (name, answer.get_data(as_text=True))
    assert sorted(folder.rglob("*")) == before


def test_two_kinds_in_one_file_are_given_out_so_that_neither_runs(world) -> None:
    """A picture that is a page as well (and an archive behind a paper): the kind is said, guessing and scripts are forbidden."""
    browser = world.browser("chief")
    for name, body, kind in (("a.gif", b"GIF89a/*<script>alert(1)</script>*/=1;", "image/gif"), ("a.pdf", PDF + GOOD["a.zip"], "application/pdf"),
                             ("a.png", PNG + b"<script>alert(1)</script>", "image/png"), ("a.txt", "名 <script>alert(1)</script>".encode(), None)):
        made = browser.post("/files", {"file": (io.BytesIO(body), name)}, content_type="multipart/form-data")
        assert made.status_code == 201, made.text
        answer = browser.get(f"/file/{made.json['id']}")
        assert answer.status_code == 200 and answer.data == body
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        policy = answer.headers["Content-Security-Policy"]
        assert "sandbox" in policy and "default-src 'none'" in policy and "allow-scripts" not in policy
        if kind:
            assert answer.mimetype == kind
        else:
            assert answer.mimetype == "application/octet-stream" and answer.headers["Content-Disposition"].startswith("attachment")


def test_a_sheet_as_large_as_is_allowed_is_read() -> None:
    from metaloom.record.sheet import ROWS_MAX

    row = "".join(f"<c r=\"{chr(65 + at // 26)}{chr(65 + at % 26)}{{n}}\"><v>1</v></c>" for at in range(60))
    rows = "".join(f'<row r="{n}">' + row.replace("{n}", str(n)) + "</row>" for n in range(1, ROWS_MAX + 2))
    assert len(read_rows("a.xlsx", workbook(rows))) == ROWS_MAX + 1
