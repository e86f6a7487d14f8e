"""Role and AccessGrant: who may do what with which rows and fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from metaloom.base.position import NOWHERE, Position
from metaloom.base.text import Text

STANDARD_ACTIONS = ("list", "read", "create", "edit", "delete", "restore", "export", "import", "print", "transfer", "unmask", "history", "share",
                    "comment")
SCOPES = ("all", "company", "dept_tree", "dept", "custom", "self", "assigned", "expression", "none")


class FieldLevel(IntEnum):
    """What a grant lets a person do with a field; more is more, so the best of several grants is ``max``."""

    HIDDEN = 0
    MASKED = 1
    READ = 2
    WRITE = 3


@dataclass(frozen=True)
class Role:
    address: str
    label: Text
    help: Text | None = None
    position: Position = NOWHERE


@dataclass(frozen=True)
class AccessGrant:
    """One line of rights: a role, on one entity, for the rows of ``scope``, these ``actions``, these field levels.

    ``scope``: all | company (of the assignment) | dept_tree | dept | self (owner is the actor) | custom (``units``: org unit codes)
    | assigned (``assigned_field`` is the actor) | expression (``condition`` over the row and ``user.*``) | none.
    ``fields`` maps a field name or ``*`` to a level; a field not named takes ``*``, else: WRITE when the grant has create or edit,
    READ otherwise; a field with a mask and no explicit level of its own takes at most MASKED for reading — but WRITE stays WRITE.
    """

    address: str
    entity: str
    role: str                      # role address
    name: str
    scope: str
    actions: frozenset[str]
    fields: Mapping[str, FieldLevel] = field(default_factory=dict)
    condition: str = ""
    assigned_field: str = ""
    units: tuple[str, ...] = ()
    position: Position = NOWHERE
