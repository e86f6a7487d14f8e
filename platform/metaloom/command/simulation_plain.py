"""A simulation as JSON, for the command line and the REST API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from metaloom.approval import Node
from metaloom.approval.compare import Difference
from metaloom.command.simulate_chain import Simulation, Tried


def as_plain(found: Simulation, locale: str = "en") -> dict[str, Any]:
    """The simulation as JSON; people are ``{id, name}``. ``locale``: of the sentences that say why a record came to no end."""
    survey = found.survey
    summary = {"records": len(found.tried), "dead_branches": [f"{fork}:{branch}" for fork, branch in survey.dead_ways],
               "dead_steps": list(survey.dead_steps), "nobody": {step: list(keys) for step, keys in survey.nobody.items()},
               "stuck": list(survey.stuck), "gone": list(found.gone), "left": found.left,
               **{f"{what}_change": list(found.changed(what)) for what in ("result", "way", "deciders")}}
    return {"chain": found.chain.address, "records": [_plain(found, one, locale) for one in found.tried], "summary": summary}


def _plain(found: Simulation, one: Tried, locale: str) -> dict[str, Any]:
    steps = [{"step": a.step, "people": [_person(found, user) for user in a.people], "admin": a.admin,
              "dropped": [{**_person(found, user), "why": why} for user, why in a.dropped.items()]} for a in one.outcome.asked]
    differs = [{"what": d.what, "where": d.where, "before": _values(found, d, d.before), "after": _values(found, d, d.after)} for d in one.differences]
    return {"record": one.record, "title": one.title, "case": one.case, "really": one.really, "result": one.outcome.result,
            "path": list(walked(one.outcome.path)), "steps": steps, "stops_at": list(one.outcome.stops_at),
            "refused": one.outcome.refused.say(locale) if one.outcome.refused else "", "differs": differs}


def _person(found: Simulation, user: int) -> dict[str, Any]:
    return {"id": user, "name": found.names.get(user, f"#{user}")}


def _values(found: Simulation, difference: Difference, values: Iterable[Any]) -> list[Any]:
    return [_person(found, user) for user in values] if difference.what == "deciders" else list(values)


def walked(nodes: Iterable[Node]) -> Iterable[str]:
    """The steps passed through, in order; a branch as ``fork:branch``."""
    for node in nodes:
        if node.status in ("done", "now"):
            for way in (way for way in node.children if way.status in ("done", "now")):
                yield f"{node.name}:{way.name}"
                yield from walked(way.children)
            if not node.children:
                yield node.name
