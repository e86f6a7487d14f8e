"""Input schemas: marshmallow schemas made from field definitions, the one place that reads forms, REST bodies and imports.

    schema = input_schema(revision, "demo.project", "create")
    values = schema.load(raw, zone=tenant_zone)         # Invalid carries a Problem per field, in both languages

A schema says what may come in and of which type; which of it this person may write is the command's question, unless
``writable`` is given. Whether a linked row may be used is asked afterwards (``Reader.visible``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, tzinfo
from threading import Lock
from typing import Any, TypeVar

import marshmallow as ma

from metaloom.base.errors import Invalid, MetaloomError, Problem
from metaloom.base.messages import Message, message
from metaloom.model import Entity, Field, FieldType
from metaloom.model.entity import LINK_TYPES, OWNER_COLUMNS, RESERVED_COLUMNS
from metaloom.record.paths import PerRevision, implicit_fields
from metaloom.record.values import ID_MAX, BadValue, Reading, bad, read, whole_number

PURPOSES = ("create", "edit", "action")
SOURCES = ("form", "json", "import")
CHILD_ROWS_MAX = 500
ROW_KEYS = ("id", "row_version")
SYSTEM_TYPES = (FieldType.STATE, FieldType.AUTO_NUMBER)

Resolve = Callable[[Field, Any], int | None]
T = TypeVar("T")


@dataclass(frozen=True)
class _Load:
    how: Reading
    resolve: Resolve | None


_LOAD: ContextVar[_Load] = ContextVar("metaloom_load")


class PartlyRead(Invalid):
    """Some of the input could not be read. ``values``: the rest, so that whoever stores it can name what is wrong with that too."""

    def __init__(self, problems: Sequence[Problem], values: Mapping[str, Any]) -> None:
        super().__init__(problems)
        self.values = dict(values)


class MetaField(ma.fields.Field):
    """A marshmallow field for a field of metadata."""

    def __init__(self, field: Field, *, required: bool) -> None:
        said = [message("record.required", label=field.label)]
        super().__init__(required=required, allow_none=not required, error_messages={"required": said, "null": said})  # type: ignore[dict-item]
        self.meta_field = field

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        load = _LOAD.get()
        try:
            found = self._by_key(value, load) if _is_key(self.meta_field, value, load) else read(self.meta_field, value, load.how)
        except BadValue as wrong:
            raise ma.ValidationError([wrong.message]) from None  # type: ignore[list-item]
        if found is None and self.required:
            raise self.make_error("required")
        return found

    def _by_key(self, value: Any, load: _Load) -> int:
        assert load.resolve is not None
        found = load.resolve(self.meta_field, value)
        if found is None:
            raise bad("record.link_missing", entity=self.meta_field.label)
        return found


def _is_key(field: Field, value: Any, load: _Load) -> bool:
    """A link given by natural key: a mapping of key fields, or (in a spreadsheet, or where it is no number) its text."""
    if field.type not in LINK_TYPES or load.resolve is None:
        return False
    if isinstance(value, Mapping):
        return not set(value) <= {"id", "title"}
    return isinstance(value, str) and bool(value.strip()) and (load.how.by_label or not value.strip().isdigit())


class ChildField(ma.fields.Field):
    """Rows of a child entity: a list of objects; ``id`` and ``row_version`` name a row that exists already."""

    def __init__(self, field: Field, schema: InputSchema, *, required: bool) -> None:
        said = [message("record.required", label=field.label)]
        super().__init__(required=required, allow_none=False, error_messages={"required": said, "null": said})  # type: ignore[dict-item]
        self.meta_field, self._rows = field, schema

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            raise ma.ValidationError([message("record.not_list")])  # type: ignore[list-item]
        if len(value) > CHILD_ROWS_MAX:
            raise ma.ValidationError([message("record.too_many_items", limit=CHILD_ROWS_MAX)])  # type: ignore[list-item]
        found, wrong = [], {}
        for index, row in enumerate(value):
            try:
                found.append(self._row(row))
            except ma.ValidationError as error:
                wrong[index] = error.messages
                found.append(error.valid_data or {})
        if wrong:
            raise ma.ValidationError(wrong, valid_data=found)  # type: ignore[arg-type]
        if self.required and not found:
            raise self.make_error("required")
        return found

    def _row(self, row: Any) -> dict[str, Any]:
        if not isinstance(row, Mapping):
            raise ma.ValidationError([message("record.not_row")])  # type: ignore[list-item]
        keys: dict[str, Any] = {}
        for name in ROW_KEYS:
            if row.get(name) not in (None, ""):
                try:
                    keys[name] = whole_number(row[name], ID_MAX)
                except BadValue as wrong:
                    raise ma.ValidationError({name: [wrong.message]}) from None  # type: ignore[dict-item]
        rest = {name: value for name, value in row.items() if name not in ROW_KEYS}
        return {**keys, **self._rows.raw_load(rest, partial="id" in keys)}


class InputSchema(ma.Schema):
    """What an entity or an action takes as input. Unknown names and names the system keeps are problems, never ignored."""

    class Meta:
        unknown = ma.RAISE

    input_fields: Mapping[str, Field]
    refused: Mapping[str, Message]
    offered_only = False
    partial_input = False
    choices: Mapping[str, Any]
    by_label = False

    def load(  # type: ignore[override]
        self, data: Any, *, zone: tzinfo = UTC, resolve: Resolve | None = None, writable: Collection[str] | None = None,
    ) -> dict[str, Any]:
        """The Python values by field name; PartlyRead lists every problem of reading them at once, and holds what could be read.

        ``resolve``: finds the id behind a natural key; ``writable``: names this person may write, others are refused.
        """
        if not isinstance(data, Mapping):
            raise Invalid([Problem("", message("record.not_row"))])
        how = Reading(self.choices, zone, by_label=self.by_label, offered_only=self.offered_only)
        token = _LOAD.set(_Load(how, resolve))
        try:
            values = self.raw_load(data, partial=self.partial_input)
        except ma.ValidationError as error:
            raise PartlyRead(list(_problems(error.messages, self)), error.valid_data or {}) from None  # type: ignore[arg-type]
        finally:
            _LOAD.reset(token)
        forbidden = [n for n in values if writable is not None and n not in writable]
        if forbidden:
            raise Invalid([Problem(n, message("record.may_not_write", label=self.input_fields[n].label)) for n in forbidden])
        return values

    def raw_load(self, data: Mapping[str, Any], *, partial: bool) -> dict[str, Any]:
        """Load inside a running load; marshmallow's own errors go up."""
        found: dict[str, Any] = super().load({str(k): v for k, v in data.items()}, partial=partial)
        return found


