"""A form as values: sections of fields with their widgets, what stands in them, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from werkzeug.datastructures import MultiDict

from metaloom.base.errors import Problem
from metaloom.model import Entity, Field, FieldLevel, FieldType
from metaloom.model.entity import EXACT_TYPES, FILE_TYPES, LINK_TYPES
from metaloom.record.encode import display
from metaloom.record.paths import target_of
from metaloom.record.schema import accepts
from metaloom.web.current import Current, locale, say
from metaloom.web.listing import fraction
from metaloom.web.words import form_ids, whole

WIDGETS = {
    FieldType.LONG_TEXT: "area",
    FieldType.RICH_TEXT: "area",
    FieldType.JSON: "area",
    FieldType.BOOLEAN: "bool",
    FieldType.CHOICE: "choice",
    FieldType.MULTI_CHOICE: "choices",
    FieldType.DATE: "date",
    FieldType.DATETIME: "datetime",
    FieldType.TIME: "time",
    FieldType.CHILD: "child",
    FieldType.ATTACHMENT: "files",
    FieldType.IMAGE: "files",
    FieldType.SIGNATURE: "files",
    FieldType.COLOUR: "colour",
    FieldType.TAGS: "tags",
    FieldType.INTEGER: "number",
    FieldType.DECIMAL: "number",
    FieldType.MONEY: "money",
    FieldType.RATE: "rate",
    FieldType.LINK: "link",
    FieldType.USER: "link",
    FieldType.ORG_UNIT: "link",
    FieldType.COMPANY: "link",
    FieldType.STATE: "shown",
    FieldType.AUTO_NUMBER: "shown",
    FieldType.REGION: "region",
}
INPUT_KINDS = {FieldType.EMAIL: "email", FieldType.PHONE: "tel", FieldType.URL: "url"}
FULL_WIDTH = frozenset({"area", "child", "cards", "files"})
LENGTHS = {
    FieldType.TEXT: 200,
    FieldType.PHONE: 30,
    FieldType.EMAIL: 200,
    FieldType.URL: 500,
    FieldType.ID_CARD: 18,
    FieldType.BANK_CARD: 24,
    FieldType.CREDIT_CODE: 18,
    FieldType.REGION: 6,
}
IMAGE_KINDS = (".png", ".jpg", ".jpeg", ".webp", ".gif")


@dataclass(frozen=True)
class FormField:
    """One field of a form. ``value`` is the text in the input (``values`` where there are several); ``shown`` the words
    where it cannot be changed; ``usual`` those that hold where it stays empty. ``when``: the name of another input and its values under
    which this one is asked for, ``hidden`` whether it is not now. ``mark`` ends the id where two inputs share a name,
    ``asks`` the address of the candidates in the dialog of an action: which one, of which record. ``helps``: what is said beneath by the code
    that is chosen, in place of ``help``."""

    name: str
    html: str
    label: str
    widget: str
    input_type: str = "text"
    value: str = ""
    values: tuple[str, ...] = ()
    shown: str = ""
    titles: Mapping[str, str] = field(default_factory=dict)
    options: tuple[tuple[str, str], ...] = ()
    helps: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    source: str = ""
    filtered: bool = False
    asks: str = ""
    required: bool = False
    starred: bool = False
    locked: bool = False
    help: str = ""
    unit: str = ""
    length: int | None = None
    low: str = ""
    high: str = ""
    scale: int = 0
    capitals: bool = False
    multiple: bool = False
    accept: str = ""
    files: tuple[Mapping[str, Any], ...] = ()
    problems: tuple[str, ...] = ()
    rows: tuple[FormRow, ...] = ()
    blank: FormRow | None = None
    usual: str = ""
    when: tuple[str, tuple[str, ...]] | None = None
    hidden: bool = False
    mark: str = ""

    @property
    def full(self) -> bool:
        return self.widget in FULL_WIDTH

    @property
    def id(self) -> str:
        return "f-" + self.html.replace(".", "-") + self.mark


@dataclass(frozen=True)
class FormRow:
    """One row of a child grid."""

    index: str
    id: int | None
    row_version: int | None
    fields: tuple[FormField, ...]


@dataclass(frozen=True)
class FormSection:
    name: str
    label: str
    help: str
    columns: int
    fields: tuple[FormField, ...]
    live: bool = False

    @property
    def wrong(self) -> bool:
        return any(one.problems or any(c.problems for row in one.rows for c in row.fields) for one in self.fields)


@dataclass(frozen=True)
class Source:
    """Where the values of a form come from: a stored row, defaults, or what was just sent and refused."""

    purpose: str  # create | edit | action
    values: Mapping[str, Any] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)
    levels: Mapping[str, FieldLevel] = field(default_factory=dict)
    children: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    sent: MultiDict[str, str] | None = None
    problems: tuple[Problem, ...] = ()
    files: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)


def sections(pinned: Current, entity: Entity, source: Source) -> list[FormSection]:
    """The form's sections with the fields this person may see; empty sections vanish."""
    form = pinned.catalog.forms.get(entity.address)
    found = []
    if form is None:
        names = tuple(entity.fields)
        plain = [f for n in names if (f := form_field(pinned, entity, entity.fields[n], source))]
        return [FormSection("all", say(entity.label), "", 2, tuple(plain))] if plain else []
    for section in form.sections.values():
        fields = [one for name in section.fields if name in entity.fields and (one := form_field(pinned, entity, entity.fields[name], source))]
        if fields:
            found.append(FormSection(section.name, say(section.label), say(section.help), section.columns, tuple(fields), bool(section.visible_when)))
    return found


