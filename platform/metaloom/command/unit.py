"""One unit of work: one transaction, all or nothing, with everything that belongs to it.

``perform`` is the only place that opens a transaction for a command. It answers repeated idempotency keys, tries the
whole unit again after a deadlock or serialization failure (three times, with jitter), writes the audit before commit and
rings the outbox bell after it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar, cast

import sqlalchemy as sa

import metaloom.command.messages  # noqa: F401  (registers the sentences)
from metaloom import audit, expression
from metaloom.base.crash import crash_point
from metaloom.base.errors import Busy, Invalid, MetaloomError, NotAllowed, NotPossible, Problem
from metaloom.base.messages import message
from metaloom.command import clash
from metaloom.command.clash import Clash
from metaloom.command.context import ActionDone, Context, Saved, message_in, message_out
from metaloom.command.environment import environment_of
from metaloom.command.failure import told
from metaloom.command.limits import limit
from metaloom.model import Catalog, Entity
from metaloom.plugin import PluginFault
from metaloom.storage import Contended, after_commit, bell
from metaloom.storage.rate import Counted

log = logging.getLogger("metaloom.command")
TRIES = 4          # the first and three more
STEPS_MAX = 10_000
DEPTH_MAX = 5
KEY_MAX = 200

T = TypeVar("T", bound="Saved | ActionDone")

# What follows from the changes of any command, inside its transaction: each module that has such a thing adds it here.
ENDINGS: list[Callable[[Unit], None]] = []


@dataclass
class Unit:
    """What the steps of one command share. Made by ``perform``, never kept."""

    ctx: Context
    conn: sa.Connection
    command: str
    now: datetime
    reason: str = ""
    entries: list[audit.Entry] = field(default_factory=list)
    steps: int = 0
    depth: int = 0
    rings: bool = False
    days: dict[int | None, date] = field(default_factory=dict)
    memory: dict[Any, Any] = field(default_factory=dict)

    @property
    def revision(self) -> Any:
        return self.ctx.revision

    @property
    def catalog(self) -> Catalog:
        catalog: Catalog = self.ctx.revision.catalog
        return catalog

    @property
    def tables(self) -> Any:
        return self.ctx.revision.tables

    def entity(self, address: str) -> Entity:
        found = self.catalog.entities.get(address)
        if found is None:
            raise NotPossible(message("command.unknown_entity", entity=address))
        return found

    def step(self) -> None:
        """Counts one step of an action; a runaway action ends here, and everything is undone."""
        self.steps += 1
        if self.steps > STEPS_MAX:
            raise NotPossible(message("command.too_many_steps", limit=STEPS_MAX))

    def log(self, entity: Entity | None, record_id: int | None, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> None:
        """Remembers one change for the audit; secrets are masked here already."""
        ctx = self.ctx
        self.entries.append(audit.Entry(
            command=self.command, entity=entity.address if entity else "", record_id=record_id,
            before=audit.masked_values(entity, before) if entity and before is not None else before,
            after=audit.masked_values(entity, after) if entity and after is not None else after,
            at=self.now, actor_id=ctx.actor.user_id, actor_name=ctx.actor.username, channel=ctx.channel, reason=self.reason,
            revision_number=ctx.revision.number, revision_digest=ctx.revision.digest, request_id=ctx.request_id,
        ))

    def env(self, company_id: int | None = None) -> expression.Env:
        """What expressions know besides the record: the person, the instant, the business date of the company."""
        return environment_of(self, company_id)


def perform(ctx: Context, command: str, body: Any, work: Callable[[Unit], T], *, reason: str = "",
            money: bool = False) -> T:
    """Runs ``work`` in one transaction and returns its result, or the earlier result of the same idempotency key.

    ``body`` is everything that makes the request what it is (for the comparison of repeated keys). ``money``: through the
    API a key is then demanded.
    """
    key = checked_key(ctx, money)
    digest = body_digest(command, body)
    for attempt in range(TRIES):
        try:
            return _once(ctx, command, key, digest, work, reason)
        except PluginFault as fault:
            log.error("%s, request %s: plugin %s", command, ctx.request_id, fault)
            raise
        except Contended:
            time.sleep(random.uniform(0.005, 0.05) * 2**attempt)  # noqa: S311 - jitter, no secret
    raise Busy()


def _once(ctx: Context, command: str, key: str | None, digest: str, work: Callable[[Unit], T], reason: str) -> T:
    try:
        with ctx.tenant.write() as conn:
            if key is not None:
                earlier = audit.earlier_answer(conn, ctx.revision.tables, user_id=ctx.actor.user_id, key=key, body_digest=digest)
                if earlier is not None:
                    return cast("T", _unpacked(earlier))     # the key was used with the same command: its answer is of the same class
            unit = Unit(ctx, conn, command, ctx.clock.now(), reason)
            crash_point("write.begun")
            result = work(unit)
            for end in ENDINGS:
                end(unit)
            crash_point("write.worked")
            audit.write(conn, ctx.revision.tables, unit.entries)
            crash_point("write.logged")
            if key is not None:
                audit.keep_answer(conn, ctx.revision.tables, user_id=ctx.actor.user_id, key=key, body_digest=digest,
                                  status=200, answer=_packed(result))
            if unit.rings:
                after_commit(conn, lambda: bell.ring(ctx.tenant.name))
            crash_point("write.before_commit")
    except sa.exc.DBAPIError as error:
        said = told(ctx, error)
        if isinstance(said, Clash):
            note_clashes(ctx, [said])
        raise (said or error) from error
    crash_point("write.after_commit")
    return result


def note_clashes(ctx: Context, clashes: Sequence[Clash]) -> None:
    """Writes down what must not be told, in a transaction of its own; TooMany when the person met too many within the hour."""
    found: list[Counted] = []

    def work(unit: Unit) -> ActionDone:
        found[:] = [clash.note(unit, clashes)]
        return ActionDone("", None, None, message("error.not_possible"))

    perform(ctx.with_key(None), clash.COMMAND, [], work)
    top = limit(ctx.revision.catalog, "unique_refusals_per_hour")
    if found[0].hits > top:
        raise clash.too_many(top, found[0], ctx)


def checked_key(ctx: Context, money: bool) -> str | None:
    """The idempotency key, or a refusal when it is malformed or (money through the API) missing."""
    key = ctx.idempotency_key
    if key is None:
        if money and ctx.channel == "api":
            raise Invalid([Problem("", message("command.key_missing"))], message("command.key_missing"))
        return None
    if not 0 < len(key) <= KEY_MAX or not all("!" <= c <= "~" for c in key):
        raise Invalid([Problem("", message("command.key_bad"))], message("command.key_bad"))
    return key


def body_digest(command: str, body: Any) -> str:
    """Equal for equal requests; dates, decimals and tuples count by value."""
    text = json.dumps([command, body], sort_keys=True, ensure_ascii=False, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    return str(value)


def _packed(result: Saved | ActionDone) -> dict[str, Any]:
    common = {"entity": result.entity, "id": result.id, "row_version": result.row_version, "message": message_out(result.message)}
    if isinstance(result, Saved):
        return {"kind": "saved", **common, "title": result.title}
    return {"kind": "done", **common, "results": {key: audit.typed(value) for key, value in result.results.items()}}


def _unpacked(answer: Mapping[str, Any]) -> Saved | ActionDone:
    common = {"entity": answer["entity"], "id": answer["id"], "row_version": answer["row_version"],
              "message": message_in(answer["message"]), "replayed": True}
    if answer["kind"] == "saved":
        return Saved(**common, title=answer["title"])
    return ActionDone(**common, results={key: audit.untyped(value) for key, value in answer["results"].items()})


def permit(unit: Unit, entity: str, action: str) -> None:
    """The first question of every command: may this person do this to any row at all?"""
    if unit.ctx.system:
        return
    verdict = unit.ctx.plan.may(entity, action)
    if not verdict:
        raise NotAllowed(verdict.reason)


__all__ = ["MetaloomError", "Unit", "body_digest", "perform", "permit"]
