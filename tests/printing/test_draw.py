"""The maker of PDF files: what stands on the sheet is in the file, in a font that travels with it, whatever the words are."""

from __future__ import annotations

import io
import re

import pypdf
import pytest

from metaloom.base.errors import NotPossible
from metaloom.printing import Facts, Head, Line, Sheet, Signs, Table, Words, draw, pdf
from metaloom.printing.font import printable, width
from metaloom.printing.wrap import NEVER_FIRST, lines

HEADS = (Head("期次", True), Head("应还日期"), Head("应还本金", True))


def read(content: bytes) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(content))


def text_of(content: bytes) -> str:
    return "\n".join(page.extract_text() for page in read(content).pages)


def squeezed(content: bytes) -> str:
    """The text without the places where lines break."""
    return re.sub(r"\s+", "", text_of(content))


def test_everything_that_stands_on_the_sheet_can_be_read_in_the_file() -> None:
    sheet = Sheet("借款借据", (
        Facts("借款人", (Line("客户名称", "重庆𬭎龘商贸有限公司"), Line("联系电话", "138****0001"), Line("金额", "100,000.00（大写：壹拾万元整）", True))),
        Table("还款计划", HEADS, [("1", "2026-12-10", "8,333.33"), ("2", "2027-01-10", "8,333.34")], ("合计", "", "16,666.67")),
        Words("约定", "　　第一条 借款人按期还款。\nEvery month."), Signs("", ("借款人（签字）",), "日期：")),
        left="示范公司", right="编号：J-1", note="一式两份", printed="打印人：李雷", pages="第 {page} / {pages} 页")
    content = draw(sheet)
    text = text_of(content)
    for said in ("借款借据", "重庆𬭎龘商贸有限公司", "138****0001", "壹拾万元整", "8,333.34", "合计", "16,666.67", "第一条 借款人按期还款。", "Every month.",
                 "借款人（签字）", "示范公司", "编号：J-1", "一式两份", "打印人：李雷", "第 1 / 1 页"):
        assert said in text, said
    assert read(content).metadata.title == "借款借据"


def test_the_font_travels_with_the_file_and_holds_only_the_characters_used() -> None:
    content = draw(Sheet("合同", (Words("", "甲乙丙"),)))
    fonts = [font.get_object() for page in read(content).pages for font in page["/Resources"]["/Font"].values()]
    drawn = [font for font in fonts if "NotoSansSC" in font["/BaseFont"]]
    assert drawn and all("/FontFile2" in font["/FontDescriptor"] for font in drawn)
    assert len(content) < 40_000
    used = {font for page in read(content).pages for font in re.findall(r"/(F\d\S*) [\d.]+ Tf", page.get_contents().get_data().decode("latin-1"))}
    assert all(name.startswith("F") and "+" in name for name in used), f"a font that is not embedded draws words: {used}"


def test_the_same_sheet_is_the_same_file_and_another_is_not() -> None:
    one, other = (Sheet("合同", (Words("", text),)) for text in ("甲方", "乙方"))
    assert draw(one) == draw(one) != draw(other)


def test_every_page_of_a_long_table_repeats_its_heads_and_says_its_number() -> None:
    content = draw(Sheet("表", (Table("", HEADS, [(str(i), "2026-12-10", f"{i}.00") for i in range(120)], ("合计", "", "7,140.00")),),
                         pages="第 {page} / {pages} 页"))
    pages = read(content).pages
    assert len(pages) > 2
    for number, page in enumerate(pages, 1):
        said = page.extract_text()
        assert "应还日期" in said and f"第 {number} / {len(pages)} 页" in said
    assert text_of(content).count("7,140.00") == 1
    told = [line for line in text_of(content).split("\n") if line.endswith(".00")]
    assert len(told) == 121, "every row stands there once, and the sum"


def test_a_text_longer_than_a_page_is_continued_and_nothing_of_it_is_lost() -> None:
    text = "".join(f"第{i}句话。" for i in range(2_500))
    content = draw(Sheet("长文", (Facts("", (Line("说明", text, True),)),), pages=""))
    assert len(read(content).pages) > 2
    assert squeezed(content).removeprefix("长文说明") == text


@pytest.mark.parametrize("text", ["\x00\x01\x1b[31m", "a\u202eb\u200bc\ufeff", "👨‍👩‍👧 😀🏽", "\ud800", "e\u0301\u0302\u0303\u0304", "عربي עברית ไทย",
                                  "\t\r\n\v\f", "(\\)<>%[]{}/", "W" * 5_000, "，" * 3_000, " " * 3_000, "", "\n" * 300, "𬭎" * 500])
def test_no_text_is_too_strange_for_paper(text: str) -> None:
    content = draw(Sheet(text, (Facts(text[:50], (Line(text[:80], text), Line("", text, True))), Table(text[:50], HEADS, [(text, text, text)], (text, "", "")),
                                Words("", text), Signs("", (text[:200],), text[:50])), left=text, right=text, note=text, printed=text, author=text,
                         missing="〓 没有"))
    said = text_of(content)
    assert "\x00" not in said and "\u202e" not in said
    assert ("〓" in said) == any(mark in text for mark in "😀عไ")


