"""A question that is asked again and again, without making ready for it each time.

SQLAlchemy compares the statement with those it knows, puts its values together and describes its columns for every execution; for the short
statements of a page that takes longer than the database's answer. ``Ready`` asks once through SQLAlchemy and keeps what was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
import sqlalchemy as sa

from metaloom.storage.postgresql import begin_anew, place_of

PREPARED_AFTER, PREPARED_MAX = 2, 20      # for each connection: a record's statement with seven links takes 0.6 MB of the server's memory


class Ready:
    """A SELECT with what never changes of it; threads may share it. On SQLite, whose driver is asked in the same process, it is a plain statement.

    ``lasting``: the digest of the catalog by which the statement reads, where it finds its rows by a unique key. PostgreSQL then parses and plans it
    once for a connection, which takes longer than the answer, if it is asked there again and again; the best plan of other statements depends on the
    values, so they are planned each time. Such a question is one tenant's and one catalog's: a prepared statement must not change the types of its columns.

    ``own``: the values that the statement was made with stand in what is prepared, and it takes no others, so that the plan is the best one for them: a list
    shows somebody's rows. Not for what people typed, as the server shows the text of what it runs: without ``lasting`` it says nothing.
    """

    def __init__(self, statement: sa.Select[Any], *, lasting: str = "", own: bool = False) -> None:
        self._statement, self._lasting, self._own = statement, lasting, own
        self._sent: _Sent | None = None

    def rows(self, conn: sa.Connection, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """All rows, their values by place. ``values``: those of the statement's own parameters, one value for each name."""
        if self._sent is not None:
            return self._sent.rows(conn, values or {})
        result = conn.execute(self._statement, values or {})
        if conn.dialect.name == "postgresql":
            mark = self._lasting and f"/* {place_of(conn)} {self._lasting} */ "
            self._sent = _Sent(self._statement, result, values or {}, mark, self._own and bool(mark))
        return result.all()


class _Sent:
    """What the driver was given the first time, and how it reads what comes back."""

    def __init__(self, statement: sa.Select[Any], result: sa.CursorResult[Any], values: Mapping[str, Any], mark: str, own: bool) -> None:
        context: Any = result.context
        dialect, parameters = context.dialect, dict(context.parameters[0])
        self._sql, self._prepared = mark + context.statement, bool(mark)
        self._fixed: dict[str, Any] | None = {name: value for name, value in parameters.items() if name not in values}
        if own and not values:
            self._sql, self._fixed = psycopg.ClientCursor(result.connection.connection.driver_connection).mogrify(self._sql, self._fixed), None
        self._writers = {name: context.compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect) for name in values}
        codes = [column[1] for column in context.cursor.description]
        readers = [column.type.dialect_impl(dialect).result_processor(dialect, code) for column, code in zip(statement.selected_columns, codes, strict=True)]
        self._readers = tuple((place, reader) for place, reader in enumerate(readers) if reader is not None)

    def rows(self, conn: sa.Connection, values: Mapping[str, Any]) -> Sequence[Any]:
        given = None if self._fixed is None else {**self._fixed, **{name: _written(self._writers[name], value) for name, value in values.items()}}
        found = _asked(conn, self._sql, given, self._prepared)
        return [self._read(row) for row in found] if self._readers else found

    def _read(self, row: Sequence[Any]) -> Sequence[Any]:
        read = list(row)
        for place, reader in self._readers:
            read[place] = reader(read[place])
        return read


def _written(writer: Callable[[Any], Any] | None, value: Any) -> Any:
    return value if writer is None else writer(value)


def _asked(conn: sa.Connection, sql: str, values: Mapping[str, Any] | None, prepared: bool) -> list[Any]:
    """The driver's rows. Whoever counts statements hears of it, and a refusal has SQLAlchemy's kind, as with ``conn.execute``."""
    dbapi, driver = conn.dialect.loaded_dbapi, conn.connection.driver_connection
    cursor = driver.asking  # type: ignore[union-attr]
    fresh = prepared and driver.reads and not driver.asked  # type: ignore[union-attr]  # begun anew, it shows what it would have shown
    try:
        for told in conn.dispatch.before_cursor_execute:
            told(conn, cursor, sql, values or {}, None, False)
        driver.prepare_threshold, driver.prepared_max = PREPARED_AFTER if prepared else None, PREPARED_MAX  # type: ignore[union-attr]
        try:
            return cursor.execute(sql, values).fetchall()  # type: ignore[no-any-return, func-returns-value]
        except dbapi.NotSupportedError:
            # A column whose type changed since the statement was prepared. As the first question of its transaction it is asked once more.
            if not fresh:
                raise
            driver.prepare_threshold = None  # type: ignore[union-attr]
            begin_anew(conn)
            return cursor.execute(sql, values).fetchall()  # type: ignore[no-any-return, func-returns-value]
    except dbapi.Error as refused:
        # Later in a transaction, what was read before would be of another moment: with another connection it is prepared anew.
        lost = conn.dialect.is_disconnect(refused, conn.connection, cursor) or prepared and isinstance(refused, dbapi.NotSupportedError)  # type: ignore[arg-type]
        if lost:
            conn.invalidate(refused)
        raise sa.exc.DBAPIError.instance(sql, dict(values or {}), refused, dbapi.Error, hide_parameters=True, connection_invalidated=lost,
                                         dialect=conn.dialect) from refused
    finally:
        driver.prepare_threshold = None  # type: ignore[union-attr]
