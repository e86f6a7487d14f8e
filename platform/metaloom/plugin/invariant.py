"""Invariants: what must hold of a tenant's stored rows at any time, said by a plugin, looked up by ``metaloom doctor``.

``plugin.yaml`` names them (``invariants: {name: {on, code, label, handler}}``). The handler is a function
``(survey) -> iterable of Breach``:

* called by ``metaloom doctor --invariants``, and by a step ``hold:`` of a job, when the tenant's catalog has the entity ``on``, in a read-only
  transaction of its own: one consistent picture, whoever writes meanwhile; it may be repeated; no money moves;
* with ``closing: also`` (or ``only``) it is asked before a month of a company's books is closed, inside the closing transaction, while nobody posts
  for that company: ``survey.company`` and ``survey.until``, the month's last day, are set, and what it yields refuses the closing, each breach
  with a link to its record;
* it yields a :class:`Breach` for everything that is not as it must be, and nothing when all is well. Who reads it wants to
  know which record, what stands there, and what should;
* it reads with sums and pages (:meth:`Survey.sums`, :meth:`Survey.rows`), never one query for each record: 100,000 rows
  take seconds;
* what it raises is told as *could not be looked up*, which is as bad as a breach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Protocol

from metaloom.base.text import Text
from metaloom.plugin.faults import Promise

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Breach:
    """One thing that is not as it must be. ``text`` is English, for whoever runs the installation, with both values;
    ``id`` is None when no single record is at fault. No personal data in it. ``said``: the same for the people of the business, where a job
    holds the invariant (docs/jobs.md); without it they read ``text``."""

    entity: str
    id: int | None
    text: str
    said: Text | None = None


class Survey(Protocol):
    """All stored rows of a tenant: no rights, archived ones too, the ledger's as ``platform.ledger_entry`` and
    ``platform.ledger_leg``. Names are field names, links are ids. Encrypted fields are not offered. Nothing can be changed.

    ``where``: equality of fields; None = is null, a list or tuple = one of.
    """

    @property
    def company(self) -> int | None:
        """The company whose rows alone are looked at, where a job looks for one company: of entities that a company owns the others' rows are
        not there; None: all of them."""

    @property
    def until(self) -> date | None:
        """The last day of the month that is about to be closed; None where nothing is closed."""

    def rows(self, entity: str, fields: Sequence[str], where: Values | None = None) -> Iterator[Values]:
        """These fields of every row, and ``id``, by rising id, read in pages."""

    def sums(self, entity: str, by: Sequence[str], of: Sequence[str], where: Values | None = None) -> Mapping[Any, Mapping[str, Decimal]]:
        """The sums of the amounts ``of``, added up by the database, for every combination of the fields ``by``: the key is a
        tuple of their values, or the value where there is one field only. A group without rows is absent."""


Invariant = Callable[[Survey], Iterable[Breach]]


def checked(found: Iterable[Breach], plugin: str) -> Iterator[Breach]:
    """The breaches behind the engine's checks."""
    promise = Promise(plugin)
    for breach in found:
        promise.is_a("breach", breach, Breach)
        promise.text("text", breach.text)
        promise.that(bool(breach.text.strip()), "a breach without a word")
        yield breach
