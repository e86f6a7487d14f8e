"""What every page of a case says of it: subject, status, people, the record, the way it took."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from metaloom import command
from metaloom.approval import Task
from metaloom.base.errors import MetaloomError, NotFound
from metaloom.command import CaseShown
from metaloom.model import Decide, FieldLevel
from metaloom.record import Row
from metaloom.web import detail_page
from metaloom.web.case_story import Story, people_in
from metaloom.web.cells import titled
from metaloom.web.current import Current, locale, say, url
from metaloom.web.frame import record_url
from metaloom.web.inbox_page import chain_label
from metaloom.web.words import age, moment

MAX_ID = 2**63 - 1


def case_key(id: Any) -> int:
    """The number in an address; NotFound for one that no row can have."""
    if int(id) > MAX_ID:
        raise NotFound
    return int(id)


def subject_of(shown: CaseShown) -> str:
    """What the case is about, in the reader's language."""
    said = shown.row.get("subject") or {}
    return str(said.get(locale()) or said.get("zh") or f"#{shown.id}")


def facts_of(pinned: Current, shown: CaseShown) -> dict[str, Any]:
    """The head of the page: what it is about, where it stands, since when."""
    item = pinned.catalog.choices["platform.approval_status"].items.get(shown.state.status)
    names = names_of(pinned, shown, {shown.state.initiator})
    end = shown.row["finished_at"] or pinned.clock.now()
    return {
        "subject": subject_of(shown), "case_url": url(f"/case/{shown.id}"), "chain": chain_label(pinned, shown.chain.entity, shown.chain.name),
        "status": say(item.label) if item else shown.state.status, "colour": item.colour if item else "grey",
        "initiator": names.get(shown.state.initiator, ""), "started": moment(pinned, shown.row["started_at"]),
        "finished": moment(pinned, shown.row["finished_at"]),
        "lasted": age(shown.row["started_at"], end), "running": not shown.state.finished,
    }


def names_of(pinned: Current, shown: CaseShown, accounts: Iterable[int | None]) -> dict[int, str]:
    return command.names_in_case(pinned.looking(), shown.id, [one for one in accounts if one], pinned.conn)


def step_of(shown: CaseShown, mine: Task | None) -> Decide | None:
    """The step that the task decides."""
    step = next((s for s in shown.chain.every_step() if mine is not None and s.name == mine.step), None)
    return step if isinstance(step, Decide) else None


def record_of(pinned: Current, shown: CaseShown, mine: Task | None) -> dict[str, Any]:
    """The record as far as this person reads it, less what the step hides; nothing of it for others."""
    entity = pinned.catalog.entities.get(shown.chain.entity)
    if entity is None or not shown.readable:
        return {"entity": entity, "record": None, "facts": (), "blocks": (), "record_href": "", "tabs": ()}
    try:
        row = titled(pinned, entity, pinned.reader.get(entity.address, shown.row["record_id"]))
    except MetaloomError:
        return {"entity": entity, "record": None, "facts": (), "blocks": (), "record_href": "", "tabs": ()}
    step = step_of(shown, mine) if mine is not None and mine.live else None
    row = without(row, [name for name, level in step.fields.items() if level == "hidden"] if step is not None else ())
    tabs = [tab for tab in detail_page.tabs_of(pinned, entity, row) if tab.name not in ("info", "approval")]
    return {"entity": entity, "record": row, "facts": detail_page.facts_of(pinned, entity, row), "blocks": detail_page.blocks_of(pinned, entity, row),
            "record_href": record_url(entity.address, row.id), "tabs": tabs}


def without(row: Row, names: Iterable[str]) -> Row:
    """The row without some of its fields, as if the person had no right to them."""
    gone = set(names)
    return replace(row, values={k: v for k, v in row.values.items() if k.partition(".")[0] not in gone},
                   levels={k: FieldLevel.HIDDEN if k in gone else v for k, v in row.levels.items()},
                   children={k: v for k, v in row.children.items() if k not in gone}) if gone else row


def way_of(pinned: Current, shown: CaseShown) -> dict[str, Any]:
    events = command.case_log(pinned.looking(), shown.id, pinned.conn)
    names = names_of(pinned, shown, people_in(events, shown.path))
    story = Story(pinned, shown.chain, shown.state, names, command.case_files(pinned.looking(), shown.id, pinned.conn))
    return {"moments": story.moments(events), "flow": story.blocks(shown.path)}
