"""What a person may see, decided in Python from the metadata's grants: the second opinion for the platform's SQL.

It knows the words of `model/access.py` and nothing of `access/` or `record/`. Expression conditions are given as Python
functions in CONDITIONS; a condition without one fails the suite.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from metaloom.model import AccessGrant, Catalog, Entity, Field, FieldLevel, FieldType
from tests.generic.world import PEOPLE, UNITS, Place, Seed

# (entity, condition) → (place, row, user id) → bool
CONDITIONS: dict[tuple[str, str], Callable[[Place, Seed, int], bool]] = {
    ("workshop.used_part", "repair_order.technician == user.id"):
        lambda place, row, user: place.seed("workshop.repair_order", row.values["repair_order"]).values["technician"] == user,
    ("lending.other_money", "created_by == user_id()"): lambda place, row, user: row.owner_id == user,
    ("platform.approval_case", "any(parties, user == user_id())"): lambda place, row, user: user in _parties(place, row.id),
    ("platform.approval_task", "any(case.parties, user == user_id())"): lambda place, row, user: user in _parties(place, row.values["case"]),
    ("platform.approval_copy", "user == user_id()"): lambda place, row, user: row.values["user"] == user,
    ("platform.substitute", "user == user_id() or substitute == user_id()"):
        lambda place, row, user: user in (row.values["user"], row.values["substitute"]),
    ("platform.scheduled_job", "job == 'lending.day_end'"): lambda place, row, user: row.values["job"] == DAY_END,
    ("platform.scheduled_run", "job.job == 'lending.day_end' and company == user.company"):
        lambda place, row, user: _runs_day_end(place, row) and row.values["company"] == _company_of(place, user),
    ("platform.run_error", "run.job.job == 'lending.day_end' and run.company == user.company"):
        lambda place, row, user: _runs_day_end(place, run := place.seed("platform.scheduled_run", row.values["run"])) and (
            run.values["company"] == _company_of(place, user)),
    ("platform.held_record", "entity == 'lending.loan' and company == user.company"):
        lambda place, row, user: row.values["entity"] == "lending.loan" and row.values["company"] == _company_of(place, user),
}  # fmt: skip
DAY_END = "lending.day_end"


def _runs_day_end(place: Place, run: Seed) -> bool:
    return bool(place.seed("platform.scheduled_job", run.values["job"]).values["job"] == DAY_END)


def _company_of(place: Place, user: int) -> int:
    return place.companies[PEOPLE[next(name for name, id in place.people.items() if id == user)][0]]


def _parties(place: Place, case: int) -> set[int]:
    """The people who take part in an approval case."""
    return {row.values["user"] for row in place.rows["platform.approval_party"] if row.values["case"] == case}


class Oracle:
    """The rights of one person with some roles, over the rows of one tenant."""

    def __init__(self, place: Place, person: str, roles: Iterable[str]) -> None:
        self.place, self.person, self.roles = place, person, frozenset(roles)
        self.catalog: Catalog = place.catalog
        self.company, self.unit = PEOPLE[person]
        self.user = place.people[person]

    def grants(self, address: str) -> list[tuple[AccessGrant, str]]:
        """(grant, entity whose owner columns it speaks of); a child entity without grants has its parent's."""
        own = [g for g in self.catalog.grants.get(address, ()) if g.role in self.roles]
        entity = self.catalog.entities[address]
        if self.catalog.grants.get(address) or not entity.child_of:
            return [(g, address) for g in own]
        parent = self.catalog.entities[entity.child_of]
        slot = next(f for f in parent.fields.values() if f.type is FieldType.CHILD and f.entity == address)
        return [(_inside(g, level(slot, g)), above) for g, above in self.grants(entity.child_of) if level(slot, g) >= FieldLevel.READ]

    def may(self, address: str, action: str) -> bool:
        found = [g for g, _ in self.grants(address) if action in g.actions]
        return any(action == "create" or g.scope != "none" for g in found)

    def touches(self, address: str) -> bool:
        return any(g.actions for g, _ in self.grants(address))

    def rows(self, address: str, action: str) -> set[int]:
        """Ids of the seeded rows for which ``action`` is granted."""
        return {row.id for row in self.place.rows[address] if self.holds(address, row, action)}

    def holds(self, address: str, row: Seed, action: str) -> bool:
        return any(action in g.actions for g in self.holding(address, row))

    def holding(self, address: str, row: Seed) -> Iterator[AccessGrant]:
        """The grants whose scope covers the row."""
        for grant, above in self.grants(address):
            subject = row
            entity = self.catalog.entities[address]
            while entity.address != above:
                subject = self.place.seed(entity.child_of, subject.values[entity.parent_field])
                entity = self.catalog.entities[entity.child_of]
            if self._covers(grant, entity, subject):
                yield grant

    def _covers(self, grant: AccessGrant, entity: Entity, row: Seed) -> bool:
        if grant.scope == "all":
            return True
        if grant.scope == "none":
            return False
        if grant.scope == "assigned":
            return bool(row.values[grant.assigned_field] == self.user)
        if grant.scope == "expression":
            return CONDITIONS[entity.address, grant.condition](self.place, row, self.user)
        owner = self._owner(entity, row)
        if owner is None:
            return True
        if grant.scope == "company":
            return PEOPLE[owner][0] == self.company and self._owned(entity, "company")
        if grant.scope == "dept":
            return PEOPLE[owner][1] == self.unit and self._owned(entity, "org_unit")
        if grant.scope == "dept_tree":
            return self.unit in _above(PEOPLE[owner][1]) and self._owned(entity, "org_unit")
        if grant.scope == "self":
            return owner == self.person and self._owned(entity, "user")
        raise AssertionError(f"the oracle does not know the scope {grant.scope}")

    def _root(self, entity: Entity) -> Entity:
        while entity.ownership.scope_from or entity.child_of:
            link = entity.ownership.scope_from
            entity = self.catalog.entities[entity.fields[link].entity if link else entity.child_of]
        return entity

    def _owned(self, entity: Entity, part: str) -> bool:
        return part in self._root(entity).ownership.owned_by

    def _owner(self, entity: Entity, row: Seed) -> str | None:
        """Every row links to rows of its own owner, so the owner of the root is the owner of the row; None: shared."""
        return None if self._root(entity).ownership.shared else row.owner

    def alert_words(self, alert: Seed, name: str) -> set[str]:
        """What may be shown of an alert's ``rule_name`` or ``subject``: the label of its rule, and the subject's own words only where
        every field they repeat stands in the clear for the person, in each of the owner's records of that entity."""
        rule = self.catalog.warning_rules[alert.values["rule"]]
        label = {rule.label.zh, rule.label.en}
        fields = self.catalog.entities[rule.entity].fields
        repeated = [fields[slot] for slot in re.findall(r"{(\w+)", rule.subject.zh + rule.subject.en) if slot in fields]
        rows = [row for row in self.place.rows[rule.entity] if row.owner == alert.owner]
        told = all(self.holds(rule.entity, row, "read") and all(self.level(rule.entity, row, f) >= FieldLevel.READ for f in repeated) for row in rows)
        return label | set(alert.values["subject"].values()) if name == "subject" and told else label

    def level(self, address: str, row: Seed, field: Field) -> FieldLevel:
        """The best level over the grants that cover the row."""
        return max((level(field, g) for g in self.holding(address, row)), default=FieldLevel.HIDDEN)


