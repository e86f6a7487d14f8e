"""The login library's own tables, made once per tenant beside the engine's (which include ``ab_user``)."""

from __future__ import annotations

import sqlalchemy as sa
from flask_appbuilder import Model
from flask_appbuilder.security.sqla import models


def make_login_tables(conn: sa.Connection) -> None:
    """Create what is missing; give to ``Tenancy.create(after_create=…)``."""
    assert models.User.__table__ in Model.metadata.tables.values()
    Model.metadata.create_all(conn, checkfirst=True)
