"""A PostgreSQL database of its own for a world that stays open while other suites of the process use the common one."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa


@contextmanager
def own_database(pg_url: str, suffix: str, *, durable: bool = False) -> Iterator[str]:
    """The URL of an empty database beside that of ``pg_url``, dropped at the end.

    Tenants are known per database: two worlds of one database cannot have tenants of one name, and some suites drop every tenant
    they find. ``durable``: commits wait for the disk, as they do in production; tests have no need of it, benches measure it.
    """
    server = sa.make_url(pg_url)
    name = f"{server.database}_{suffix}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    quick = () if durable else (f'ALTER DATABASE "{name}" SET synchronous_commit = off',)
    for statement in (f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'CREATE DATABASE "{name}"', *quick):
        with engine.connect() as connection:
            connection.execute(sa.text(statement))
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(sa.text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
