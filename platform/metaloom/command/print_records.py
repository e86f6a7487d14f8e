"""Records and lists on paper: what their reader sees, as words, drawn as PDF. Who printed what is written down.

Right: one record takes ``read``; where a grant of the entity names ``print``, it takes ``print`` instead. A list takes ``export``,
as it does as a file. A file whose audit could not be written is not given out.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from metaloom import printing
from metaloom.base.errors import MetaloomError, NotAllowed, NotFound, NotPossible, TooMany
from metaloom.base.messages import message, register, words
from metaloom.base.money import in_capitals
from metaloom.base.text import Text
from metaloom.command.context import Context
from metaloom.command.evaluate import holds
from metaloom.command.export_records import question_told, write_down
from metaloom.command.limits import limit
from metaloom.command.live import Shown
from metaloom.command.print_opinions import opinions
from metaloom.command.unit import Unit
from metaloom.compile.scope import company_path
from metaloom.message.texts import slots_in
from metaloom.model import Entity, Field, FieldLevel, FieldType, ListView, PrintBlock, PrintTemplate
from metaloom.model.entity import EXACT_TYPES
from metaloom.model.printing import MAIN
from metaloom.record import Reader, Row, UnknownPath
from metaloom.record.encode import EMPTY, said_for, words_for
from metaloom.record.export import column_titles, exportable_rows
from metaloom.record.paths import Path
from metaloom.storage import rate

if TYPE_CHECKING:
    from metaloom.command.session import Pinned

COMMAND = "print"
WINDOW = timedelta(hours=1)
PAGE, CELL_MAX, NAME_MAX = 200, 300, 80
NUMBERS = EXACT_TYPES | {FieldType.INTEGER}
WIDE = frozenset({FieldType.LONG_TEXT, FieldType.RICH_TEXT})
COMPANY = "platform.company"
_SLOT = re.compile(r"\{\{|\}\}|\{([a-z0-9_.]+)\}")
_TAG, _BREAK = re.compile(r"<[^>]*>"), re.compile(r"</(?:p|div|li|h[1-6]|tr)>|<br\s*/?>")
_NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f\\/:*?\"<>|]+")

register({
    "print.noted": ("打印已记录。", "The print was written down."),
    "print.too_many": ("一小时内最多打印 {limit} 次，请稍后再试。", "At most {limit} papers may be printed within an hour; please try again later."),
    "print.too_large": ("要打印的内容超过 {limit} 行，请缩小范围，或改用导出。",
                        "This has more than {limit} rows; please narrow it down, or export it as a file instead."),
    "print.not_allowed": ("您可以查看这条“{entity}”，但没有打印权限，请联系管理员。",
                          "You may read this “{entity}”, but none of your roles lets you print it; ask your administrator."),
    "print.condition": ("这条记录现在不能打印“{label}”。", "“{label}” cannot be printed of this record now."),
    "print.pages": ("第 {{page}} / {{pages}} 页", "Page {{page}} of {{pages}}"),
    "print.printed": ("打印人：{person}　打印时间：{at}", "Printed by {person} at {at}"),
    "print.day": ("日期：　　　　年　　　月　　　日", "Date:"),
    "print.total": ("合计", "Total"),
    "print.no_rows": ("无", "None"),
    "print.rows": ("共 {number} 行", "{number} rows"),
    "print.capitals": ("{words}（大写：{capitals}）", "{words} ({capitals})"),
})


@dataclass(frozen=True)
class Printed:
    """A finished PDF and what it is called; ``stand_in`` says what it is in ASCII."""

    name: str
    stand_in: str
    content: bytes


# -- one record ------------------------------------------------------------------------------------------------------


def print_offers(ctx: Context, entity: Entity, row: Row, conn: Any) -> tuple[PrintTemplate, ...]:
    """The papers that the person may print of the row: the entity's templates whose ``when`` is true, then the default print."""
    if not may_print(ctx.plan, entity, row):
        return ()
    unit = Unit(ctx, conn, "look", ctx.clock.now())
    catalog = ctx.revision.catalog
    own = [one for one in catalog.prints_of(entity.address) if not one.when or holds(unit, entity, one.when, Shown(unit, row), unit.env())]
    return tuple(own) if any(one.name == MAIN for one in own) else (*own, printing.default_template(catalog, entity))


def may_print(plan: Any, entity: Entity, row: Row) -> bool:
    """Reading is enough unless a grant of the entity speaks of printing."""
    return COMMAND in row.actions if _has_own_right(plan.catalog, entity) else True


def may_print_some(plan: Any, entity: Entity) -> bool:
    """Whether there are records of the entity that the person may print."""
    return bool(plan.may(entity.address, "read")) and (not _has_own_right(plan.catalog, entity) or bool(plan.may(entity.address, COMMAND)))