def form_field(pinned: Current, entity: Entity, one: Field, source: Source) -> FormField | None:
    """The field for this person, or None where it is hidden or has nothing to show."""
    level = source.levels.get(one.name, FieldLevel.HIDDEN)
    if level is FieldLevel.HIDDEN:
        return None
    taken = accepts(entity, one, "edit" if source.purpose == "edit" else "create") if source.purpose != "action" else True
    locked = level < FieldLevel.WRITE or not taken
    if locked and source.purpose == "create" and not one.computed:
        return None
    return make_field(pinned, entity, one, source, one.name, locked)


def make_field(pinned: Current, entity: Entity, one: Field, source: Source, html: str, locked: bool) -> FormField:
    """The field with what stands in it."""
    widget = WIDGETS.get(one.type, "text")
    value = source.values.get(one.name)
    made = FormField(
        one.name,
        html,
        say(one.label),
        "shown" if locked and widget not in ("child",) else widget,
        INPUT_KINDS.get(one.type, "text"),
        required=one.required and not locked,
        starred=(one.required or bool(one.required_when)) and not locked,
        locked=locked,
        help=say(one.help),
        unit=_unit(one),
        length=one.length or LENGTHS.get(one.type),
        low=_number(one.min, one),
        high=_number(one.max, one),
        scale=_scale(one),
        capitals=one.in_capitals,
        multiple=one.multiple and one.type is not FieldType.SIGNATURE,
        accept=_accept(one),
        problems=tuple(p.message.say(locale()) for p in source.problems if p.field == html),
        source=entity.address,
        filtered=bool(one.filter),
        target=target_of(one) if one.type in LINK_TYPES else "",
        options=_options(pinned, one),
        helps=_helps(pinned, one),
    )
    if made.widget == "child":
        return _child(pinned, one, source, made)
    made = replace(made, shown=_shown(pinned, entity, one, source, value), capitals=made.capitals and locale() == "zh")
    if locked:
        return replace(made, value=as_text(one, value))
    return _filled(one, source, made, value)


