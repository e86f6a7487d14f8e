"""Actor: the person (or job) who asks, and the roles held."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import sqlalchemy as sa

from metaloom.access.org import OrgTree, load_org_tree, stamp_columns
from metaloom.access.person import person_key
from metaloom.access.plan import AccessPlan
from metaloom.base.errors import LoginRequired

T = TypeVar("T")
EVERYBODY = "platform.everybody"
_PERSON = ("id", "username", "active", "archived_at", "last_name", "first_name", "display_name", "locale", "company_id", "org_unit_id", "auth_stamp",
           "roles_lost", "must_renew", "person_key", "staff_no")


@dataclass(frozen=True, slots=True)
class Assignment:
    """A role held; ``company_id`` or ``org_unit_id`` limits it to that part of the organisation."""

    role: str
    company_id: int | None = None
    org_unit_id: int | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """``is_admin`` is always False here: administration is granted like everything else, nobody passes by the grants.
    ``auth_stamp`` moves on when the account's logins are to end (a new password), ``token_stamp`` also when it loses a role:
    tokens and keys carry the one they were made under. ``must_renew``: somebody else chose the password.
    ``person``: whose account it is (``person_of``); empty where nobody asked."""

    user_id: int | None
    username: str
    display_name: str = ""
    locale: str = "zh"
    roles: tuple[Assignment, ...] = ()
    company_id: int | None = None
    org_unit_id: int | None = None
    is_admin: bool = False
    run_as: str = ""
    active: bool = True
    auth_stamp: int = 1
    token_stamp: int = 1
    must_renew: bool = False
    person: str = ""

    @classmethod
    def system(cls, run_as: str, *, roles: tuple[Assignment, ...] = (), company_id: int | None = None) -> Actor:
        """The actor of a job or of the command line; ``run_as`` names it in the audit."""
        return cls(None, run_as, run_as, roles=roles, company_id=company_id, run_as=run_as)

    @property
    def assignments(self) -> tuple[Assignment, ...]:
        """The roles held, and the one that every person holds without being given it."""
        return self.roles if self.user_id is None else (*self.roles, Assignment(EVERYBODY))

    @property
    def role_addresses(self) -> frozenset[str]:
        return frozenset(assignment.role for assignment in self.roles)

    def holds_everywhere(self, role: str) -> bool:
        """Whether the role is held for the whole tenant; one that is limited to a company or unit is no power over the others."""
        return any((held.role, held.company_id, held.org_unit_id) == (role, None, None) for held in self.roles)

    def holding(self, *roles: str) -> Actor:
        """The same person with unlimited assignments of ``roles`` (tests, run-as)."""
        return replace(self, roles=tuple(Assignment(role) for role in roles))


def load_actor(conn: sa.Connection, revision: Any, user_id: int) -> Actor:
    """The user with the live role assignments, in one statement; LoginRequired when unknown or switched off."""
    return _actor(conn, revision, user_id)[0]


def _actor(conn: sa.Connection, revision: Any, user_id: int) -> tuple[Actor, str]:
    found = _actors(conn, revision, (user_id,)).get(user_id)
    if found is None:
        raise LoginRequired
    return found


def _actors(conn: sa.Connection, revision: Any, user_ids: Iterable[int]) -> dict[int, tuple[Actor, str]]:
    """Those of the accounts that may log in, each with the stamp of the organisation, in one statement."""
    statement = _STATEMENTS.get(id(revision), revision)
    if statement is None:
        statement = _STATEMENTS.put(id(revision), revision, _statement(revision))
    rows: dict[int, list[sa.RowMapping]] = {}
    for row in conn.execute(statement, {"actor_ids": sorted(set(user_ids))}).mappings():
        if row["active"] and row["archived_at"] is None:
            rows.setdefault(row["id"], []).append(row)
    return {user_id: _actor_of(own) for user_id, own in rows.items()}


def _actor_of(rows: Sequence[sa.RowMapping]) -> tuple[Actor, str]:
    """One account out of a row for each role."""
    first = rows[0]
    actor = Actor(
        first["id"], first["username"], _display_name(first), first["locale"] or "zh",
        tuple(dict.fromkeys(Assignment(row["_role"], row["_company"], row["_unit"]) for row in rows if row["_role"])),
        first["company_id"], first["org_unit_id"], auth_stamp=first["auth_stamp"], token_stamp=first["auth_stamp"] + first["roles_lost"],
        must_renew=bool(first["must_renew"]), person=person_key(first["id"], first["person_key"], first["staff_no"]),
    )
    return actor, f"{first['org_rows']}:{first['org_versions']}"


def _statement(revision: Any) -> sa.Select[Any]:
    """The accounts ``actor_ids``, a row for each role held today, and the stamp of the organisation."""
    user, held = revision.tables.engine.user, revision.tables.engine.role_assignment
    today = sa.func.current_date(type_=held.c.valid_from.type)
    live = (sa.not_(held.c.waits_for_second), sa.func.coalesce(held.c.valid_from, today) <= today, sa.func.coalesce(held.c.valid_to, today) >= today)
    return (
        sa.select(*(user.c[name] for name in _PERSON), held.c.role.label("_role"), held.c.company_id.label("_company"),
                  held.c.org_unit_id.label("_unit"), *stamp_columns(revision))
        .select_from(user.outerjoin(held, sa.and_(held.c.user_id == user.c.id, *live)))
        .where(user.c.id.in_(sa.bindparam("actor_ids", type_=user.c.id.type, expanding=True))).order_by(held.c.id)
    )


def _display_name(row: sa.RowMapping) -> str:
    """The display name; else the parts that Flask-AppBuilder keeps."""
    last, first = row["last_name"] or "", row["first_name"] or ""
    parts = f"{first} {last}".strip() if (last + first).isascii() else f"{last}{first}"
    return str(row["display_name"] or parts or row["username"])


@dataclass
class _Cache(Generic[T]):
    """What a revision needs again (statements, organisations, plans), least recently used first; shared by the threads of a process."""

    limit: int
    entries: OrderedDict[Any, tuple[Any, T]] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: Any, revision: Any) -> T | None:
        with self.lock:
            found = self.entries.get(key)
            if found is None or found[0] is not revision:
                return None
            self.entries.move_to_end(key)
            return found[1]

    def put(self, key: Any, revision: Any, made: T) -> T:
        with self.lock:
            self.entries[key] = (revision, made)
            while len(self.entries) > self.limit:
                self.entries.popitem(last=False)
        return made


_PLANS: _Cache[AccessPlan] = _Cache(limit=500)
_TREES: _Cache[OrgTree] = _Cache(limit=200)
_STATEMENTS: _Cache[sa.Select[Any]] = _Cache(limit=200)


def plan_for(conn: sa.Connection, revision: Any, user_id: int) -> AccessPlan:
    """The plan of a user as of now: one statement, whose answer also says whether the cached plan still holds."""
    return _plan(conn, revision, *_actor(conn, revision, user_id))


def plans_for(conn: sa.Connection, revision: Any, user_ids: Iterable[int]) -> dict[int, AccessPlan]:
    """The plans of several users, in one statement; whoever may not log in is absent."""
    return {user_id: _plan(conn, revision, *found) for user_id, found in _actors(conn, revision, user_ids).items()}


def _plan(conn: sa.Connection, revision: Any, actor: Actor, org_stamp: str) -> AccessPlan:
    key = (id(revision), actor, org_stamp)
    plan = _PLANS.get(key, revision)
    return plan or _PLANS.put(key, revision, AccessPlan(revision, actor, _org_tree(conn, revision, org_stamp)))


def _org_tree(conn: sa.Connection, revision: Any, stamp: str) -> OrgTree:
    key = (id(revision), stamp)
    cached = _TREES.get(key, revision)
    if cached is None:
        cached = _TREES.put(key, revision, load_org_tree(conn, revision, stamp))
    return cached