def _has_own_right(catalog: Any, entity: Entity) -> bool:
    return any(COMMAND in grant.actions for grant in catalog.grants.get(entity.address, ()))


def print_record(pinned: Pinned, entity: Entity, id: int, name: str = MAIN, *, locale: str) -> Printed:
    """The paper ``name`` of the record. NotFound for what the person may not see and for a paper that there is not; NotAllowed
    without the right to print; NotPossible where the template's condition is not true, or a table is too long."""
    pinned.reader.require(entity.address, id)
    template = _template(pinned, entity, name)
    _count(pinned)
    paper = _Paper(pinned, entity, template, locale)
    row = paper.read(id)
    if not may_print(pinned.plan, entity, row):
        raise NotAllowed(message("print.not_allowed", entity=entity.label))
    paper.refuse_unless_possible()
    content = printing.draw(paper.sheet())
    pinned.opened(entity, id)
    write_down(pinned.context(), COMMAND, entity.address, {"template": template.name}, id)
    return Printed(_file_name(template.title.say(locale), row.title), f"{entity.address}-{id}", content)


def _template(pinned: Pinned, entity: Entity, name: str) -> PrintTemplate:
    found = pinned.catalog.prints.get(f"{entity.address}/{name}")
    if found is None and name == MAIN:
        return printing.default_template(pinned.catalog, entity)
    if found is None:
        raise NotFound
    return found


def _count(pinned: Pinned) -> None:
    """TooMany when the person printed as much within the hour as the tenant allows. Counted before anything is drawn."""
    top, ctx = limit(pinned.catalog, "prints_per_hour"), pinned.context()
    with ctx.tenant.write() as conn:
        counted = rate.count(conn, rate.counter(COMMAND, ctx.actor.user_id), now := ctx.clock.now(), WINDOW)
    if counted.hits > top:
        raise TooMany(message("print.too_many", limit=top), counted.seconds_left(now, WINDOW))