def _filled(one: Field, source: Source, made: FormField, value: Any) -> FormField:
    if source.sent is not None and made.html in source.sent:
        sent = [v for v in source.sent.getlist(made.html) if v]
        made = replace(made, value=sent[-1] if sent else "", values=tuple(sent))
        if one.type in FILE_TYPES:
            made = replace(made, files=_files(",".join(sent).split(","), source))
    elif one.type in FILE_TYPES:
        ids = [str(i) for i in value or ()]
        made = replace(made, value=",".join(ids), files=_files(ids, source))
    elif isinstance(value, (tuple, list)):
        made = replace(made, value=",".join(map(str, value)), values=tuple(map(str, value)))
    else:
        text = as_text(one, value)
        made = replace(made, value=text, values=(text,) if text else ())
    if made.widget == "link" and made.value:
        made = replace(made, titles={made.value: source.titles.get(one.name) or source.titles.get(f"{made.html}={made.value}") or made.value})
    return made


def _files(ids: Iterable[str], source: Source) -> tuple[Mapping[str, Any], ...]:
    return tuple(source.files.get(n, {"id": n, "name": f"#{n}", "size": 0}) for n in form_ids(ids))


def _shown(pinned: Current, entity: Entity, one: Field, source: Source, value: Any) -> str:
    if one.type in LINK_TYPES:
        return source.titles.get(one.name) or "-"
    if source.levels.get(one.name) is FieldLevel.MASKED:
        return str(value) if value else "-"
    return display(pinned.catalog, one, value, locale(), entity=entity.address, zone=pinned.zone)


