"""What an expression may speak about: types, the names in scope, and the environment of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

PYTHON, SQL, BROWSER = "python", "sql", "browser"
ALL_TARGETS = frozenset({PYTHON, SQL, BROWSER})


@dataclass(frozen=True, slots=True)
class Type:
    """The type of a value. `target` names the entity of a record id, `choices` the codes of a choice or a
    multi-choice (None = unknown, any text is accepted), `of` the element type of a multi."""

    kind: str
    target: str | None = None
    choices: tuple[str, ...] | None = None
    of: Type | None = None

    def __str__(self) -> str:
        return f"{self.kind}({self.target})" if self.target else self.kind

    @property
    def is_number(self) -> bool:
        return self.kind in ("int", "decimal")

    @property
    def is_text(self) -> bool:
        return self.kind in ("text", "choice")


BOOL = Type("bool")
INT = Type("int")
DECIMAL = Type("decimal")
TEXT = Type("text")
DATE = Type("date")
DATETIME = Type("datetime")
TIME = Type("time")
CHOICE = Type("choice")
MULTI = Type("multi", of=TEXT)
RECORD = Type("record")
NULL = Type("null")


def choice(*codes: str) -> Type:
    """A choice with known codes: a comparison with any other text is refused."""
    return Type("choice", choices=tuple(codes))


def multi(codes: Iterable[str] | None = None, of: Type = TEXT) -> Type:
    """A set of values. `codes` restricts a multi-choice field; `of` serves sets of the environment (`user.companies`)."""
    return Type("multi", choices=None if codes is None else tuple(codes), of=of)


def record(target: str | None = None) -> Type:
    """A record id. Ids of different entities cannot be compared; None fits every entity."""
    return Type("record", target=target)


@dataclass(frozen=True, slots=True)
class PluginFunction:
    """A function that code outside the language supplies. Null in any argument gives null; it must be pure."""

    name: str
    params: tuple[Type, ...]
    result: Type
    python: Callable[..., Any]
    cost: int = 20
    targets: frozenset[str] = frozenset({PYTHON})


@dataclass(frozen=True, eq=False)
class Scope:
    """The names an expression may use. Links and children are callables because entities link in circles.

    A link that is also in `fields` (as `record(...)`) may be used bare, as the id of the linked record.
    `user` declares the attributes reachable as `user.<name>`; a link named `user` hides them.
    """

    fields: Mapping[str, Type] = field(default_factory=dict)
    links: Mapping[str, Callable[[], Scope]] = field(default_factory=dict)
    children: Mapping[str, Callable[[], Scope]] = field(default_factory=dict)
    user: Mapping[str, Type] = field(default_factory=dict)
    functions: Mapping[str, PluginFunction] = field(default_factory=dict)
    compiled: dict[Any, Any] = field(default_factory=dict, repr=False)

    def names(self) -> set[str]:
        """Every first name that may begin a path."""
        return {*self.fields, *self.links, *self.children, *({"user"} if self.user else ())}


@dataclass(frozen=True, slots=True)
class Env:
    """What an evaluation knows besides the record. `now` is aware (UTC); values of `user` have the types of `Scope.user`."""

    business_date: date | None = None
    now: datetime | None = None
    user_id: int | None = None
    roles: frozenset[str] = frozenset()
    user: Mapping[str, Any] = field(default_factory=dict)
