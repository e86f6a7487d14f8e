"""What a case asks of the world (``approval.Facts``), answered from the database inside the deciding transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from random import SystemRandom
from typing import Any

from metaloom.approval import Candidates, CaseState
from metaloom.base.errors import NotPossible
from metaloom.base.messages import message, register
from metaloom.base.working_time import add_working, working_between
from metaloom.command.approval_people import People
from metaloom.command.deadlines import deadline, working_calendar
from metaloom.command.evaluate import PYTHON, run
from metaloom.command.live import Live, Loose, Names, along, linked
from metaloom.command.unit import Unit
from metaloom.compile.scope import USER, chain_scope, values_scope
from metaloom.expression import ExpressionError, Scope
from metaloom.expression import compile as checked_expression
from metaloom.model import ApprovalChain, Decide, Entity, Field, Who
from metaloom.record.values import BadValue, Reading, read

register({
    "approval.outdated": (
        "审批流程“{chain}”使用了已不存在的内容（{what}），请联系管理员把本单迁移到新流程。",
        "The chain “{chain}” of this case speaks of something that is gone ({what}); ask the administrator to move the case to the new chain."),
})  # fmt: skip


class RecordFacts:
    """The facts about one record, for one chain. ``outputs``: what earlier decisions of the case gave, by step, as JSON."""

    def __init__(self, unit: Unit, chain: ApprovalChain, digest: str, record: Mapping[str, Any], case: Mapping[str, Any],
                 outputs: Mapping[str, Mapping[str, Any]]) -> None:
        self.unit, self.chain, self.digest, self.record, self.case = unit, chain, digest, record, {"opinion": None, **case}
        self.outputs = {step: dict(values) for step, values in outputs.items()}
        self.people = People(unit, chain.entity, record, int(case["initiator"] or 0))
        self._readers: dict[int, bool] = {}

    @property
    def entity(self) -> Entity:
        return self.unit.entity(self.chain.entity)

    # -- expressions -----------------------------------------------------------------------------------------------------

    def scope(self) -> Scope:
        scopes: dict[str, Scope] = self.unit.catalog.__dict__.setdefault("_chain_scopes", {})
        key = f"{self.chain.address}@{self.digest}"
        if key not in scopes:
            scopes[key] = chain_scope(self.unit.catalog, self.chain)
        return scopes[key]

    def output_scope(self, outputs: Mapping[str, Field]) -> Scope:
        """What the conditions of a decision's outputs know: their siblings bare, and what the chain knows."""
        siblings, around = values_scope(self.unit.catalog, outputs), self.scope()
        return Scope({**around.fields, **siblings.fields}, {**around.links, **siblings.links}, around.children, around.user)

    def names(self) -> Names:
        live = Live(self.unit, self.entity, self.record)
        return Names({"record": live, **self.lets()}, live)

    def lets(self) -> dict[str, Mapping[str, Any]]:
        """``case`` and ``output`` as expressions see them."""
        people = {name: linked(self.unit, USER, self.case.get(name)) for name in ("initiator", "finished_by")}
        return {"case": {**self.case, **people}, "output": {step.name: self._outputs(step) for step in self._steps()}}

    def _steps(self) -> list[Decide]:
        return [step for step in self.chain.every_step() if isinstance(step, Decide) and step.outputs]

    def _outputs(self, step: Decide) -> Loose:
        given = self.outputs.get(step.name, {})
        how = Reading(self.unit.catalog.choices, self.unit.ctx.tenant.zone, bounds=False)
        values: dict[str, Any] = {}
        for name, field in step.outputs.items():
            try:
                values[name] = read(field, given.get(name), how)
            except BadValue:
                values[name] = None
        return Loose(self.unit, step.outputs, values)

    def value(self, text: str) -> Any:
        company = self.record.get("company")
        try:
            return run(checked_expression(text, self.scope(), None, PYTHON), self.names(), self.unit.env(company if isinstance(company, int) else None))
        except ExpressionError as error:
            raise NotPossible(message("approval.outdated", chain=self.chain.label, what=str(error)[:200])) from error

    def holds(self, expression: str, state: CaseState) -> bool | None:
        self._follow(state)
        found = self.value(expression)
        return found if isinstance(found, bool) else None

    def _follow(self, state: CaseState) -> None:
        """Decisions of the move that is being told count already."""
        self.outputs = {step: dict(values) for step, values in state.outputs.items()}

    # -- people ------------------------------------------------------------------------------------------------------------

    def candidates(self, who: Sequence[Who], weights: Mapping[str, int], state: CaseState) -> Candidates:
        self._follow(state)
        ids: dict[int, str] = {}
        weight: dict[int, int] = {}
        for way in who:
            for user_id in self._found(way):
                ids.setdefault(user_id, f"{way.kind} {way.value}".strip())
                if way.kind in ("role", "user") and way.value in weights:
                    weight[user_id] = max(weight.get(user_id, 0), weights[way.value])
        self.people.meet(ids)
        return Candidates(tuple(ids), weight, ids)

    def _found(self, way: Who) -> list[int]:
        if way.kind == "chosen":
            return list(dict.fromkeys(user_id for part in way.pool for user_id in self._found(part)))
        value = self.value(way.value) if way.kind in ("expression", "field") else None
        return self.people.found_by(way, value)

    def person(self, user_id: int) -> int:
        return self.people.person(user_id)

    def makers(self, fields: Sequence[str]) -> tuple[int, ...]:
        live = Live(self.unit, self.entity, self.record)
        try:
            found = [along(live, path) for path in fields]
        except KeyError as gone:
            raise NotPossible(message("approval.outdated", chain=self.chain.label, what=gone.args[0])) from gone
        return tuple(dict.fromkeys(user_id for user_id in found if user_id))

    def may_read(self, user_id: int) -> bool:
        if user_id not in self._readers:
            self._readers[user_id] = self.people.may_read(user_id, self.record["id"])
        return self._readers[user_id]

    def superior(self, user_id: int) -> int | None:
        return self.people.superior(user_id)

    def admins(self) -> tuple[int, ...]:
        return self.people.admins()

    def has_role(self, user_id: int, roles: Sequence[str]) -> bool:
        return bool(roles) and user_id in self.people.holders(roles)

    def substitute(self, user_id: int, at: datetime) -> int | None:
        return self.people.substitute(user_id, at, self.chain.name)

    def draw(self, ids: Sequence[int]) -> int:
        return SystemRandom().choice(list(ids))

    def sub_record(self, on: str) -> int | None:
        found = self.record["id"] if on == "self" else self.record.get(on)
        return found if isinstance(found, int) else None

    # -- time --------------------------------------------------------------------------------------------------------------

    def due(self, limit: str, at: datetime) -> datetime:
        return deadline(self.unit, self.people.company, limit, at)

    def moved(self, due: datetime, paused_at: datetime, woken_at: datetime) -> datetime:
        """The working time that was left when the clock stopped is left again when it goes on."""
        calendar, hours, zone = working_calendar(self.unit, self.people.company)
        if due <= paused_at:
            return due
        left = working_between(paused_at, due, "hours", calendar, hours, zone)
        return add_working(woken_at, left, "hours", calendar, hours, zone) if left else woken_at + (due - paused_at)
