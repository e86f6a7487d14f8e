"""A statement that may take only so long: what one person looks at must not hold up everybody's database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from metaloom.base.errors import MetaloomError
from metaloom.base.messages import register

register({
    "storage.too_slow": ("数据量较大，未能在限定时间内算出。请缩短期间或缩小范围后再试。",
                         "There is too much data to reckon this in time. Choose a shorter period or a narrower question."),
})
OPS_BETWEEN_LOOKS = 20_000
_CANCELLED = "57014"
_SET = "SELECT current_setting('statement_timeout'), set_config('statement_timeout', %s, true)"


class TooSlow(MetaloomError):
    """The statement was stopped at its limit; the transaction is over, nothing of it stands."""

    status, code = 503, "storage.too_slow"


@contextmanager
def limited(conn: sa.Connection, seconds: float) -> Iterator[None]:
    """Statements on ``conn`` inside the block are stopped after ``seconds``: TooSlow. For reading only."""
    enter = _postgresql if conn.dialect.name == "postgresql" else _sqlite
    with enter(conn, seconds):
        yield


@contextmanager
def _postgresql(conn: sa.Connection, seconds: float) -> Iterator[None]:
    before = conn.exec_driver_sql(_SET, (f"{max(1, int(seconds * 1000))}ms",)).scalar_one()
    try:
        yield
        conn.exec_driver_sql(_SET, (before,))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _CANCELLED:
            raise TooSlow from error
        raise


@contextmanager
def _sqlite(conn: sa.Connection, seconds: float) -> Iterator[None]:
    driver, until = conn.connection.driver_connection, time.monotonic() + seconds
    assert driver is not None
    driver.set_progress_handler(lambda: time.monotonic() > until, OPS_BETWEEN_LOOKS)
    try:
        yield
    except DBAPIError as error:
        if "interrupted" in str(error.orig):
            raise TooSlow from error
        raise
    finally:
        driver.set_progress_handler(None, 0)
