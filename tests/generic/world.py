"""Two tenants with every pack, two companies with departments, and rows of every entity in every place.

``alice`` works in department D1 of company C1 and takes on one role after the other; everybody else only owns rows. All
texts carry ``ZZ-<tenant>-<owner>-<field>``, so that a leak is recognised in any answer.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from metaloom import command
from metaloom.access import AccessPlan, plan_for
from metaloom.base.clock import FixedClock
from metaloom.compile import read_sources
from metaloom.expression import Env
from metaloom.model import Catalog, Entity, FieldType
from metaloom.model.entity import LINK_TYPES
from metaloom.plugin.registry import installed
from metaloom.record import Reader, Writer
from metaloom.record.paths import target_of
from metaloom.schema_change import publish
from metaloom.storage import Settings, Tenancy
from tests.generic import values

ROOT = Path(__file__).resolve().parents[2]
PACKS = ("lending", "workshop")
NOW = datetime(2026, 11, 20, 1, tzinfo=UTC)
PASSWORD = "correct-horse-7-battery"
# person → (company, department); D1a lies below D1
PEOPLE = {"alice": ("C1", "D1"), "erin": ("C1", "D1"), "sue": ("C1", "D1a"), "bob": ("C1", "D2"), "carol": ("C2", "D3"), "dave": ("C2", "D4")}
UNITS = {"D1": ("C1", None), "D1a": ("C1", "D1"), "D2": ("C1", None), "D3": ("C2", None), "D4": ("C2", None)}
ALERT = "platform.alert"
ORGANISATION = ("platform.company", "platform.org_unit", "platform.user")


def is_seeded(entity: Entity) -> bool:
    """Rows of the engine's own tables come from the work of the other fixtures and commands, or there are none."""
    return entity.storage == "table"


@dataclass(frozen=True)
class Seed:
    """One row of the world: who owns it, and what was stored (plain values by field name)."""

    entity: str
    id: int
    owner: str
    company: int
    org_unit: int
    owner_id: int
    values: Mapping[str, Any]


@dataclass
class Place:
    """One tenant of the world."""

    tenant: Any
    companies: dict[str, int] = field(default_factory=dict)
    units: dict[str, int] = field(default_factory=dict)
    people: dict[str, int] = field(default_factory=dict)
    rows: dict[str, list[Seed]] = field(default_factory=dict)

    @property
    def catalog(self) -> Catalog:
        return self.tenant.revision().catalog

    def seed(self, entity: str, id: int) -> Seed:
        return next(row for row in self.rows[entity] if row.id == id)