def _problems(messages: Any, schema: InputSchema, prefix: str = "") -> list[Problem]:
    """marshmallow's nested errors as a flat list of problems."""
    if isinstance(messages, Mapping):
        found = []
        for name, inner in messages.items():
            found += _problems(inner, schema, f"{prefix}.{name}" if prefix else str(name))
        return found
    return [Problem(prefix, said if isinstance(said, Message) else _unknown(prefix, schema)) for said in messages]


def _unknown(path: str, schema: InputSchema) -> Message:
    name = path.rpartition(".")[2]
    return schema.refused.get(path) or message("record.unknown_field", name=name[:60])


# -- making ----------------------------------------------------------------------------------------------------------


class _Book:
    def __init__(self, revision: Any) -> None:
        self.revision = revision
        self.schemas: dict[tuple[str, ...], InputSchema] = {}
        self.lock = Lock()


_BOOKS: PerRevision[_Book] = PerRevision(_Book)


def input_schema(revision: Any, entity: str, purpose: str = "create", *, source: str = "form", action: str = "") -> InputSchema:
    """The schema of ``entity`` for ``purpose``: create, edit (only what is given is read), or action (input of ``action``).

    ``source`` import also takes the words of choices and a spreadsheet's numbers and dates. Made once per revision.
    """
    if purpose not in PURPOSES or source not in SOURCES:
        raise AssertionError(f"no input schema for {purpose!r} from {source!r}")
    book = _BOOKS.of(revision)
    key = (entity, purpose, source, action)
    found = book.schemas.get(key)
    if found is None:
        with book.lock:
            found = book.schemas.setdefault(key, _make(revision, entity, purpose, source, action))
    return found


