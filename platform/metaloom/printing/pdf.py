"""Sheet → PDF. First everything is laid on pages, then the pages are drawn: only then is their number known.

The same sheet gives the same bytes: a file's digest can be found again.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from reportlab.lib.pagesizes import A3, A4, A5, landscape
from reportlab.pdfgen.canvas import Canvas

from metaloom.base.errors import NotPossible
from metaloom.base.messages import message, register
from metaloom.printing.font import GETA, NAME, font, printable, width
from metaloom.printing.sheet import CELLS_MAX, Block, Facts, Sheet, Signs, Table, Words
from metaloom.printing.wrap import lines, longest_word

SIZES = {"A3": A3, "A4": A4, "A5": A5}
PAGES_MAX = 400
TITLE, HEADING, BODY, SMALL = 17.0, 11.0, 9.5, 8.0
LEADING = 1.5                       # of the size
PAD_X, PAD_SMALL, PAD_Y = 5.0, 2.5, 3.6
READABLE = 4.2                      # ems that a column of breakable words keeps at least
WHOLE = 8.0                         # ems up to which a day or a code stays whole in the smallest letters
TABLE_SIZES = (BODY, 9.0, SMALL, 7.2, 6.5, 5.8)
INK, SOFT, LINE, SHADE = 0.12, 0.42, 0.72, 0.955
BOLD = 0.032                        # outline that makes a stroke bold, in ems
MEASURED = 300                      # rows that say how wide the columns want to be
CELL_LINES = 12                     # of a row of a table: the rest of a long text is cut, never a number

register({
    "printing.too_long": ("打印内容超过 {limit} 页，请缩小范围后再打印。", "This would be more than {limit} pages; please narrow it down and print again."),
    "printing.too_many_cells": ("打印内容超过 {limit} 格（行数×列数），请减少列数或缩小范围，或改用导出。",
                                "This is more than {limit} cells (rows × columns); please show fewer columns or rows, or export it as a file instead."),
    "printing.too_wide": ("{columns} 列在纸上排不下，请减少列数后再打印，或改用导出。",
                          "{columns} columns do not fit on the paper; please show fewer of them, or export it as a file instead."),
    "printing.no_columns": ("没有可打印的列，请至少选择一列。", "There is no column to print; please choose at least one."),
})
_one_at_a_time = threading.Lock()  # the library's font keeps its place in the file while it is cut

Drawing = Callable[[Canvas], None]


def draw(sheet: Sheet) -> bytes:
    """The PDF. NotPossible when it would have more than ``PAGES_MAX`` pages or ``CELLS_MAX`` cells of tables, and for a table without
    columns or with more of them than can be read on the paper."""
    _refuse_unless_small(sheet)
    font()
    layout = _Layout(sheet)
    layout.whole()
    out = io.BytesIO()
    with _one_at_a_time:
        canvas = Canvas(out, pagesize=layout.size, invariant=1, pageCompression=1, initialFontName=NAME)
        canvas.setTitle(printable(sheet.title))
        canvas.setAuthor(printable(sheet.author))
        canvas.setCreator("metaloom")
        for number, page in enumerate(layout.pages, 1):
            for drawing in page:
                drawing(canvas)
            layout.foot(canvas, number)
            canvas.showPage()
        canvas.save()
    return out.getvalue()


def _refuse_unless_small(sheet: Sheet) -> None:
    """Before anything is laid on pages."""
    tables = [block for block in sheet.blocks if isinstance(block, Table)]
    if not all(table.heads for table in tables):
        raise NotPossible(message("printing.no_columns"))
    if sum(len(table.rows) * len(table.heads) for table in tables) > CELLS_MAX:
        raise NotPossible(message("printing.too_many_cells", limit=f"{CELLS_MAX:,}"))


@dataclass
class _Cell:
    lines: list[str]
    x: float
    room: float
    right: bool = False
    bold: bool = False
    shade: bool = False
    soft: bool = False
    pad: float = PAD_X


@dataclass
class _Layout:
    """Lays blocks on pages from top to bottom. ``y`` is the height that is still free above the foot's edge."""

    sheet: Sheet
    pages: list[list[Drawing]] = field(default_factory=list)
    onto: list[Drawing] = field(default_factory=list)

    def __post_init__(self) -> None:
        size = SIZES[self.sheet.paper]
        self.size = landscape(size) if self.sheet.landscape else size
        small = self.sheet.paper == "A5"
        self.left = 34.0 if small else 48.0
        self.right = self.size[0] - self.left
        self.room = self.right - self.left
        self.note = lines(printable(self.sheet.note), SMALL, self.room, 4) if self.sheet.note else []
        self.bottom = 44.0 + len(self.note) * SMALL * LEADING
        self.labels = {columns: self._label_room(columns) for columns in (1, 2, 3)}
        self.lacking = GETA in printable("".join(_texts(self.sheet)))
        self._page()

    # -- pages -------------------------------------------------------------------------------------------------------

    def whole(self) -> None:
        self._title()
        for block in self.sheet.blocks:
            self._block(block)
        if self.lacking and self.sheet.missing:
            self._paragraphs(self.sheet.missing, SMALL, soft=True)

    def _page(self) -> None:
        if len(self.pages) >= PAGES_MAX:
            raise NotPossible(message("printing.too_long", limit=PAGES_MAX))
        self.onto = []
        self.pages.append(self.onto)
        self.y = self.size[1] - 36.0
        left, right = printable(self.sheet.left), printable(self.sheet.right)
        if left or right:
            half = self.room / 2 - 6
            if left:
                self._text(lines(left, SMALL, half, 1)[0], self.left, self.y, SMALL, soft=True)
            if right:
                words = lines(right, SMALL, half, 1)[0]
                self._text(words, self.right - width(words, SMALL), self.y, SMALL, soft=True)
            self._rule(self.left, self.y - 6, self.right)
        self.y -= 22.0

    def foot(self, canvas: Canvas, number: int) -> None:
        """Note, who printed it and when, number of the page: drawn last, when the pages are counted."""
        y, self.onto = 26.0, []
        words = self.sheet.pages.format(page=number, pages=len(self.pages))
        self._text(words, self.right - width(words, SMALL), y, SMALL, soft=True)
        if self.sheet.printed:
            printed = lines(printable(self.sheet.printed), SMALL, self.room - width(words, SMALL) - 12, 1)[0]
            self._text(printed, self.left, y, SMALL, soft=True)
        self._rule(self.left, y + 12, self.right)
        for row, line in enumerate(self.note):
            self._text(line, self.left, y + 18 + (len(self.note) - 1 - row) * SMALL * LEADING, SMALL, soft=True)
        for drawing in self.onto:
            drawing(canvas)

    def _needs(self, height: float) -> bool:
        """A new page unless so much is free; whether there is one."""
        if self.y - height >= self.bottom:
            return False
        self._page()
        return True

    # -- blocks ------------------------------------------------------------------------------------------------------

    def _title(self) -> None:
        for line in lines(printable(self.sheet.title), TITLE, self.room, 3):
            self.y -= TITLE
            self._text(line, self.left + (self.room - width(line, TITLE)) / 2, self.y, TITLE, bold=True)
            self.y -= TITLE * 0.35
        self.y -= 10

    def _block(self, block: Block) -> None:
        if block.label:
            self._needs(HEADING * LEADING + 3 * (BODY * LEADING + 2 * PAD_Y))
            self.y -= HEADING
            self._text(printable(block.label), self.left, self.y, HEADING, bold=True)
            self.y -= 7
        match block:
            case Facts():
                self._facts(block)
            case Table():
                self._table(block)
            case Words():
                self._paragraphs(block.text, HEADING if block.large else BODY, headings=block.headings)
            case Signs():
                self._signs(block)
        self.y -= 14

    def _facts(self, block: Facts) -> None:
        pair = self.room / block.columns
        said = self.labels[block.columns]
        for row in _pairs(block.lines, block.columns):
            cells, x = [], self.left
            for place, line in enumerate(row):
                last = place == len(row) - 1
                words = self.right - x - said if last else pair - said
                cells.append(_Cell(lines(printable(line.label), BODY, said - 2 * PAD_X), x, said, shade=True, soft=True))
                cells.append(_Cell(lines(printable(line.words), BODY, words - 2 * PAD_X), x + said, words))
                x += pair
            self._row(cells, BODY)

    def _label_room(self, columns: int) -> float:
        """How wide labels stand: alike in all blocks of so many columns, so that they stand below each other."""
        wanted = [width(printable(line.label), BODY) for block in self.sheet.blocks if isinstance(block, Facts) and block.columns == columns
                  for line in block.lines]
        return min(max(wanted, default=0) + 2 * PAD_X, self.room / columns * 0.36)

    def _table(self, block: Table) -> None:
        size, rooms = self._columns(block)
        lefts, pad = [self.left + sum(rooms[:place]) for place in range(len(rooms))], PAD_X if size >= SMALL else PAD_SMALL

        def cells(texts: Sequence[str], *, bold: bool = False, shade: bool = False) -> list[_Cell]:
            return [_Cell(lines(printable(text), size, room - 2 * pad + 0.1, None if head.number else CELL_LINES), x, room, head.number, bold, shade, pad=pad)
                    for text, x, room, head in zip(texts, lefts, rooms, block.heads, strict=True)]

        head = cells([one.label for one in block.heads], bold=True, shade=True)
        height = _height(head, size)
        self._needs(height + 2 * (size * LEADING + 2 * PAD_Y))
        self._row(head, size)
        for texts in block.rows:
            made = cells(texts)
            if self._needs(_height(made, size)):
                self._row(head, size)
            self._row(made, size)
        if not block.rows and block.empty:
            self._row([_Cell([printable(block.empty)], self.left, self.room, soft=True)], size)
        if block.totals:
            made = cells(block.totals, bold=True, shade=True)
            if self._needs(_height(made, size)):
                self._row(head, size)
            self._row(made, size)

    def _columns(self, block: Table) -> tuple[float, list[float]]:
        """The size of the letters, and the room of each column: the largest size at which no number, day or word is torn; what is
        left over goes to the columns whose words would break. In the smallest letters a long word may be torn, a number never:
        NotPossible where that does not fit, too."""
        texts = [[printable(head.label), *(printable(row[place][:80]).split("\n")[0] for row in islice(block.rows, MEASURED)),
                  *((printable(max((row[place] for row in block.rows), key=len)),) if head.number and block.rows else ()),
                  *([block.totals[place]] if block.totals else ())]
                 for place, head in enumerate(block.heads)]
        whole = [max(width(text, 1) for text in column) for column in texts]
        narrow = [max(max(map(longest_word, column)), min(most, READABLE)) for column, most in zip(texts, whole, strict=True)]
        torn = [one if head.number else min(one, WHOLE) for head, one in zip(block.heads, narrow, strict=True)]
        for size, ems in (*((one, narrow) for one in TABLE_SIZES), (TABLE_SIZES[-1], torn)):
            pad = 2 * (PAD_X if size >= SMALL else PAD_SMALL)
            least = [one * size * 1.02 + pad for one in ems]
            if sum(least) <= self.room:
                break
        else:
            raise NotPossible(message("printing.too_wide", columns=len(block.heads)))
        wanted = [max(min(one * size * 1.02 + pad, self.room * 0.5), low) for one, low in zip(whole, least, strict=True)]
        if sum(wanted) <= self.room:
            return size, [one * self.room / sum(wanted) for one in wanted]
        spare, missing = self.room - sum(least), [one - low for one, low in zip(wanted, least, strict=True)]
        return size, [low + spare * more / (sum(missing) or 1) for low, more in zip(least, missing, strict=True)]

    def _paragraphs(self, text: str, size: float, *, headings: tuple[str, ...] = (), soft: bool = False) -> None:
        leading = size * (LEADING + 0.25)
        for paragraph in printable(text).split("\n"):
            bold = bool(headings) and paragraph.strip().startswith(headings)
            for line in lines(paragraph, size, self.room):
                self._needs(leading)
                self.y -= leading
                if line:
                    self._text(line, self.left, self.y + leading - size, size, bold=bold, soft=soft)

    def _signs(self, block: Signs) -> None:
        beside = min(len(block.places), 3)
        room = self.room / beside
        for start in range(0, len(block.places), beside):
            self._needs(74)
            for place, whose in enumerate(block.places[start:start + beside]):
                x = self.left + place * room
                for row, line in enumerate(lines(printable(whose), BODY, room - 14, 2)):
                    self._text(line, x, self.y - 10 - row * BODY * LEADING, BODY)
                self._rule(x, self.y - 50, x + room - 14)
                self._text(printable(block.day), x, self.y - 64, SMALL, soft=True)
            self.y -= 74

    # -- rows of a grid ----------------------------------------------------------------------------------------------

    def _row(self, cells: list[_Cell], size: float) -> None:
        """One row with its borders; what does not fit is continued on the next page."""
        leading = size * LEADING
        while True:
            fits = int((self.y - self.bottom - 2 * PAD_Y) // leading)
            if fits < 1:
                self._page()
                continue
            count = max(len(cell.lines) for cell in cells)
            now = min(count, fits)
            height = now * leading + 2 * PAD_Y
            self._boxes(cells, height)
            for cell in cells:
                self._words(cell, now, size)
            self.y -= height
            if now == count:
                return
            cells = [replace(cell, lines=cell.lines[now:] or [""]) for cell in cells]
            self._page()

    def _boxes(self, cells: list[_Cell], height: float) -> None:
        bottom = self.y - height

        def draw_all(canvas: Canvas) -> None:
            canvas.setLineWidth(0.5)
            canvas.setStrokeGray(LINE)
            canvas.setFillGray(SHADE)
            for cell in cells:
                canvas.rect(cell.x, bottom, cell.room, height, stroke=1, fill=int(cell.shade))

        self.onto.append(draw_all)

    def _words(self, cell: _Cell, now: int, size: float) -> None:
        top, x, room, leading = self.y, cell.x, cell.room, size * LEADING
        for row, line in enumerate(cell.lines[:now]):
            if line:
                at = x + room - cell.pad - width(line, size) if cell.right else x + cell.pad
                self._text(line, at, top - PAD_Y - (row + 0.78) * leading, size, bold=cell.bold, soft=cell.soft)

    # -- strokes -----------------------------------------------------------------------------------------------------

    def _text(self, text: str, x: float, y: float, size: float, *, bold: bool = False, soft: bool = False) -> None:
        ink, bold = SOFT if soft else INK, bold and size >= SMALL  # an outline would fill the gaps of small characters

        def write(canvas: Canvas) -> None:
            canvas.setFillGray(ink)
            said = canvas.beginText(x, y)
            said.setFont(NAME, size)
            if bold:  # one weight is shipped: a bold stroke is drawn with its outline
                canvas.setStrokeGray(ink)
                canvas.setLineWidth(size * BOLD)
                said.setTextRenderMode(2)
            said.textOut(text.replace("\n", " "))
            if bold:
                said.setTextRenderMode(0)
            canvas.drawText(said)

        self.onto.append(write)

    def _rule(self, x: float, y: float, to: float) -> None:
        def stroke(canvas: Canvas) -> None:
            canvas.setLineWidth(0.5)
            canvas.setStrokeGray(LINE)
            canvas.line(x, y, to, y)

        self.onto.append(stroke)


def _height(cells: list[_Cell], size: float) -> float:
    return max(len(cell.lines) for cell in cells) * size * LEADING + 2 * PAD_Y


def _pairs(given: Sequence, columns: int) -> Iterator[list]:  # type: ignore[type-arg]
    """Rows of so many lines; a wide one stands alone."""
    row: list = []  # type: ignore[type-arg]
    for line in given:
        if line.wide and row:
            yield row
            row = []
        row.append(line)
        if line.wide or len(row) == columns:
            yield row
            row = []
    if row:
        yield row


def _texts(sheet: Sheet) -> Iterator[str]:
    """Every text of the sheet: is there a character that the font lacks?"""
    yield from (sheet.title, sheet.left, sheet.right, sheet.note, sheet.printed)
    for block in sheet.blocks:
        match block:
            case Facts():
                yield from (part for line in block.lines for part in (line.label, line.words))
            case Table():
                yield from (text for row in block.rows for text in row)
            case Words():
                yield block.text
            case Signs():
                yield from block.places