def test_what_the_font_lacks_is_a_mark_and_the_paper_says_so() -> None:
    assert printable("a😀b") == "a〓b" and printable("é") == "é" and printable("x\u200dy") == "xy"
    assert "〓 处为本字体没有的字符" in text_of(draw(Sheet("题", (Words("", "好😀"),), missing="〓 处为本字体没有的字符")))
    assert "没有的字符" not in text_of(draw(Sheet("题", (Words("", "好"),), missing="〓 处为本字体没有的字符")))


def test_no_line_begins_with_a_closing_mark_and_no_number_is_torn() -> None:
    text = "金额为 1,234,567.89 元，利率为 12.50%；详见（附件一）。" * 30
    for room in range(120, 200, 7):
        found = lines(text, 9.5, float(room))
        assert all(width(line, 9.5) <= room + 0.01 for line in found)
        assert not [line for line in found if line[0] in NEVER_FIRST]
        assert "".join(found).replace(" ", "") == text.replace(" ", "")
        assert sum("1,234,567.89" in line for line in found) == 30
    assert lines("好好（好", 10, 30.0) == ["好好", "（好"], "an opening mark goes with what follows"


def test_columns_keep_numbers_whole_before_words() -> None:
    heads = tuple(Head(f"第{i}列", i % 2 == 0) for i in range(16))
    content = draw(Sheet("宽表", (Table("", heads, [tuple(f"12,345,67{i}.00" if i % 2 == 0 else "2026-12-10" for i in range(16))]),), landscape=True))
    assert "12,345,678.00" in text_of(content) and text_of(content).count("2026-12-10") == 8


def refusal(table: Table, **about: object) -> str:
    with pytest.raises(NotPossible) as refused:
        draw(Sheet("表", (table,), landscape=True, **about))  # type: ignore[arg-type]
    assert refused.value.message.say("zh") != refused.value.message.say("en")
    return refused.value.message.code


def numbers(columns: int, rows: int = 2) -> Table:
    return Table("", tuple(Head(f"第{i}列", True) for i in range(columns)), [("1,234,567.89",) * columns] * rows)


def test_columns_that_nobody_could_read_are_refused_and_as_many_as_fit_are_not() -> None:
    assert refusal(numbers(80)) == "printing.too_wide"
    assert text_of(draw(Sheet("表", (numbers(16),), landscape=True))).count("1,234,567.89") == 32
    words = Table("", tuple(Head(f"第{i}列") for i in range(14)), [("W" * 40, *["字" * 60] * 13)])
    assert squeezed(draw(Sheet("表", (words,), landscape=True))).count("W") == 40, "a long word may be torn before a list is refused"
    assert refusal(Table("", (), [()])) == "printing.no_columns" == refusal(Table("", (), []))


def test_more_cells_than_a_paper_holds_are_refused_before_they_are_laid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "_Layout", None)
    assert refusal(numbers(20, 2_001)) == "printing.too_many_cells"
    with pytest.raises(NotPossible):
        draw(Sheet("表", (numbers(10, 2_001), numbers(10, 2_001))))


def test_a_number_is_never_cut_and_one_beyond_the_measured_rows_counts() -> None:
    heads = (*(Head(f"第{i}列") for i in range(9)), Head("金额", True))
    table = Table("", heads, [*[(*["字" * 90] * 9, "1.00")] * 2, *[(*["字"] * 9, "1.00")] * 300, (*["字"] * 9, "123,456,789,012.00")])
    assert "123,456,789,012.00" in text_of(draw(Sheet("表", (table,), landscape=True))), "in one line"
    long = squeezed(draw(Sheet("表", (Table("", (Head("数", True), *heads), [("9" * 900, *["字" * 90] * 9, "1.00")]),), landscape=True)))
    assert long.count("9") == 900, "a number longer than its column goes on in the next line"


def test_five_thousand_rows_are_drawn_and_more_pages_than_anybody_reads_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    sheet = Sheet("大表", (Table("", HEADS, [(str(i), "2026-12-10", f"{i:,}.00") for i in range(5_000)]),))
    assert len(read(draw(sheet)).pages) > 100
    monkeypatch.setattr(pdf, "PAGES_MAX", 20)
    with pytest.raises(NotPossible) as refused:
        draw(sheet)
    assert "20" in refused.value.message.say("zh")


def test_each_paper_has_its_size() -> None:
    for paper, landscape, wide, high in (("A4", False, 595, 842), ("A4", True, 842, 595), ("A5", True, 595, 420), ("A3", False, 842, 1191)):
        box = read(draw(Sheet("x", (), paper=paper, landscape=landscape))).pages[0].mediabox
        assert (round(float(box.width)), round(float(box.height))) == (wide, high)