def as_text(one: Field, value: Any, zone: Any = None) -> str:
    """A stored value as it stands in an input; rates in percent."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        if one.type is FieldType.RATE:
            return format((value * 100).normalize(), "f")
        return format(value, "f")
    if isinstance(value, datetime):
        return (value.astimezone(zone) if zone else value).strftime("%Y-%m-%d %H:%M")
    if isinstance(value, time):
        return value.strftime("%H:%M")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (dict, list)):
        import json

        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _unit(one: Field) -> str:
    if one.unit:
        return f"% / {say(one.unit)}" if one.type is FieldType.RATE else say(one.unit)  # a rate's unit is its basis: per year, per day
    if one.type is FieldType.MONEY:
        return "元" if one.currency == "CNY" and locale() == "zh" else one.currency
    return "%" if one.type is FieldType.RATE else ""


def _number(bound: Decimal | None, one: Field) -> str:
    if bound is None:
        return ""
    return format((bound * 100 if one.type is FieldType.RATE else bound).normalize(), "f")


def _scale(one: Field) -> int:
    return {FieldType.MONEY: 2, FieldType.DECIMAL: 4}.get(one.type, 0) if one.scale is None else one.scale


def _accept(one: Field) -> str:
    kinds = one.accept or (IMAGE_KINDS if one.type in (FieldType.IMAGE, FieldType.SIGNATURE) else ())
    return ",".join("." + kind.lstrip(".") for kind in kinds)


def _options(pinned: Current, one: Field) -> tuple[tuple[str, str], ...]:
    choices = pinned.catalog.choices.get(one.choices) if one.type in (FieldType.CHOICE, FieldType.MULTI_CHOICE) else None
    return tuple((c.code, say(c.label)) for c in choices.items.values() if not c.hidden) if choices else ()


def _helps(pinned: Current, one: Field) -> dict[str, str]:
    """What is said beneath the field while a choice is chosen, by code."""
    choices = pinned.catalog.choices.get(one.choices) if one.type is FieldType.CHOICE else None
    return {c.code: say(c.help) for c in choices.items.values() if c.help and not c.hidden} if choices else {}


# ----------------------------------------------------------------------------------------------------- child grids


def _child(pinned: Current, one: Field, source: Source, made: FormField) -> FormField:
    child = pinned.catalog.entities[one.entity]
    parent = one.parent_field or child.parent_field
    columns = [
        f
        for f in child.fields.values()
        if f.name != parent and f.type is not FieldType.CHILD and pinned.plan.field_level_anywhere(child.address, f.name) > FieldLevel.HIDDEN
    ]
    rows = _sent_rows(pinned, child, columns, source, made) if source.sent is not None else _stored_rows(pinned, child, columns, source, made)
    return replace(made, rows=tuple(rows), blank=_row(pinned, child, columns, made, "__i__", None, None, _defaults(pinned, child, source)))


def _defaults(pinned: Current, child: Entity, source: Source) -> Source:
    from metaloom.web.form_values import default_values

    return Source("create", default_values(pinned, child), problems=(), files=source.files)


def _stored_rows(pinned: Current, child: Entity, columns: list[Field], source: Source, made: FormField) -> Iterable[FormRow]:
    for index, row in enumerate(source.children.get(made.name, ())):
        own = Source("edit", row.values, row.titles, row.levels, problems=source.problems, files=source.files)
        yield _row(pinned, child, columns, made, str(index), row.id, row.row_version, own)


def _sent_rows(pinned: Current, child: Entity, columns: list[Field], source: Source, made: FormField) -> Iterable[FormRow]:
    assert source.sent is not None
    for index, raw in enumerate(sent_rows(source.sent, made.name)):
        data = MultiDict((f"{made.html}.{index}.{k}", v) for k, values in raw.lists() for v in values)
        own = Source("create", {}, source.titles, {}, sent=data, problems=source.problems, files=source.files)
        id, version = raw.get("id", ""), raw.get("row_version", "")
        yield _row(pinned, child, columns, made, str(index), whole(id), whole(version), own)


def _row(
    pinned: Current, child: Entity, columns: list[Field], made: FormField, index: str, id: int | None, version: int | None, source: Source
) -> FormRow:
    cells = []
    for one in columns:
        level = source.levels.get(one.name) or pinned.plan.field_level_anywhere(child.address, one.name)
        locked = made.locked or level < FieldLevel.WRITE or not accepts(child, one, "create" if id is None else "edit")
        cells.append(make_field(pinned, child, one, source, f"{made.html}.{index}.{one.name}", locked))
    return FormRow(index, id, version, tuple(cells))


# ---------------------------------------------------------------------------------------------- what the form sent


def sent_rows(sent: MultiDict[str, str], name: str) -> list[MultiDict[str, str]]:
    """The rows of a child grid, in the order of the page; rows may have any number as their index."""
    rows: dict[int, MultiDict[str, str]] = {}
    for key, values in sent.lists():
        parts = key.split(".", 2)
        if len(parts) == 3 and parts[0] == name and (number := whole(parts[1], 5)) is not None:
            row = rows.setdefault(number, MultiDict())
            row.setlist(parts[2], values)
    return [rows[index] for index in sorted(rows)]


def raw_values(fields: Mapping[str, Field], sent: MultiDict[str, str], children: Mapping[str, Mapping[str, Field]]) -> dict[str, Any]:
    """What was sent, by field name, as the input schema takes it. Unknown names go along: the schema refuses them by name."""
    found: dict[str, Any] = {}
    for key in sent:
        name, _, rest = key.partition(".")
        if key.startswith("_") or key == "csrf_token":
            continue
        if rest and name in children:
            if name not in found:
                found[name] = [raw_values(children[name], row, {}) for row in sent_rows(sent, name)]
        else:
            found[key] = _raw(fields.get(key), sent.getlist(key))
    return found


def _raw(one: Field | None, values: list[str]) -> Any:
    if one is None:
        return values[-1]
    if one.type is FieldType.MULTI_CHOICE:
        return [v for v in values if v]
    if one.type in FILE_TYPES:
        return [part for v in values for part in v.split(",") if part]
    value = values[-1]
    if one.type in EXACT_TYPES or one.type is FieldType.INTEGER:
        value = value.replace(",", "").strip()
        return fraction(value) if one.type is FieldType.RATE and value else value
    return value


def with_child_markers(found: dict[str, Any], sent: MultiDict[str, str], children: Iterable[str]) -> dict[str, Any]:
    """An emptied grid sends no row; its marker says that it was on the page."""
    for name in children:
        if f"_grid.{name}" in sent:
            found.setdefault(name, [])
    return found
