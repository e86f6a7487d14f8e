"""Actor: the person (or job) who asks, and the roles held."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import sqlalchemy as sa

from metaloom.access.org import OrgTree, load_org_tree, stamp_columns
from metaloom.access.person import person_key
from metaloom.access.plan import AccessPlan
from metaloom.base.errors import LoginRequired

T = TypeVar("T")
EVERYBODY = "platform.everybody"
INSIDE, BETWEEN = "\x1f", "\x1e"        # separators that stand in no address of a role
_PERSON = ("id", "username", "active", "archived_at", "last_name", "first_name", "display_name", "locale", "company_id", "org_unit_id", "auth_stamp",
           "roles_lost", "must_renew", "person_key", "staff_no")
_PERSON_COLUMNS = (*_PERSON, "_roles", "org_rows", "org_versions")


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
    found = (_person(row) for row in conn.execute(statement, {"actor_ids": sorted(set(user_ids))}).mappings())
    return {person[0].user_id: person for person in found if person is not None}  # type: ignore[misc]


def _person(row: Mapping[str, Any]) -> tuple[Actor, str] | None:
    """The account in a row with ``person_columns``, and the stamp of the organisation; None when it may not log in."""
    if not row["active"] or row["archived_at"] is not None:
        return None
    actor = Actor(
        row["id"], row["username"], _display_name(row), row["locale"] or "zh", _roles(row["_roles"] or ""),
        row["company_id"], row["org_unit_id"], auth_stamp=row["auth_stamp"], token_stamp=row["auth_stamp"] + row["roles_lost"],
        must_renew=bool(row["must_renew"]), person=person_key(row["id"], row["person_key"], row["staff_no"]),
    )
    return actor, f"{row['org_rows']}:{row['org_versions']}"


def _roles(told: str) -> tuple[Assignment, ...]:
    """The roles that ``_held`` tells, each once, the one that was given first in front."""
    if not told:
        return ()
    held = sorted((int(id), role, company, unit) for id, role, company, unit in (one.split(INSIDE) for one in told.split(BETWEEN)))
    return tuple(dict.fromkeys(Assignment(role, int(company) if company else None, int(unit) if unit else None) for _, role, company, unit in held))


def person_columns(revision: Any) -> list[sa.ColumnElement[Any]]:
    """What ``plan_of`` must find in a row of accounts: the account, the roles held today, and the stamp of the organisation."""
    user = revision.tables.engine.user
    return [*(user.c[name] for name in _PERSON), _held(revision).label("_roles"), *stamp_columns(revision)]


def _held(revision: Any) -> sa.ScalarSelect[Any]:
    """The roles of an account as one text, so that an account is one row whatever it holds."""
    user, held = revision.tables.engine.user, revision.tables.engine.role_assignment
    today = sa.func.current_date(type_=held.c.valid_from.type)
    live = (sa.not_(held.c.waits_for_second), sa.func.coalesce(held.c.valid_from, today) <= today, sa.func.coalesce(held.c.valid_to, today) >= today)
    inside = _as_it_stands(INSIDE)
    one = _text(held.c.id) + inside + held.c.role + inside + _text(held.c.company_id) + inside + _text(held.c.org_unit_id)
    return sa.select(sa.func.aggregate_strings(one, BETWEEN)).where(held.c.user_id == user.c.id, *live).correlate(user).scalar_subquery()


def _text(number: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    return sa.func.coalesce(sa.cast(number, sa.Text), _as_it_stands(""))


def _as_it_stands(text: str) -> sa.BindParameter[str]:
    """A constant of the statement, which is asked for every request: as a parameter it would be sent each time."""
    return sa.literal(text, literal_execute=True)


def _statement(revision: Any) -> sa.Select[Any]:
    """The accounts ``actor_ids``, with ``person_columns``."""
    user = revision.tables.engine.user
    return sa.select(*person_columns(revision)).where(user.c.id.in_(sa.bindparam("actor_ids", type_=user.c.id.type, expanding=True)))


def _display_name(row: Mapping[str, Any]) -> str:
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
_ENTERED: _Cache[AccessPlan] = _Cache(limit=500)
_TREES: _Cache[OrgTree] = _Cache(limit=200)
_STATEMENTS: _Cache[sa.Select[Any]] = _Cache(limit=200)


def plan_for(conn: sa.Connection, revision: Any, user_id: int) -> AccessPlan:
    """The plan of a user as of now: one statement, whose answer also says whether the cached plan still holds."""
    return _plan(conn, revision, *_actor(conn, revision, user_id))


def plan_of(conn: sa.Connection, revision: Any, row: Mapping[str, Any]) -> AccessPlan | None:
    """The plan of the account in a row that was read with ``person_columns`` in this transaction; None when it may not log in."""
    key = (id(revision), *(row[name] for name in _PERSON_COLUMNS))         # all that a plan is made of
    plan = _ENTERED.get(key, revision)
    if plan is None:
        person = _person(row)
        plan = None if person is None else _ENTERED.put(key, revision, _plan(conn, revision, *person))
    return plan


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
