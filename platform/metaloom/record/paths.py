"""Fields by name and by path: ``amount``, ``customer.name``, and the fields that every record has."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any, Generic, TypeVar

import metaloom.record.messages  # noqa: F401  (registers the sentences)
from metaloom.base.messages import message
from metaloom.base.text import Text
from metaloom.model import Catalog, Entity, Field, FieldType
from metaloom.model.entity import LINK_TYPES, LIST_TYPES

MAX_HOPS = 4
LINK_TARGETS = {
    FieldType.USER: "platform.user", FieldType.ORG_UNIT: "platform.org_unit", FieldType.COMPANY: "platform.company",
}
# Names of people and parts of the organisation are a directory: their titles show without a grant on them.
DIRECTORY = frozenset({"platform.user", "platform.org_unit", "platform.company", "platform.post"})
_IMPLICIT_TYPES = {
    "id": FieldType.INTEGER, "row_version": FieldType.INTEGER, "created_at": FieldType.DATETIME,
    "created_by": FieldType.USER, "updated_at": FieldType.DATETIME, "updated_by": FieldType.USER,
}
_OWNER_TYPES = {"company": FieldType.COMPANY, "org_unit": FieldType.ORG_UNIT, "user": FieldType.USER}

T = TypeVar("T")


class UnknownPath(LookupError):
    """The entity has no such field or path."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One link followed: from ``entity`` by ``field`` (its ``column``) to a row of ``target``."""

    entity: str
    field: Field
    column: str
    target: str


@dataclass(frozen=True, slots=True)
class Path:
    """A display path: the links followed, then the field of the last entity. ``title`` is the path of the words that
    stand for the linked row when ``field`` itself is a link."""

    text: str
    hops: tuple[Hop, ...]
    entity: str
    field: Field
    column: str
    title: Path | None = None

    @property
    def is_link(self) -> bool:
        return self.field.type in LINK_TYPES

    @property
    def prefix(self) -> tuple[str, ...]:
        return tuple(hop.field.name for hop in self.hops)


def _implicit(name: str, kind: FieldType) -> Field:
    words = message(f"record.field.{name}")
    return Field(name, kind, Text(words.say("zh"), words.say("en")), address=name, read_only=True)


IMPLICIT: dict[str, Field] = {name: _implicit(name, kind) for name, kind in _IMPLICIT_TYPES.items()}
ARCHIVED_AT = _implicit("archived_at", FieldType.DATETIME)
OWNERS: dict[str, Field] = {
    "company": _implicit("company", FieldType.COMPANY), "org_unit": _implicit("org_unit", FieldType.ORG_UNIT),
    "owner": _implicit("owner", FieldType.USER),
}


def field_of(entity: Entity, name: str) -> Field:
    """The field ``name`` of the entity, its own or one that every record has; UnknownPath otherwise."""
    if name in entity.fields:
        return entity.fields[name]
    if name in IMPLICIT:
        return IMPLICIT[name]
    if name == "archived_at" and entity.archivable:
        return ARCHIVED_AT
    if name in OWNERS and {"owner": "user"}.get(name, name) in entity.ownership.owned_by:
        return OWNERS[name]
    raise UnknownPath(name)


def implicit_fields(entity: Entity) -> tuple[Field, ...]:
    """The fields of a record that its entity does not write down."""
    owned = [OWNERS["owner" if name == "user" else name] for name in entity.ownership.owned_by]
    own = [f for f in (*owned, *IMPLICIT.values()) if f.name not in entity.fields]
    return (*own, ARCHIVED_AT) if entity.archivable else tuple(own)


def column_of(field: Field) -> str:
    """Name of the field's column; the reserved author columns carry no ``_id``."""
    return field.name if field.name in IMPLICIT and field is IMPLICIT[field.name] else field.column


def target_of(field: Field) -> str:
    """Address of the entity that a link field points to."""
    return LINK_TARGETS.get(field.type, field.entity)


def resolve(catalog: Catalog, entity: Entity, text: str) -> Path:
    """The path ``text`` from ``entity``; UnknownPath when a part is missing, no link, or too many."""
    names = text.split(".")
    if not text or len(names) > MAX_HOPS + 1:
        raise UnknownPath(text)
    hops: list[Hop] = []
    current = entity
    for name in names[:-1]:
        link = field_of(current, name)
        if link.type not in LINK_TYPES or target_of(link) not in catalog.entities:
            raise UnknownPath(text)
        hops.append(Hop(current.address, link, column_of(link), target_of(link)))
        current = catalog.entities[target_of(link)]
    field = field_of(current, names[-1])
    if not field.stored:
        raise UnknownPath(text)
    return Path(text, tuple(hops), current.address, field, column_of(field), _title(catalog, current, field, text, hops))


def _title(catalog: Catalog, entity: Entity, field: Field, text: str, hops: list[Hop]) -> Path | None:
    """Path of the words for the row a link points to; a title that is itself a link is followed on."""
    if field.type not in LINK_TYPES or target_of(field) not in catalog.entities or len(hops) >= MAX_HOPS:
        return None
    target = catalog.entities[target_of(field)]
    onward = [*hops, Hop(entity.address, field, column_of(field), target.address)]
    try:
        title = field_of(target, target.title)
    except UnknownPath:
        return None
    if title.type in LINK_TYPES:
        return _title(catalog, target, title, f"{text}.{title.name}", onward)
    return Path(f"{text}.{title.name}", tuple(onward), target.address, title, column_of(title))


def is_list(field: Field) -> bool:
    return field.type in LIST_TYPES


class PerRevision(Generic[T]):
    """One value per living revision (compiled paths, encoders, schemas), bounded; made once by ``make``."""

    def __init__(self, make: Callable[[Any], T], limit: int = 64) -> None:
        self._make, self._limit = make, limit
        self._entries: OrderedDict[int, tuple[Any, T]] = OrderedDict()
        self._lock = Lock()

    def of(self, revision: Any) -> T:
        entry = self._entries.get(id(revision))
        if entry is not None and entry[0] is revision:
            return entry[1]
        value = self._make(revision)
        with self._lock:
            self._entries[id(revision)] = (revision, value)
            while len(self._entries) > self._limit:
                self._entries.popitem(last=False)
        return value


class PathBook:
    """Paths of one revision, resolved once."""

    def __init__(self, revision: Any) -> None:
        self._catalog: Catalog = revision.catalog
        self._known: dict[tuple[str, str], Path] = {}

    def path(self, entity: str, text: str) -> Path:
        found = self._known.get((entity, text))
        if found is None:
            found = self._known[entity, text] = resolve(self._catalog, self._catalog.entities[entity], text)
        return found


PATHS: PerRevision[PathBook] = PerRevision(PathBook)


def path(revision: Any, entity: str, text: str) -> Path:
    """``resolve`` with memory."""
    return PATHS.of(revision).path(entity, text)
