"""The mass door: what is done to very many records at once, a chunk of them as columns (docs/jobs.md).

``plugin.yaml`` declares it under ``mass``: the entity it is about (``on``), the fields it reads, the fields it changes and the entities
it adds rows to. The step ``mass:`` of a job runs it over ranges of ids, any number of workers at once, each range in one transaction.

A column is a list, one place for each record, and holds what a machine reckons with:

* money, rates and every exact decimal: an integer of the field's last place (cents of a money field);
* a date: its ordinal (``date.toordinal()``); a boolean: 0 or 1; a link: the id of its target;
* a text or a choice: the text. None where the record has no value.

The function is ``(chunk) -> Outcome``. It holds nothing outside the chunk, writes nothing but by ``settle`` and its outcome, and gives the same for the same
chunk whatever its size: a chunk in which a record fails is cut in two until the record stands alone, which is then held back with the
reason while the rest goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

from metaloom.base.text import Text

Column = list[Any]
Columns = Mapping[str, Column]


Sql = Any
"""A SQLAlchemy expression of whole numbers or texts, in the units of a column. Whole numbers are divided with ``//``."""


class Arithmetic(Protocol):
    """What values are put together with, beside ``+ - * //`` and comparisons."""

    def case(self, *pairs: tuple[Sql, Sql], other: Sql) -> Sql:
        """The value of the first condition that holds; the conditions after it are not looked at."""

    def least(self, one: Sql, two: Sql) -> Sql: ...
    def most(self, one: Sql, two: Sql) -> Sql: ...
    def filled(self, said: Sql, value: Any) -> Sql:
        """The value where there is none."""

    def unless_zero(self, said: Sql) -> Sql:
        """Nothing where it is zero."""

    def number(self, value: int) -> Sql:
        """A whole number that may be large."""

    def roughly(self, said: Sql) -> Sql:
        """As a binary fraction, to guard a product before it is taken in whole numbers."""


class Terms(Arithmetic, Protocol):
    """What the arithmetic of :meth:`Chunk.settle` is written in."""

    @property
    def each(self) -> Sql:
        """The number for which a line is reckoned."""

    def of(self, field: str) -> Sql:
        """A field of the record."""

    def nothing(self, field: str) -> Sql:
        """Whether a number, exact decimal or boolean of the record is empty, zero or false."""

    def row(self, field: str) -> Sql:
        """A field of one of its rows."""

    def none(self, entity: str, link: str, where: Mapping[str, object]) -> Sql:
        """Whether no row of another entity whose ``link`` points to the record has these values (a list for one of them)."""

    def kept(self, said: Sql) -> Sql:
        """The same value, reckoned once for each row of the record wherever it is used; for what is used more than once."""

    def sum(self, said: Sql) -> Sql:
        """Over the rows of the record."""


@dataclass(frozen=True)
class Reckoned:
    """``what``: name → expression over the record, a sum over its rows among them; ``where``: of the record and each row; ``having``: of the sums.
    ``rises``: name → (name of ``what``, name of where it begins): by how much it rose since the number before, on the first line of a record
    since its beginning."""

    what: Mapping[str, Sql]
    where: Sequence[Sql] = ()
    having: Sequence[Sql] = ()
    rises: Mapping[str, tuple[str, str]] = field(default_factory=dict)


class Lines(Arithmetic, Protocol):
    """What was reckoned, a line for each record and number."""

    @property
    def id(self) -> Sql: ...
    @property
    def each(self) -> Sql: ...
    def of(self, name: str) -> Sql:
        """A value of ``what`` or ``rises``."""


@dataclass(frozen=True)
class Written:
    """What becomes of the lines, in the units of a column, an expression or the same for all. ``change``: fields of the record, from its line
    for the last number; ``add``: entity → fields of a new row for each line; ``sums``: name → number, added up for each number."""

    change: Mapping[str, Any]
    add: Mapping[str, Mapping[str, Any]]
    sums: Mapping[str, Sql]


@dataclass(frozen=True)
class Settled:
    """``ids``: the records that were settled; ``lines``: how many there were; ``sums``: number → name → sum."""

    ids: Sequence[int]
    lines: int
    sums: Mapping[int, Mapping[str, int]]


class Chunk(Protocol):
    """Some records of one entity. ``ids`` rise; ``columns`` has the declared fields, each as long as ``ids``, read when they are first asked for."""

    @property
    def ids(self) -> Sequence[int]: ...
    @property
    def columns(self) -> Columns: ...
    @property
    def day(self) -> date:
        """The business date that the work is for."""

    @property
    def company_id(self) -> int | None: ...
    @property
    def cause(self) -> tuple[str, int]:
        """Why it is done, as entity and id: the run of a job, or the one record that a command brings up to date."""

    @property
    def settings(self) -> Mapping[str, Any]: ...

    def rows(self, entity: str, link: str, fields: Sequence[str], ids: Sequence[int] | None = None,
             where: Mapping[str, object] | None = None, between: Mapping[str, tuple[int, int]] | None = None) -> Columns:
        """Rows of another entity whose ``link`` points to one of ``ids`` (default: all of the chunk), as columns with ``id`` and the
        link itself, by link and id. ``where``: equality of other fields, a list for one of them, as column values; ``between``: from
        and up to, both included."""

    def read(self, ids: Sequence[int], fields: Sequence[str] = ()) -> Columns:
        """Declared fields (default: all) and ``id`` of some records of the chunk."""

    def least(self, field: str) -> Any:
        """The smallest value of a declared field over the records of the chunk; None where all are empty."""

    def settle(self, entity: str, link: str, each: Sequence[int], say: Callable[[Terms], Reckoned], write: Callable[[Lines], Written],
               same: Hashable = None) -> Settled:
        """Arithmetic done and written by the database, in one statement on PostgreSQL: the records of the chunk beside the rows of another entity
        whose ``link`` points to them, one line for each record and each number of ``each`` (rising) for which the conditions hold. A record
        without such rows has no line and stays as it is; one with lines has one for the last number. It is written at once, in the transaction
        of the chunk; a record that was settled cannot be held back. ``same``: whatever else ``say`` and ``write`` follow; with the same ``each`` and
        ``same`` the next chunk of a run is settled by the statements of this one, and neither is called."""

    def linked(self, entity: str, fields: Sequence[str], ids: Sequence[int]) -> Mapping[int, tuple[Any, ...]]:
        """Rows of another entity by their id, as tuples of ``fields``."""

    def provider(self, door: str, name: str = "") -> Any:
        """As :meth:`metaloom.plugin.command.Work.provider`."""


@dataclass(frozen=True)
class Posting:
    """One entry of the books for the whole chunk: ``amounts`` in cents, by the names of the accounting rule's legs. ``on``: the business
    date it is booked on, never after that of the chunk (default: that one); where its month is closed, the first day that is open."""

    event: str
    amounts: Mapping[str, int]
    facts: Mapping[str, Any] = field(default_factory=dict)
    on: date | None = None


@dataclass(frozen=True)
class Outcome:
    """``change``: entity → columns with ``id``, or several such where different rows get different fields; ``add``: entity → columns, where a
    value that is no list stands for every row; ``post``: entries; ``held``: records held back, and why; ``figures``: what is
    counted, told on the page of the run."""

    change: Mapping[str, Columns | Sequence[Columns]] = field(default_factory=dict)
    add: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    post: Sequence[Posting] = ()
    held: Mapping[int, Text] = field(default_factory=dict)
    figures: Mapping[str, int] = field(default_factory=dict)


Mass = Callable[[Chunk], Outcome]