def judged_whole(read: Callable[[], dict[str, Any]], store: Callable[[dict[str, Any], Sequence[Problem]], T]) -> T:
    """Stores what was read. Of input that cannot be read in full, ``store`` judges what can be read, so that Invalid names every problem at
    once; it is told what was wrong, and stores nothing then."""
    try:
        values = read()
    except PartlyRead as unread:
        try:
            return store(unread.values, unread.problems)
        except Invalid:
            raise
        except MetaloomError:  # input that cannot be read is told first, whatever else is in its way
            raise unread from None
    return store(values, ())


def schema_of(revision: Any, fields: Mapping[str, Field], *, source: str = "json") -> InputSchema:
    """The schema of loose fields: the input of a plugin command."""
    return _assemble(revision, "input", fields, {}, source, partial=False, offered_only=True)


def _make(revision: Any, address: str, purpose: str, source: str, action: str) -> InputSchema:
    if purpose == "action":
        return schema_of(revision, revision.catalog.actions[f"{address}/{action}"].input.fields, source=source)
    entity = revision.catalog.entities[address]
    fields = {name: f for name, f in entity.fields.items() if accepts(entity, f, purpose)}
    refused = {name: _refusal(f, purpose) for name, f in entity.fields.items() if name not in fields}
    refused |= {f.name: message("record.read_only", label=f.label) for f in implicit_fields(entity) if f.name not in fields}
    refused |= {name: message("record.read_only", label=name) for name in (*RESERVED_COLUMNS, *OWNER_COLUMNS) if name not in refused}
    return _assemble(revision, address, fields, refused, source, partial=purpose == "edit", offered_only=purpose == "create")


def accepts(entity: Entity, field: Field, purpose: str) -> bool:
    """Whether the field may come in at all for this purpose."""
    if field.type in SYSTEM_TYPES or field.computed or field.read_only:
        return False
    if entity.child_of and field.name == entity.parent_field:
        return False
    return not (field.fixed and purpose == "edit")


def _refusal(field: Field, purpose: str) -> Message:
    fixed = field.fixed and purpose == "edit" and not field.read_only and not field.computed
    return message("record.fixed" if fixed else "record.read_only", label=field.label)


def _assemble(revision: Any, name: str, fields: Mapping[str, Field], refused: Mapping[str, Message], source: str, *,
              partial: bool, offered_only: bool) -> InputSchema:
    filled = {target for field in fields.values() for target in field.fill}
    made: dict[str, Any] = {}
    for field in fields.values():
        required = field.required and not field.default and field.name not in filled
        made[field.name] = _child(revision, field, source, required) if field.type is FieldType.CHILD else MetaField(field, required=required)
    schema_class = type(f"{name.replace('.', '_').title()}Input", (InputSchema,), made)
    schema: InputSchema = schema_class()
    schema.input_fields, schema.refused, schema.choices = dict(fields), dict(refused), revision.catalog.choices
    schema.offered_only, schema.partial_input, schema.by_label = offered_only, partial, source == "import"
    return schema


def _child(revision: Any, field: Field, source: str, required: bool) -> ChildField:
    child = revision.catalog.entities[field.entity]
    parent = field.parent_field or child.parent_field
    fields = {n: f for n, f in child.fields.items() if n != parent and f.type is not FieldType.CHILD and accepts(child, f, "create")}
    return ChildField(field, _assemble(revision, child.address, fields, {}, source, partial=False, offered_only=False), required=required)
