"""What a plugin command may do: the ``Work`` of the door, on the unit's one transaction.

The plugin has no session. A write that failed ends the command even when the plugin swallows the exception, so that
nothing half-done is ever committed.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa

from metaloom import expression, ledger, printing
from metaloom.base.errors import Conflict, NotPossible
from metaloom.base.messages import message, words
from metaloom.base.text import Text
from metaloom.command import rows
from metaloom.command.approval_case import withdraw_cases
from metaloom.command.environment import business_date
from metaloom.command.numbers import next_number
from metaloom.command.providers import environment_for
from metaloom.command.run_mass import bring_up
from metaloom.command.steps import move
from metaloom.command.store import change_stored, new_record, new_records
from metaloom.command.unit import Unit
from metaloom.command.upload_file import store_file
from metaloom.compile import entity_scope
from metaloom.plugin import PluginFault
from metaloom.plugin.doors import DOORS
from metaloom.storage import outbox

FIND_MAX = 10_000
OUTBOX_KIND = "call"
PAYLOAD_ADDRESS = "engine/outbox/payload"
LEDGER_ENTRY = "platform.ledger_entry"

P = ParamSpec("P")
R = TypeVar("R")
Runner = Callable[[str, "int | None", Mapping[str, Any], int], Mapping[str, Any]]
RUN_DEPTH_MAX = 8


def final(method: Callable[Concatenate[PluginWork, P], R]) -> Callable[Concatenate[PluginWork, P], R]:
    """A failure in this method ends the command, whatever the plugin does with the exception."""
    @functools.wraps(method)
    def guarded(self: PluginWork, /, *args: P.args, **named: P.kwargs) -> R:
        try:
            return method(self, *args, **named)
        except Exception as error:
            self.failure = self.failure or error
            raise
    return guarded


class PluginWork:
    """Implements :class:`metaloom.plugin.command.Work`. One object per run of a command."""

    def __init__(self, unit: Unit, plugin: str, command: str, subject: tuple[str, int] | None, company_id: int | None,
                 runner: Runner | None = None, depth: int = 0) -> None:
        self._unit, self._plugin, self._command = unit, plugin, command
        self._runner, self._depth = runner, depth
        self._subject, self._company = subject, company_id
        self.failure: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        raise PluginFault(self._plugin, f"work has no {name!r}; the engine alone ends the transaction")

    # -- who, when ---------------------------------------------------------------------------------------------------

    @property
    def actor(self) -> Any:
        return self._unit.ctx.actor

    @property
    def now(self) -> datetime:
        return self._unit.now

    @property
    def reason(self) -> str:
        return self._unit.reason

    @property
    def settings(self) -> Mapping[str, Any]:
        given = environment_for(self._unit.ctx).settings.get(self._plugin)
        return self._unit.ctx.plugins.settings(self._plugin, given)

    def business_date(self, company_id: int | None = None) -> date:
        company = company_id if company_id is not None else self._company
        return business_date(self._unit, company if company is not None else self.actor.company_id)

    # -- reading -----------------------------------------------------------------------------------------------------

    @final
    def get(self, entity: str, id: int) -> Mapping[str, Any]:
        return self._row(entity, id, lock=False)

    @final
    def lock(self, entity: str, id: int) -> Mapping[str, Any]:
        return self._row(entity, id, lock=True)

    def _row(self, entity: str, id: int, *, lock: bool) -> Mapping[str, Any]:
        self._unit.entity(entity)
        found = rows.fetch(self._unit, entity, id, lock=lock)
        if found is None:
            rows.missing()
        return found

    @final
    def find(self, entity: str, where: Mapping[str, Any] | str, order: Sequence[str] = (), limit: int | None = None,
             lock: bool = False) -> list[Mapping[str, Any]]:
        self._unit.entity(entity)
        most = min(limit if limit is not None else FIND_MAX, FIND_MAX)
        if isinstance(where, str):
            checked = expression.compile(where, entity_scope(self._unit.catalog, entity), expression.BOOL)
            return rows.find_where(self._unit, entity, checked, self._unit.env(self._company), order=order, limit=most, lock=lock)
        return rows.find(self._unit, entity, where, order=order, limit=most, lock=lock)

    @final
    def balance(self, account: str, company_id: int, on: date | None = None) -> Decimal:
        return ledger.account_balance(self._unit.conn, self._unit.tables, account, company_id=company_id, on=on)

    # -- writing -----------------------------------------------------------------------------------------------------

    @final
    def create(self, entity: str, values: Mapping[str, Any]) -> int:
        self._unit.step()
        record_id: int = new_record(self._unit, entity, values, trusted=True)["id"]
        return record_id

    @final
    def change(self, entity: str, id: int, values: Mapping[str, Any]) -> None:
        self._unit.step()
        change_stored(self._unit, entity, self._row(entity, id, lock=True), values, trusted=True)

    @final
    def insert_many(self, entity: str, rows: Sequence[Mapping[str, Any]]) -> list[int]:
        self._unit.step()
        return new_records(self._unit, entity, rows)

    @final
    def transition(self, entity: str, id: int, name: str) -> None:
        self._unit.step()
        move(self._unit, entity, self._row(entity, id, lock=True), name)

    @final
    def withdraw(self, entity: str, id: int, why: str) -> int:
        self._unit.step()
        self._row(entity, id, lock=True)
        return withdraw_cases(self._unit, entity, id, why)

    @final
    def post(self, event: str, amounts: Mapping[str, Decimal], facts: Mapping[str, Any], company_id: int, booking_date: date,
             value_date: date, cause: tuple[str, int], reversal_of: int | None = None) -> int:
        unit = self._unit
        entry = ledger.Entry(
            event=event, amounts=dict(amounts), facts=dict(facts), company_id=company_id, booking_date=booking_date,
            value_date=value_date, reversal_of=reversal_of,
            cause=ledger.Cause(cause[0], cause[1], self._command, unit.revision.number, unit.revision.digest, unit.ctx.actor.user_id))
        try:
            entry_id = ledger.post(unit.conn, unit.revision, entry, now=unit.now)
        except ValueError as error:
            raise PluginFault(self._plugin, str(error)) from error
        if LEDGER_ENTRY in unit.catalog.entities:
            unit.log(unit.entity(LEDGER_ENTRY), entry_id, None, {"event": event, "booking_date": booking_date, "reversal_of": reversal_of})
        return entry_id

    @final
    def send(self, door: str, provider: str, method: str, payload: Mapping[str, Any], key: str, on_result: str = "",
             after_seconds: int = 0, subject: tuple[str, int] | None = None, while_in: Sequence[str] = ()) -> None:
        unit = self._unit
        if door not in DOORS or DOORS[door].perform is None:
            raise PluginFault(self._plugin, f"{door} is no door that a worker can send to")
        if provider not in unit.ctx.plugins.provider_names(door):
            raise NotPossible(message("command.no_provider", what=f"{door}/{provider}"))
        if on_result and unit.ctx.plugins.command(on_result) is None:
            raise PluginFault(self._plugin, f"{on_result} is no command")
        about = subject or self._subject
        if while_in and (about is None or not set(while_in) <= _states(unit, about[0])):
            raise PluginFault(self._plugin, f"{key}: {', '.join(while_in)} are no states of its subject")
        sealed = unit.ctx.tenant.secrets.encrypt(PAYLOAD_ADDRESS, json.dumps(dict(payload), ensure_ascii=False, default=_plain))
        try:
            outbox.put(unit.conn, unit.tables, kind=OUTBOX_KIND, key=f"{OUTBOX_KIND}:{key}", payload={
                "door": door, "provider": provider, "method": method, "sealed": sealed, "on_result": on_result,
                "subject": list(about) if about else None, "revision": unit.revision.number, "request_id": unit.ctx.request_id,
                "while_in": list(while_in),
            }, run_after=unit.now + timedelta(seconds=after_seconds) if after_seconds else None)
        except Conflict:
            raise NotPossible(message("command.sent_twice", key=key)) from None
        unit.rings = True

    @final
    def file(self, name: str, content: bytes | str) -> int:
        return store_file(self._unit, name, content)

    @final
    def pdf(self, title: str, body: str, headings: Sequence[str] = ()) -> bytes:
        return printing.draw(printing.Sheet(title, (printing.Words("", body.strip(), tuple(headings), large=True),), pages="第 {page} 页 共 {pages} 页",
                                            missing=message("print.missing").say("zh")))

    @final
    def run(self, command: str, id: int | None = None, input: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        self._unit.step()
        if self._runner is None:
            raise PluginFault(self._plugin, "a look changes nothing")
        if self._depth >= RUN_DEPTH_MAX:
            raise PluginFault(self._plugin, f"{command} would be run more than {RUN_DEPTH_MAX} commands deep")
        return self._runner(command, id, dict(input or {}), self._depth + 1)

    @final
    def bring_up(self, name: str, id: int, day: date) -> None:
        self._unit.step()
        bring_up(self._unit, f"{self._plugin}.{name}", id, day=day, company_id=self._company)

    # -- helpers -----------------------------------------------------------------------------------------------------

    def provider(self, door: str, name: str = "") -> Any:
        if door in DOORS and DOORS[door].perform is not None:
            raise PluginFault(self._plugin, f"{door} reaches a network; a command may only send to it")
        try:
            return self._unit.ctx.plugins.provider(door, name, environment_for(self._unit.ctx))
        except LookupError as error:
            raise NotPossible(message("command.no_provider", what=str(error))) from error

    @final
    def number(self, series: str) -> str:
        return next_number(self._unit, series, self._company)

    def require(self, condition: object, message: Text | tuple[str, str]) -> None:
        if not condition:
            text = message if isinstance(message, Text) else Text(*message)
            self.failure = self.failure or NotPossible(words(_literal(text)))
            raise self.failure

    def refuse(self, zh: str, en: str) -> None:
        self.require(False, (zh, en))


def _states(unit: Unit, entity: str) -> set[str]:
    lifecycle = unit.catalog.lifecycles.get(entity)
    return set(lifecycle.states) if lifecycle is not None else set()


def _literal(text: Text) -> Text:
    """The plugin filled in its values already; braces in them are no slots."""
    return Text(*(said.replace("{", "{{").replace("}", "}}") for said in (text.zh, text.en)))


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be sent")


def failure_of(plugin: str, error: Exception) -> Exception:
    """What an exception out of a handler means: told to the person, or a fault of the plugin."""
    from metaloom.base.errors import Invalid, MetaloomError, Problem

    if isinstance(error, (MetaloomError, sa.exc.SQLAlchemyError)):
        return error
    if isinstance(error, ValueError):
        said = str(error)
        return Invalid([Problem("", words(_literal(Text(said, said))))], words(_literal(Text(said, said))))
    return PluginFault(plugin, f"{type(error).__name__}{_where(error)}")


def _where(error: Exception) -> str:
    """Where the plugin raised, for the log: the words of an exception may hold what a customer owes."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return f" at {Path(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno}" if last is not None else ""
