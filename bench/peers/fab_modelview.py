"""Flask-AppBuilder's ModelView, as its documentation writes it, over the tickets of the bench. Arguments: URL of the database, schema."""

from __future__ import annotations

import re
import sys
from typing import Any

import sqlalchemy as sa
from flask import Flask
from flask_appbuilder import AppBuilder, Model, ModelView
from flask_appbuilder.fields import AJAXSelectField
from flask_appbuilder.fieldwidgets import Select2AJAXWidget
from flask_appbuilder.models.sqla.interface import SQLAInterface
from flask_sqlalchemy import SQLAlchemy
from peer import ASKED, COLUMNS, serve
from sqlalchemy.orm import relationship

URL, SCHEMA = sys.argv[1:3]


class Client(Model):
    __tablename__ = "bench__client"
    __table_args__ = {"schema": SCHEMA}
    id = sa.Column(sa.BigInteger, primary_key=True)
    client_no, name = (sa.Column(sa.String(60)) for _ in range(2))

    def __repr__(self) -> str:
        return self.name or ""


class Person(Model):
    __tablename__ = "ab_user_of_bench"
    __table_args__ = {"schema": "peer_fab"}
    id = sa.Column(sa.BigInteger, primary_key=True)
    display_name = sa.Column(sa.String(60))

    def __repr__(self) -> str:
        return self.display_name or ""


class Ticket(Model):
    __tablename__ = "bench__ticket"
    __table_args__ = {"schema": SCHEMA}
    id = sa.Column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    row_version = sa.Column(sa.BigInteger, default=1)
    created_at, updated_at = (sa.Column(sa.DateTime(timezone=True), default=sa.func.now()) for _ in range(2))
    company_id, org_unit_id, owner_id = (sa.Column(sa.BigInteger, default=1) for _ in range(3))
    code, title, kind, phone_note, grade, source, batch = (sa.Column(sa.String(60)) for _ in range(7))
    status = sa.Column(sa.String(20), default="open")
    client_id = sa.Column(sa.BigInteger, sa.ForeignKey(Client.id))
    reviewer_id = sa.Column(sa.BigInteger, sa.ForeignKey(Person.id))
    client, reviewer = relationship(Client), relationship(Person)
    amount, paid, open_amount = (sa.Column(sa.Numeric(18, 2)) for _ in range(3))
    rate, score = sa.Column(sa.Numeric(18, 8)), sa.Column(sa.Numeric(18, 4))
    days, late_days, steps = (sa.Column(sa.BigInteger) for _ in range(3))
    starts_on, ends_on = (sa.Column(sa.Date) for _ in range(2))
    closed_at = sa.Column(sa.DateTime(timezone=True))
    urgent = sa.Column(sa.Boolean)
    place, remark, hint = (sa.Column(sa.Text) for _ in range(3))


class ClientView(ModelView):
    datamodel = SQLAInterface(Client)
    list_columns, search_columns, base_order, page_size = ["client_no", "name"], ["name"], ("id", "desc"), 20


class TicketView(ModelView):
    datamodel = SQLAInterface(Ticket)
    list_columns, search_columns = list(COLUMNS), ["code", "status", "kind", "late_days"]
    add_columns = edit_columns = list(ASKED)
    base_order, page_size = ("created_at", "desc"), 20
    # A list of all clients in each form is what it does by itself (2.9 s here once); its documentation has this for long lists.
    add_form_extra_fields = edit_form_extra_fields = {"client": AJAXSelectField(
        "Client", datamodel=datamodel, col_name="client", widget=Select2AJAXWidget(endpoint="/ticketview/api/column/add/client"))}


def main() -> None:
    app = Flask("peer_fab")
    app.config.update(SECRET_KEY="b" * 50, SQLALCHEMY_DATABASE_URI=URL, WTF_CSRF_ENABLED=False, FAB_ADD_SECURITY_API=False,
                      AUTH_RATE_LIMITED=False, RATELIMIT_ENABLED=False,
                      SQLALCHEMY_ENGINE_OPTIONS={"connect_args": {"options": "-c search_path=peer_fab"}})
    db = SQLAlchemy(app)
    with app.app_context():
        with db.engine.begin() as conn:
            conn.execute(sa.text("CREATE SCHEMA IF NOT EXISTS peer_fab"))
            conn.execute(sa.text(f"CREATE TABLE IF NOT EXISTS peer_fab.ab_user_of_bench AS SELECT id, display_name FROM {SCHEMA}.ab_user"))
        builder = AppBuilder(app, db.session)
        builder.add_view(ClientView, "Clients", category="Bench")
        builder.add_view(TicketView, "Tickets", category="Bench")
        if builder.sm.find_user("bench") is None:
            builder.sm.add_user("bench", "b", "b", "b@example.cn", builder.sm.find_role("Admin"), password="bench")
        engine = db.engine
    count = [0]

    def counted(*_: Any) -> None:
        count[0] += 1

    sa.event.listen(engine, "before_cursor_execute", counted)
    browser = app.test_client()
    assert browser.post("/login/", data={"username": "bench", "password": "bench"}).status_code == 302

    def sent() -> int:
        found, count[0] = count[0], 0
        return found

    def get(address: str) -> tuple[int, int]:
        answer = browser.get(address)
        return answer.status_code, len(answer.data)

    def save(number: int) -> int:
        values = {"code": f"F{number}", "title": "t", "client": "1", "kind": "fix", "amount": "10.00", "late_days": "1", "ends_on": "2026-05-05", "place": "x"}
        answer = browser.post("/ticketview/add", data=values)
        if answer.status_code == 200:
            print(re.findall(r"alert[^<]*<[^<]*<[^<]*", answer.text)[:3], re.findall(r"label-danger[^<]*", answer.text)[:5], file=sys.stderr)
        return answer.status_code

    serve(get, save, sent)


if __name__ == "__main__":
    main()
