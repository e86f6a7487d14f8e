"""Who: ways to find people, for approvals and messages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Who:
    """One way to find people; ``kind`` decides which slots are used.

    ``role``: holders of the role ``value`` (address) whose assignment covers the record. ``user``: the login ``value``.
    ``post``: the post code ``value``. ``field``: the user at the field path ``value``. ``head_of``: head of ``value``
    (record_unit | initiator_unit), ``up`` units higher. ``heads``: the ``levels`` heads above ``value``, nearest first, one after
    another. ``initiator``. ``chosen``: ``min`` to ``max`` people whom the initiator picks at the start out of ``pool``.
    ``expression``: the user ids (one or several) that ``value`` gives.
    """

    kind: str
    value: str = ""
    up: int = 0
    levels: int = 1
    pool: tuple[Who, ...] = ()
    min: int = 1
    max: int = 1