class World:
    """The application over two tenants, ``alpha`` and ``beta``."""

    def __init__(self, home: Path, url: str | None = None, names: tuple[str, ...] = ("alpha", "beta")) -> None:
        from metaloom.app.login_tables import make_login_tables

        self.registry = installed()
        assert not self.registry.diagnostics, self.registry.diagnostics
        self.settings = Settings(home=home, database_url=url, master_key=b"k" * 32, secret_key="0123456789abcdef" * 4)
        self.tenancy = Tenancy(self.settings, manifest=self.registry.manifest())
        self.sources = read_sources({"engine": ROOT / "metadata", "pack": ROOT / "metadata"}, PACKS)
        self.places: dict[str, Place] = {}
        for name in names:
            tenant = self.tenancy.create(name, name, after_create=(make_login_tables,))
            publish(tenant, self.sources)
            self.places[name] = _furnish(Place(tenant), self.registry)
        self._callers: dict[str, Any] = {}

    @cached_property
    def app(self) -> Any:
        from metaloom.app import create_app

        return create_app(self.settings, tenancy=self.tenancy, registry=self.registry, clock=FixedClock(NOW))

    @property
    def alpha(self) -> Place:
        return self.places["alpha"]

    @property
    def catalog(self) -> Catalog:
        return self.alpha.catalog

    @property
    def dialect(self) -> str:
        return str(self.alpha.tenant.dialect)

    @property
    def whole(self) -> bool:
        """Everything is tried: on SQLite, and on PostgreSQL with METALOOM_FULL=1, as ``make nightly`` sets it."""
        return self.dialect == "sqlite" or os.environ.get("METALOOM_FULL") == "1"

    def sample(self, found: list[Any], part: int = 4) -> list[Any]:
        """Everything, or, where only the SQL differs, every ``part``-th by the day's seed."""
        if self.whole:
            return found
        seed = int(os.environ.get("METALOOM_SEED", "7"))
        return found[seed % part::part]

    def assume(self, *roles: str, person: str = "alice", tenant: str = "alpha") -> AccessPlan:
        """From now on the person holds exactly these roles; the plan that the next request will use."""
        place = self.places[tenant]
        revision, user = place.tenant.revision(), place.people[person]
        held = revision.tables.engine.role_assignment
        with place.tenant.write() as conn:
            conn.execute(held.delete().where(held.c.user_id == user))
        ctx = command.system_context(place.tenant, plugins=self.registry, clock=FixedClock(NOW))
        for role in roles:
            command.assign_role(ctx, user, role)
        with place.tenant.read() as conn:
            return plan_for(conn, revision, user)

    def context(self, *roles: str, channel: str = "screen", person: str = "alice", **more: Any) -> command.Context:
        """What a request of the person with these roles would hand to a command."""
        plan = self.assume(*roles, person=person)
        return command.Context(tenant=self.alpha.tenant, revision=self.alpha.tenant.revision(), actor=plan.actor, plan=plan, channel=channel,
                               clock=FixedClock(NOW), request_id="generic", plugins=self.registry, **more)

    @contextmanager
    def reader(self, plan: AccessPlan) -> Iterator[Reader]:
        env = Env(business_date=values.TODAY, now=NOW, user_id=plan.actor.user_id,
                  user={"id": plan.actor.user_id, "company": plan.actor.company_id, "org_unit": plan.actor.org_unit_id})
        with self.alpha.tenant.read() as conn:
            yield Reader(conn, self.alpha.tenant, self.alpha.tenant.revision(), plan, env)

    def api(self, person: str = "alice", tenant: str = "alpha") -> Caller:
        """A REST client that is logged in once and stays so."""
        key = f"{tenant}/{person}"
        if key not in self._callers:
            self._callers[key] = Caller(self, tenant).login(person)
        return self._callers[key]

    def browser(self, person: str = "alice", tenant: str = "alpha") -> Browser:
        """A logged-in browser with its cookie."""
        key = f"browser:{tenant}/{person}"
        if key not in self._callers:
            self._callers[key] = Browser(self, tenant).login(person)
        return self._callers[key]

    def close(self) -> None:
        for name in self.places:
            self.tenancy.drop(name)
        self.tenancy.close()


class Caller:
    """Speaks JSON to one tenant as one person."""

    def __init__(self, world: World, tenant: str) -> None:
        self.http = world.app.test_client(use_cookies=False)
        self.root, self.token = f"/{tenant}/api/v1", ""

    def login(self, person: str) -> Caller:
        answer = self.call("POST", "/auth/login", {"username": person, "password": PASSWORD})
        assert answer.status_code == 200, answer.get_data(as_text=True)
        self.token = answer.json["access_token"]
        return self

    def call(self, method: str, path: str, body: Any = None, *, raw: str | None = None, **headers: str) -> Any:
        sent = {"Accept-Language": "en", **({"Authorization": f"Bearer {self.token}"} if self.token else {}),
                **{name.replace("_", "-"): value for name, value in headers.items()}}
        if raw is not None:
            return self.http.open(self.root + path, method=method, data=raw.encode("utf-8", "surrogatepass"), headers=sent, content_type="application/json")
        return self.http.open(self.root + path, method=method, json=body, headers=sent)

    def get(self, path: str, **headers: str) -> Any:
        return self.call("GET", path, **headers)


class Browser:
    """Follows no redirects; sends the CSRF token of its session with every form."""

    def __init__(self, world: World, tenant: str) -> None:
        self.http, self.root, self.csrf = world.app.test_client(), f"/{tenant}", ""

    def login(self, person: str) -> Browser:
        self._token("/login/")
        answer = self.post("/login/", {"username": person, "password": PASSWORD})
        assert answer.status_code == 302, answer.get_data(as_text=True)[:500]
        self._token("/")
        return self

    def _token(self, path: str) -> None:
        found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"|csrf-token" content="([^"]+)"|X-CSRFToken&#34;: &#34;([^&]+)',
                          self.get(path).get_data(as_text=True))
        assert found, f"no CSRF token on {path}"
        self.csrf = next(filter(None, found.groups()))

    def get(self, path: str, **headers: str) -> Any:
        return self.http.get(self.root + path, headers={"Accept-Language": "en", **headers})

    def post(self, path: str, form: Mapping[str, Any] | None = None, *, token: bool = True) -> Any:
        return self.http.post(self.root + path, data={**(form or {}), **({"csrf_token": self.csrf} if token else {})})


# -- furnishing ------------------------------------------------------------------------------------------------------