def _inside(grant: AccessGrant, slot: FieldLevel) -> AccessGrant:
    """What a parent's grant means for rows of a child grid: levels of the parent's fields say nothing about the child's."""
    actions = set(grant.actions & {"list", "read", "history", "export"})
    if slot is FieldLevel.WRITE:
        actions |= grant.actions & {"create", "edit"}
        actions |= {"create", "delete"} if "edit" in grant.actions else set()
    return replace(grant, actions=frozenset(actions), fields={})


def _above(unit: str) -> list[str]:
    found = []
    current: str | None = unit
    while current is not None:
        found.append(current)
        current = UNITS[current][1]
    return found


def level(field: Field, grant: AccessGrant) -> FieldLevel:
    """A grant's level for a field, by the words of ``AccessGrant``."""
    if not grant.actions & {"list", "read", "edit", "create"}:
        return FieldLevel.HIDDEN
    writes = bool(grant.actions & {"create", "edit"})
    own = grant.fields.get(field.name)
    if own is not None:
        return min(own, FieldLevel.READ) if own is FieldLevel.WRITE and not writes else own
    rest = grant.fields.get("*", FieldLevel.WRITE if writes else FieldLevel.READ)
    if rest is FieldLevel.WRITE and not writes:
        rest = FieldLevel.READ
    return FieldLevel.MASKED if field.mask and rest is FieldLevel.READ else rest