class _Paper:
    """One record, filled into one template in one language."""

    def __init__(self, pinned: Pinned, entity: Entity, template: PrintTemplate, locale: str) -> None:
        self.pinned, self.entity, self.template, self.locale = pinned, entity, template, locale
        self.reader: Reader = pinned.reader
        self.reader.locale = locale
        self.company = company_path(pinned.catalog, entity.address) or ""
        self.row: Row

    def read(self, id: int) -> Row:
        template, known = self.template, self._known
        texts = (template.title, template.reference, template.footer, *(b.text for b in template.blocks.values()))
        wanted = [*slots_in(*texts), *(p for b in template.blocks.values() for p in b.fields), self.company]
        self.row = self.reader.get(self.entity.address, id, paths=[p for p in dict.fromkeys(wanted) if p and known(p) is not None])
        return self.row

    def _known(self, text: str) -> Path | None:
        try:
            return self.reader.known_path(self.entity.address, text)
        except UnknownPath:
            return None

    def refuse_unless_possible(self) -> None:
        if self.template.when and not self._holds(self.template.when):
            said = self.template.message
            raise NotPossible(words(said) if said else message("print.condition", label=self.template.label))

    def _looking(self) -> Context:
        """For questions: the request's own read transaction stays open."""
        pinned = self.pinned
        return Context(tenant=pinned.tenant, revision=pinned.revision, actor=pinned.actor, plan=pinned.plan, channel=pinned.channel, locale=self.locale,
                       clock=pinned.clock, request_id=pinned.request_id)

    def _holds(self, when: str) -> bool:
        ctx = self._looking()
        unit = Unit(ctx, self.pinned.conn, "look", ctx.clock.now())
        return holds(unit, self.entity, when, Shown(unit, self.row), unit.env())

    def sheet(self) -> printing.Sheet:
        blocks = [made for block in self.template.blocks.values() if (made := self._block(block)) is not None]
        about = {"right": self._text(self.template.reference) or self.row.title, "note": self._text(self.template.footer),
                 "paper": self.template.paper, "landscape": self.template.landscape}
        company = self.row.titles.get(self.company, "") if self.company else ""
        return _sheet(self.pinned, self._text(self.template.title), tuple(blocks), self.locale, company=company, **about)

    # -- blocks

    def _block(self, block: PrintBlock) -> printing.Block | None:
        if block.when and not self._holds(block.when):
            return None
        label = block.label.say(self.locale) if block.label else ""
        if block.text is not None:
            return printing.Words(label, self._text(block.text))
        if block.sign:
            return printing.Signs(label, tuple(one.say(self.locale) for one in block.sign), message("print.day").say(self.locale))
        if block.opinions:
            pinned = self.pinned
            return opinions(self._looking(), self.reader, pinned.conn, self.entity, self.row.id, block.opinions, label, pinned.zone)
        return self._table(block, label) if block.rows else self._facts(block, label)

    def _facts(self, block: PrintBlock, label: str) -> printing.Facts | None:
        found = []
        for text in block.fields:
            path = self._known(text)
            if path is None or text not in self.row.values:
                continue  # hidden from this reader: not even its label is printed
            said = self._said(path)
            if said or not block.skip_empty:
                found.append(printing.Line(self._label(path, block), said, path.field.type in WIDE or "（大写：" in said or len(said) > CELL_MAX))
        return printing.Facts(label, tuple(found), block.columns) if found else None

    def _label(self, path: Path, block: PrintBlock) -> str:
        """The field's own label; where two of the block would be called alike, with the link in front: 客户 · 手机号."""
        own, locale = path.field.label.say(self.locale), self.locale
        alike = sum(1 for text in block.fields if (other := self._known(text)) is not None and other.field.label == path.field.label)
        said = f"{path.hops[-1].field.label.say(locale)} · {own}" if path.hops and alike > 1 else own
        return said + _unit(path.field, locale)

    def _said(self, path: Path) -> str:
        said, row = self._words(path), self.row
        value = row.values.get(path.text)
        if self.locale == "zh" and path.field.in_capitals and isinstance(value, Decimal) and row.levels.get(path.text, FieldLevel.READ) >= FieldLevel.READ:
            return message("print.capitals", words=said, capitals=in_capitals(value)).say(self.locale)
        return said

    def _text(self, text: Text | None) -> str:
        """Slots filled with what the reader may see; ``-`` for what not."""
        if text is None:
            return ""

        def filled(found: re.Match[str]) -> str:
            slot = found[1]
            if slot is None:
                return found[0][0]
            if slot == "title" and "title" not in self.entity.fields:
                return self.row.title
            path = self._known(slot)
            return (self._words(path) or EMPTY) if path is not None and slot in self.row.values else EMPTY

        return _SLOT.sub(filled, text.say(self.locale))

    def _words(self, path: Path) -> str:
        return _said(self.pinned.catalog, path, self.locale, self.pinned.zone)(self.row)

    def _table(self, block: PrintBlock, label: str) -> printing.Table | None:
        assert block.view is not None
        found = self._child(block) if block.rows in self.entity.fields else self._related(block)
        if found is None:
            return None
        paths, rows = found
        if not paths or (block.skip_empty and not rows):
            return None
        return _table(self.pinned, label, paths, rows, block.view, self.locale, block.totals)

    def _child(self, block: PrintBlock) -> tuple[list[Path], Sequence[Row]] | None:
        if block.rows not in self.row.children:
            return None
        rows, view = self.row.children[block.rows], block.view
        assert view is not None
        self._refuse_more(len(rows))
        shown = [text for text in view.columns if not rows or any(text in row.values for row in rows)]
        return [self.reader.known_path(view.entity, text) for text in shown], rows

    def _related(self, block: PrintBlock) -> tuple[list[Path], Sequence[Row]] | None:
        """Rows of the tab, with the rights of its list; None where the reader may not list them."""
        view = block.view
        assert view is not None
        ask = partial(self.reader.related, self.entity.address, self.row.id, block.rows, view=view, limit=PAGE)
        try:
            page = ask()
            paths, rows = page.paths, list(page.rows)
            while page.next_cursor and page.has_more:
                self._refuse_more(len(rows))
                page = ask(cursor=page.next_cursor)
                rows += page.rows
        except (NotAllowed, NotFound):
            return None
        self._refuse_more(len(rows))
        return [self.reader.known_path(view.entity, text) for text in paths], rows

    def _refuse_more(self, found: int) -> None:
        top = limit(self.pinned.catalog, "print_rows_max")
        if found > top:
            raise NotPossible(message("print.too_large", limit=f"{top:,}"))


# -- a list ----------------------------------------------------------------------------------------------------------


