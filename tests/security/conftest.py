"""The depot of the API tests on SQLite and PostgreSQL, with people whose power has limits; on its screens, its API and its commands."""

import itertools
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from metaloom.access import plan_for
from metaloom.command import Context
from metaloom.command.password import hashed
from metaloom.compile import Source
from metaloom.schema_change import publish
from tests.api import world as depot
from tests.databases import own_database
from tests.web.conftest import Visitor

# The chief looks after the people of the own company: a right that a client's overlay may give.
RIGHTS = """
overlay:
- {add: platform.user/access/depot.chief, value: {scope: expression, condition: "company == user.company",
   actions: [list, read, create, edit], fields: {"*": write, mobile: hidden}}}
- {add: platform.role_assignment/access/depot.chief, value: {scope: all, actions: [list, read, create, delete]}}
- {add: depot.sale/access/depot.packer, value: {scope: company, actions: [list, read],
   fields: {"*": read, buyer: hidden}}}
"""
# username → (company, role, company that limits the role)
MORE = {"packer": (1, "depot.packer", None), "auditor": (1, "platform.auditor", None), "admin": (1, "platform.admin", None),
        "branch_admin": (1, "platform.admin", 1)}
_numbers = itertools.count(1)


def values_of():
    """A number nobody had before."""
    return next(_numbers)


class Guarded(depot.World):
    """One tenant with the rights above."""

    def _tenant(self, name):
        tenant = self.tenancy.create(name, name)
        publish(tenant, (*depot.sources(), Source("client", "depot/rights.yaml", RIGHTS)))
        revision = tenant.revision()
        with tenant.write() as conn:
            self._people(conn, revision)
            for username, (company, role, limit) in MORE.items():
                add_person(conn, revision, username, company, role, limit)
        return tenant

    def ctx(self, username, **more):
        """The context of a person's command."""
        tenant = self.tenants["one"]
        revision = tenant.revision()
        users = revision.tables.engine.user
        with tenant.read() as conn:
            plan = plan_for(conn, revision, conn.scalar(sa.select(users.c.id).where(users.c.username == username)))
        return Context(tenant=tenant, revision=revision, actor=plan.actor, plan=plan, plugins=self.registry, **more)

    def person(self, company=1, role=None):
        """A fresh account; its id and login."""
        username = f"somebody{next(_numbers)}"
        tenant = self.tenants["one"]
        with tenant.write() as conn:
            return SimpleNamespace(id=add_person(conn, tenant.revision(), username, company, role, None), username=username)

    def id_of(self, username):
        return self.ctx(username).actor.user_id

    def browser(self, username):
        visitor = Visitor(self.app, "one")
        assert visitor.log_in(username, depot.PASSWORD).status_code == 302
        return visitor


def add_person(conn, revision, username, company, role, limit):
    tables = revision.tables.engine
    id = conn.execute(tables.user.insert().values(
        username=username, display_name=username.title(), email=f"{username}@example.cn", company_id=company, active=True,
        password=hashed(depot.PASSWORD))).inserted_primary_key[0]
    if role:
        conn.execute(tables.role_assignment.insert().values(user_id=id, role=role, company_id=limit))
    return id


@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def world(request, tmp_path_factory):
    database = own_database(request.getfixturevalue("pg_url"), "security") if request.param == "postgresql" else nullcontext(None)
    with database as url:
        made = Guarded(tmp_path_factory.mktemp("security"), url)
        yield made
        made.close_all()


@pytest.fixture(scope="session")
def people(world):
    """A logged-in caller of the API per person."""
    return {name: world.client().login(name) for name in ("clerk", "chief", "reader", "packer", "auditor", "admin", "other")}