def _furnish(place: Place, registry: Any) -> Place:
    ctx = command.system_context(place.tenant, plugins=registry, clock=FixedClock(NOW))
    for code in ("C1", "C2"):
        place.companies[code] = command.create_record(ctx, "platform.company", {
            "code": code, "name": f"Company {code}", "business_date": date(2026, 11, 20)}).id
    for code, (company, parent) in UNITS.items():
        place.units[code] = command.create_record(ctx, "platform.org_unit", {
            "code": code, "name": f"Unit {code}", "company": place.companies[company], **({"parent": place.units[parent]} if parent else {})}).id
    for name, (company, unit) in PEOPLE.items():
        place.people[name] = command.save_user(ctx, None, {
            "username": name, "display_name": name.title(), "email": f"{name}@{place.tenant.name}.example.cn", "staff_no": f"S-{name}",
            "company": place.companies[company], "org_unit": place.units[unit]}, password=PASSWORD).id
    with place.tenant.write() as conn:
        _Seeder(place, conn).all()
    return place


class _Seeder:
    """Stores rows below the commands: in every state, for every owner, also of entities that nobody may create."""

    def __init__(self, place: Place, conn: sa.Connection) -> None:
        self.place, self.conn, self.revision = place, conn, place.tenant.revision()
        self.catalog: Catalog = self.revision.catalog

    def all(self) -> None:
        for address in _in_order(self.catalog):
            if address in ORGANISATION or not is_seeded(self.catalog.entities[address]):
                continue
            self.place.rows[address] = []
            for owner in PEOPLE:
                self._row(address, owner, owner, 0)
                self._row(address, owner, "alice", 1)

    def _row(self, address: str, owner: str, assigned: str, turn: int) -> None:
        """The owner's first or second row; people named in the second one are always alice."""
        entity = self.catalog.entities[address]
        company, unit, user = self._home(owner)
        owners = {"company": company, "org_unit": unit, "owner": user}
        owned = {("owner" if part == "user" else part): owners["owner" if part == "user" else part] for part in entity.ownership.owned_by}
        stored = {f.name: self._value(entity, f, owner, assigned, turn) for f in entity.fields.values() if f.stored}
        writer = Writer(self.conn, self.place.tenant, self.revision, user_id=user, now=NOW)
        id = writer.insert(address, {**owned, **stored})
        self.place.rows[address].append(Seed(address, id, owner, company, unit, user, {**stored, **owned}))

    def _home(self, owner: str) -> tuple[int, int, int]:
        company, unit = PEOPLE[owner]
        return self.place.companies[company], self.place.units[unit], self.place.people[owner]

    def _value(self, entity: Entity, one: Any, owner: str, assigned: str, turn: int) -> Any:
        if one.type in LINK_TYPES:
            return self._link(one, owner, assigned, turn)
        if entity.address == ALERT and one.name in ("rule", "rule_name", "subject"):
            return self._alert(one.name, owner, turn)
        return values.plain(self.catalog, entity, one, f"ZZ-{self.place.tenant.name}-{owner}-{one.name}")

    def _alert(self, name: str, owner: str, turn: int) -> Any:
        """What the engine writes into an alert: the address of a rule of the packs, and words in both languages."""
        rules = sorted(name for name, rule in self.catalog.warning_rules.items() if rule.entity not in ORGANISATION)    # whose rows are nobody's own
        rule = self.catalog.warning_rules[rules[(list(PEOPLE).index(owner) * 2 + turn) % len(rules)]]
        if name == "rule":
            return rule.address
        mark = f"ZZ-{self.place.tenant.name}-{owner}-subject"
        return {"zh": rule.label.zh, "en": rule.label.en} if name == "rule_name" else {"zh": mark, "en": mark}

    def _link(self, one: Any, owner: str, assigned: str, turn: int) -> int | None:
        """The owner's own row of the target, first to first and second to second: unique links differ."""
        company, unit, _ = self._home(owner)
        if one.type is FieldType.USER:
            return self.place.people[assigned]
        if one.type is FieldType.COMPANY:
            return company
        if one.type is FieldType.ORG_UNIT:
            return unit
        mine = [row.id for row in self.place.rows.get(target_of(one), ()) if row.owner == owner]
        return mine[turn] if len(mine) > turn else None


def _in_order(catalog: Catalog) -> list[str]:
    """Entities after those that they must link to."""
    done: list[str] = []

    def visit(address: str, way: tuple[str, ...]) -> None:
        if address in done or address in way:
            return
        for one in catalog.entities[address].fields.values():
            if one.type in LINK_TYPES and (one.required or one.name == catalog.entities[address].ownership.scope_from):
                visit(target_of(one), (*way, address))
        done.append(address)

    for address in catalog.entities:
        visit(address, ())
    return done
