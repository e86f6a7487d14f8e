"""The command door: business steps that metadata cannot say, written in Python, inside the engine's one transaction.

``plugin.yaml`` declares a command (its input, its right, the states it is allowed in); the engine makes from that the
button, the form, the API endpoint, the permission, the audit row and the idempotency check (decision 22). The handler is
a function ``(work, record, input) -> mapping | None``:

* called when permission, state, version and input were checked, and the record (if the command has one) is locked;
* ``record`` holds the values of the locked record by field name (``id``, ``row_version`` included), None without one;
* ``input`` holds the checked values of the declared input fields;
* what it returns must hold exactly the declared output fields;
* anything it raises rolls everything back: ``work.require``/``work.refuse`` say *not possible* to the person, a
  ``ValueError`` says which value has no meaning, everything else is a fault of the plugin;
* it may be called again from the start after a deadlock: keep no state outside ``work``;
* money moves only through ``work.post`` (our books) and ``work.send`` (the world, after commit, exactly once per key).

A handler must not open connections, sleep, call a network, or end the transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Protocol

from metaloom.base.text import Text

Values = Mapping[str, Any]
Handler = Callable[["Work", "Values | None", Values], "Values | None"]


class Person(Protocol):
    """Who asked. ``user_id`` is None when a job runs the command."""

    @property
    def user_id(self) -> int | None: ...
    @property
    def username(self) -> str: ...
    @property
    def display_name(self) -> str: ...
    @property
    def company_id(self) -> int | None: ...
    @property
    def org_unit_id(self) -> int | None: ...


class Work(Protocol):
    """What a command may do. All of it happens in one transaction that the engine opened and will end.

    Rows are mappings by *field* name: a link field holds the id of its target, owned rows have ``company``, ``org_unit``,
    ``owner``; money and rates are Decimal, dates are ``date``, encrypted fields come in clear. Writes are checked against
    types, required fields, rules, links and lifecycle and are audited; they are not checked against the person's field
    rights (the command's own right was).
    """

    @property
    def actor(self) -> Person:
        """Who asked."""

    @property
    def now(self) -> datetime:
        """The instant of this command, UTC; the same throughout the command."""

    @property
    def reason(self) -> str:
        """What the person gave as reason; empty when the command does not ask for one."""

    @property
    def settings(self) -> Values:
        """The plugin's settings for this client, as its schema allows them."""

    def business_date(self, company_id: int | None = None) -> date:
        """The day the books of the company are at (None: the record's company, else the person's)."""

    def get(self, entity: str, id: int) -> Values:
        """One row, read without lock. NotFound when there is none."""

    def lock(self, entity: str, id: int) -> Values:
        """One row, locked until the end of the command, as it is *now*. Lock order: the record first, then others; several
        rows of one entity by rising id (use ``find(..., lock=True)`` for that)."""

    def find(self, entity: str, where: Values | str, order: Sequence[str] = (), limit: int | None = None,
             lock: bool = False) -> list[Values]:
        """Rows by equality (a mapping; None = is null, list or tuple = one of) or by an expression text over the entity's
        fields. ``order``: fields, ``-`` in front for falling; by id where equal. ``lock=True`` locks the hits by rising
        id. At most 10,000 rows."""

    def balance(self, account: str, company_id: int, on: date | None = None) -> Decimal:
        """Debits less credits of everything the company posted to one account, by booking date up to and with ``on``, this transaction's own
        entries too; summed by the database, however many legs there are."""

    def create(self, entity: str, values: Values) -> int:
        """A new row; defaults, computed fields, numbers and the initial state are filled in. Returns its id."""

    def change(self, entity: str, id: int, values: Values) -> None:
        """Some fields of a row. The state field is refused: see :meth:`transition`."""

    def insert_many(self, entity: str, rows: Sequence[Values]) -> list[int]:
        """Many new rows at once (schedules, journals); ids in the order of ``rows``. One audit row for the range when the
        entity is written in bulk, one for each otherwise."""

    def transition(self, entity: str, id: int, name: str) -> None:
        """Fires a transition of the entity's lifecycle; NotPossible from a wrong state."""

    def withdraw(self, entity: str, id: int, why: str) -> int:
        """Withdraws every approval case about a row that still runs, where what was applied for has no object any more: whatever was decided
        in it, with ``why`` as the last line of its log and nobody's name. The row undergoes what the chain says under ``withdrawn``; whoever
        applied is told. How many cases there were."""

    def post(self, event: str, amounts: Mapping[str, Decimal], facts: Values, company_id: int, booking_date: date,
             value_date: date, cause: tuple[str, int], reversal_of: int | None = None) -> int:
        """A balanced ledger entry by the accounting rules of the metadata; returns its id. ``cause`` is (entity, id).
        With ``reversal_of`` the legs are the original's with the sign turned (红字), once per entry; ``amounts`` is then
        ignored. Money moves in our books."""

    def send(self, door: str, provider: str, method: str, payload: Values, key: str,
             on_result: str = "", after_seconds: int = 0, subject: tuple[str, int] | None = None, while_in: Sequence[str] = ()) -> None:
        """Asks a worker to call ``provider.method`` after commit, outside any transaction. ``key`` names the effect for
        ever: a second ``send`` with the same key is refused. The reply arrives as input of the command ``on_result``
        (``plugin.command``) on ``subject`` (default: the record of this command), exactly once, with ``outcome``
        succeeded | failed | unknown | … and the fields of the door's reply; an unknown outcome is for that command to
        resolve, by another ``send`` that asks. ``while_in``: states of the subject; in any other one, when its turn comes, the call is
        dropped: nothing leaves and nothing arrives."""

    def file(self, name: str, content: bytes | str) -> int:
        """Stores a file and returns its id, for an attachment field of a record that this command creates or changes. ``content``: the
        bytes of a made document, or the SHA-256 of bytes that a door's reply brought. Checked as an upload is, type by content."""

    def pdf(self, title: str, body: str, headings: Sequence[str] = ()) -> bytes:
        """Words as A4 pages, in a Chinese font that travels with the file: each line of ``body`` is a paragraph, one that begins with one
        of ``headings`` is bold. The same words give the same bytes, as long as the engine's own drawing stays the same. NotPossible
        beyond 400 pages."""

    def run(self, command: str, id: int | None = None, input: Values | None = None) -> Values:
        """Another plugin's command (``plugin.command``) inside this one's transaction and under this one's right, with its own input
        check and allowed states; its output. The record is locked first. At most eight deep."""

    def bring_up(self, name: str, id: int, day: date) -> None:
        """The plugin's own mass function ``name`` on one record as of ``day``, in this command's transaction; a range of a job
        that is at the same record is waited for. NotPossible with the reason when the record cannot be done."""

    def provider(self, door: str, name: str = "") -> Any:
        """The checked provider of a door; without a name the only one there is. Calculation and ledger_posting only: the
        doors that reach the network are reached by :meth:`send`."""

    def number(self, series: str) -> str:
        """The next number of a series."""

    def require(self, condition: object, message: Text | tuple[str, str]) -> None:
        """Refuses with ``message`` (Chinese, English) unless ``condition`` is true."""

    def refuse(self, zh: str, en: str) -> None:
        """Ends the command: it is not possible now, for this reason."""
