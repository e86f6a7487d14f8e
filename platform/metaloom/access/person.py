"""Which accounts belong to one person: four eyes are two people, however many accounts they have."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

ACCOUNT = "#"


def person_of(conn: sa.Connection, tables: Any, user_id: int) -> str:
    """The person behind an account: its ``person_key``, else its staff number, else the account itself (``#<id>``).

    Keys are compared without regard to case and blanks around them. The second account of somebody names the staff number
    of the first as its key, or both name the same.
    """
    return persons_of(conn, tables, (user_id,))[user_id]


def persons_of(conn: sa.Connection, tables: Any, user_ids: Collection[int]) -> dict[int, str]:
    """The person behind each account, in one statement."""
    user = tables.engine.user
    rows = conn.execute(sa.select(user.c.id, user.c.person_key, user.c.staff_no).where(user.c.id.in_(list(user_ids))))
    named = {row.id: person_key(*row) for row in rows}
    return {user_id: named.get(user_id) or person_key(user_id, None, None) for user_id in user_ids}


def person_key(user_id: int, key: str | None, staff_no: str | None) -> str:
    """The person behind an account with this key and staff number."""
    return ((key or "").strip() or (staff_no or "").strip()).upper() or f"{ACCOUNT}{user_id}"


def same_person(conn: sa.Connection, tables: Any, one: int, other: int) -> bool:
    """Whether two accounts are one person's."""
    return one == other or len(set(persons_of(conn, tables, (one, other)).values())) == 1