def print_list(pinned: Pinned, entity: Entity, *, locale: str, title: str, paths: Sequence[str] | None = None, sort: Sequence[str] = (),
               **asked: Any) -> Printed:
    """The whole filter as a table, landscape. NotAllowed without the right to export; NotPossible with too many rows or columns, or none."""
    verdict = pinned.plan.may(entity.address, "export")
    if not verdict:
        raise NotAllowed(verdict.reason)
    _count(pinned)
    reader, view = pinned.reader, asked.get("view")
    reader.locale = locale
    top = limit(pinned.catalog, "print_rows_max")
    try:
        columns, streamed = exportable_rows(reader, entity.address, paths=paths, sort=sort, most=top, **asked)
    except NotPossible:
        raise NotPossible(message("print.too_large", limit=f"{top:,}")) from None
    rows = list(islice(streamed, printing.CELLS_MAX // max(len(columns), 1) + 1))  # one too many is refused below, and no more are read
    totals = tuple(text for text in (view.totals if view is not None else ()) if any(path.text == text for path in columns))
    table = _table(pinned, "", list(columns), rows, view, locale, totals)
    right = message("print.rows", number=f"{len(rows):,}").say(locale)
    content = printing.draw(_sheet(pinned, title, (table,), locale, right=right, landscape=True))
    facts = {"rows": len(rows), "columns": [path.text for path in columns], **question_told(pinned.revision, entity.address, asked)}
    write_down(pinned.context(), COMMAND, entity.address, facts)
    return Printed(_file_name(title, ""), entity.address, content)


# -- shared ----------------------------------------------------------------------------------------------------------


def _sheet(pinned: Pinned, title: str, blocks: tuple[Any, ...], locale: str, *, company: str = "", **more: Any) -> printing.Sheet:
    actor, at = pinned.actor, pinned.clock.now().astimezone(pinned.zone)
    person = actor.display_name if actor.display_name in ("", actor.username) else f"{actor.display_name}（{actor.username}）"
    printed = message("print.printed", person=person or actor.username, at=f"{at:%Y-%m-%d %H:%M}").say(locale)
    return printing.Sheet(title, blocks, left=company or _own_company(pinned), printed=printed, pages=message("print.pages").say(locale),
                          author=actor.username, missing=message("print.missing").say(locale), **more)


def _own_company(pinned: Pinned) -> str:
    """What the reader's company is called; the tenant where that may not be known."""
    company = pinned.actor.company_id
    try:
        hits = pinned.reader.lookup(COMPANY, ids=[company], limit=1) if company is not None and COMPANY in pinned.catalog.entities else []
    except MetaloomError:
        hits = []
    if hits:
        return hits[0].title
    label = pinned.tenant.label
    return label.say(pinned.reader.locale) if isinstance(label, Text) else str(label)


def _table(pinned: Pinned, label: str, paths: list[Path], rows: Sequence[Row], view: ListView | None, locale: str,
           totals: Sequence[str]) -> printing.Table:
    catalog, zone = pinned.catalog, pinned.zone
    said: list[Callable[[Row], str]] = [_said(catalog, path, locale, zone) for path in paths]
    titles = [title + _unit(path.field, locale) for title, path in zip(column_titles(paths, view, locale), paths, strict=True)]
    heads = tuple(printing.Head(title, path.field.type in NUMBERS and not path.is_link) for title, path in zip(titles, paths, strict=True))
    words = [tuple(one(row)[:CELL_MAX] for one in said) for row in rows]
    foot = _totals(pinned, paths, rows, totals, locale) if totals and rows else ()
    return printing.Table(label, heads, words, foot, message("print.no_rows").say(locale))


def _totals(pinned: Pinned, paths: Sequence[Path], rows: Sequence[Row], totals: Sequence[str], locale: str) -> tuple[str, ...]:
    """Sums of what stands in the table; ``-`` where the reader may not see every summand."""
    found = []
    for path in paths:
        if path.text not in totals:
            found.append("")
        elif any(row.levels.get(path.text, FieldLevel.READ) < FieldLevel.READ or path.text not in row.values for row in rows):
            found.append(EMPTY)
        else:
            summands = [row.values[path.text] for row in rows if row.values[path.text] is not None]
            found.append(words_for(pinned.catalog, path.field, locale)(sum(summands)) if summands else EMPTY)
    first = found.index("") if "" in found else -1
    return tuple(message("print.total").say(locale) if place == first else text for place, text in enumerate(found))


def _said(catalog: Any, path: Path, locale: str, zone: Any) -> Callable[[Row], str]:
    """The words of a cell; nothing for no value, rich text without its marks."""
    words, rich = said_for(catalog, path, locale, zone), path.field.type is FieldType.RICH_TEXT

    def said(row: Row) -> str:
        found = words(row)
        return "" if found == EMPTY else _without_tags(found) if rich else found

    return said


def _without_tags(text: str) -> str:
    return html.unescape(_TAG.sub("", _BREAK.sub("\n", text))).strip()


def _unit(field: Field, locale: str) -> str:
    if field.unit:
        return f"（{field.unit.say(locale)}）" if locale == "zh" else f" ({field.unit.say(locale)})"
    if field.type is FieldType.MONEY:
        return ("（元）" if field.currency == "CNY" else f"（{field.currency}）") if locale == "zh" else f" ({field.currency})"
    return ""


def _file_name(label: str, title: str) -> str:
    """A name that every system takes: what it is, of which record (the slots of a title are left out)."""
    joined = _NOT_IN_NAMES.sub(" ", f"{_SLOT.sub(' ', label)} {title}".strip())
    return f"{' '.join(joined.split())[:NAME_MAX].strip(' .') or 'print'}.pdf"


__all__ = ["Printed", "may_print", "may_print_some", "print_list", "print_offers", "print_record"]
