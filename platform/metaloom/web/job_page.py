"""Jobs and their runs on the generic screens: buttons, what comes next, progress while it runs, what failed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flask import g, render_template

from metaloom import command
from metaloom.base.messages import Message
from metaloom.base.text import Text
from metaloom.command.books_step import TRIAL_BALANCE
from metaloom.command.context import Context, Saved
from metaloom.command.retry_held import HELD
from metaloom.command.session import COMPANY
from metaloom.command.start_job import JOB, RUN
from metaloom.job.parts import figures_of
from metaloom.job.runs import OPEN, errors_of
from metaloom.model import Catalog, Field, FieldType, JobStep, Who
from metaloom.plugin.registry import installed
from metaloom.web import i18n
from metaloom.web.cells import GATHER, GOALS, NAMES, WORDS
from metaloom.web.current import Current, locale, say, site
from metaloom.web.frame import record_url
from metaloom.web.own import Own, Verb, register
from metaloom.web.words import listed, whole

ERRORS_SHOWN = 50
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def _start(dry: bool) -> Any:
    return lambda ctx, id, values, version: command.start_job(ctx, id, company=values.get("company"), dry_run=dry)


def _pause(paused: bool) -> Any:
    return lambda ctx, id, values, version: command.pause_job(ctx, id, paused)


def _rerun(ctx: Context, id: int, values: Mapping[str, Any], version: int | None) -> Saved:
    return command.rerun_failed(ctx, id)


def _cancel(ctx: Context, id: int, values: Mapping[str, Any], version: int | None) -> Saved:
    return command.cancel_run(ctx, id)


def _company(catalog: Catalog) -> dict[str, Field]:
    return {"company": Field("company", FieldType.COMPANY, Text("公司（按公司运行时必填）", "Company (for jobs that run per company)"))}


def _runnable(pinned: Current, row: Any) -> bool | Message:
    return bool(row.values.get("active"))


def _pausable(paused: bool) -> Any:
    return lambda pinned, row: bool(row.values.get("active")) and bool(row.values.get("paused")) is not paused


def _failed(pinned: Current, row: Any) -> bool:
    return row.values.get("status") in ("partial", "failed") and not row.values.get("dry_run")


def _open(pinned: Current, row: Any) -> bool:
    return row.values.get("status") in OPEN


_JOB_VERBS = (
    Verb("run_now", Text("立即运行", "Run now"), "player-play", (JOB, "edit"), _start(False), _company, _runnable, asks=True, style="primary"),
    Verb("try", Text("试运行", "Dry run"), "eye", (JOB, "edit"), _start(True), _company, _runnable, asks=True,
         help=Text("逐条试算并报告结果，不保存任何变更。", "Tries every record and reports; nothing is kept.")),
    Verb("pause", Text("暂停", "Pause"), "clock", (JOB, "edit"), _pause(True), when=_pausable(True),
         confirm=Text("暂停期间到期的运行不会补跑。", "What becomes due during the pause is not made up for.")),
    Verb("resume", Text("恢复", "Resume"), "player-play", (JOB, "edit"), _pause(False), when=_pausable(False), style="primary"),
)
_RUN_VERBS = (
    Verb("rerun_failed", Text("重跑失败记录", "Re-run what failed"), "refresh", (RUN, "edit"), _rerun, when=_failed, style="primary"),
    Verb("cancel_run", Text("取消运行", "Cancel run"), "x", (RUN, "edit"), _cancel, when=_open, style="danger",
         confirm=Text("已处理的记录保留，其余不再处理。", "What was done stays done; the rest is left.")),
)


def _retry(ctx: Context, id: int, values: Mapping[str, Any], version: int | None) -> Saved:
    return command.retry_held(ctx, id)


def _held(pinned: Current, row: Any) -> bool:
    return row.values.get("released_at") is None


_HELD_VERBS = (Verb("retry", Text("再试一次", "Try again"), "refresh", (HELD, "edit"), _retry, when=_held, style="primary",
                    help=Text("单独处理这一条，直到当前营业日期。", "This record alone, up to the business date.")),)


def step_words(pinned: Current, step: JobStep) -> str:
    """A step of a job in words of its reader."""
    catalog = pinned.catalog
    if step.verb == "action":
        command = next((one for one in (site().registry or installed()).commands() if one.on == step.entity and one.name == step.name), None)
        action = catalog.actions.get(f"{step.entity}/{step.name}") or command
        return f"{say(catalog.entities[step.entity].label)} · {say(action.label) if action else step.name}"
    if step.verb == "notify":
        about = [say(catalog.entities[step.entity].label)] if step.entity else []
        return " · ".join([*about, *(_who_words(catalog, step.entity, who) for who in step.to)])
    if step.verb == "mass":
        found = (site().registry or installed()).mass(step.name)
        about = [say(catalog.entities[step.entity].label)] if step.entity in catalog.entities else []
        return " · ".join([*about, say(found[0].label) if found else step.name])
    if step.verb == "hold":
        labels = {f"{said.plugin}.{said.name}": said.label for said, _ in (site().registry or installed()).invariants()}
        return listed(_t("job.hold.trial_balance") if name == TRIAL_BALANCE else say(labels[name]) if name in labels else name for name in step.names)
    if step.verb == "move_business_date":
        return _t("job.most_days", number=step.most)
    if step.verb == "close_months":
        return " · ".join(_who_words(catalog, "", who) for who in step.to)
    return step.name if step.verb == "run" else listed(step.names)


def _who_words(catalog: Catalog, entity: str, who: Who) -> str:
    if who.kind == "role":
        return say(catalog.roles[who.value].label)
    if who.kind == "field":
        field = catalog.entities[entity].fields.get(who.value)
        return say(field.label) if field is not None else _t(f"job.who.{who.value}") if who.value in ("owner", "created_by") else who.value
    return _t("job.who.head") if who.kind == "head_of" else _t("job.who.reckoned") if who.kind == "expression" else who.value


def _t(key: str, **values: object) -> str:
    return i18n.translator(site().templates, locale())(key, **values)


def _job_panel(pinned: Current, row: Any) -> str:
    """What the job does, step by step."""
    job = pinned.catalog.jobs.get(row.values.get("job") or "")
    if job is None:
        return ""
    role = pinned.catalog.roles.get(job.run_as)
    return render_template("job/job.html", label=say(job.label), help=say(job.help), role=say(role.label) if role else "",
                           steps=[(step.verb, step_words(pinned, step), step.where) for step in job.steps])


def _run_panel(pinned: Current, row: Any) -> str:
    return render_template("job/run.html", **_progress(pinned, row))


def _progress(pinned: Current, row: Any) -> dict[str, Any]:
    values = row.values
    job_row = pinned.reader.get(JOB, values["job"], children=False) if values.get("job") else None
    job = pinned.catalog.jobs.get(job_row.values.get("job") or "") if job_row else None
    steps = job.steps if job else ()
    behind = sum(int(values.get(name) or 0) for name in ("done", "skipped", "failed"))
    total = int(values.get("total") or 0)
    errors, mass = errors_of(pinned.conn, row.id, ERRORS_SHOWN), figures_of(pinned.conn, row.id)
    return {
        "status": values.get("status"), "open": values.get("status") in OPEN, "behind": behind, "total": total,
        "percent": min(100, behind * 100 // total) if total else (100 if values.get("status") == "done" else 0),
        "counts": [(name, int(values.get(name) or 0)) for name in ("done", "skipped", "failed")],
        "steps": [{"words": step_words(pinned, step), "verb": step.verb, "state": _state(values, number)} for number, step in enumerate(steps)],
        "mass": [_figures(pinned, steps[number], number, found) for number, found in sorted(mass.items()) if number < len(steps)],
        "errors": _errors(pinned, errors), "more": int(values.get("failed") or 0) > len(errors),
        "progress_url": record_url(RUN, row.id, "/tab/info"), "dry": bool(values.get("dry_run")),
    }


def _figures(pinned: Current, step: JobStep, number: int, found: Mapping[str, Any]) -> dict[str, Any]:
    """What a mass step has done: how many of how many, how fast, by how many workers, and what its function counted, in the reader's words."""
    declared = (site().registry or installed()).mass(step.name)
    labels = declared[0].figures if declared else {}
    began, ended = found["started_at"], found["finished_at"]
    seconds = (ended - began).total_seconds() if began is not None and ended is not None else 0.0
    return {
        "step": number + 1, "label": say(declared[0].label) if declared else step.name, "done": found["done"], "size": found["size"], "failed": found["failed"],
        "parts": found["parts"], "parts_done": found["parts_done"], "workers": len(found["workers"]), "seconds": f"{seconds:.1f}",
        "rate": f"{found['done'] / seconds:,.0f}" if seconds > 0 else "",
        "counted": [(say(labels[name]) if name in labels else name, count) for name, count in found["figures"].items()],
    }


def _state(values: Mapping[str, Any], number: int) -> str:
    at, status = int(values.get("step") or 0), values.get("status")
    if number < at or status in ("done", "partial"):
        return "done"
    if number > at:
        return "ahead"
    return {"running": "now", "failed": "failed", "cancelled": "failed"}.get(str(status), "ahead")


def _errors(pinned: Current, errors: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The sentences in the reader's language, and the records as far as the reader may open them."""
    titles = titles_by_entity(pinned, [(error["entity"] or "", error["record_id"]) for error in errors])
    return [_error(pinned, error, titles.get(error["entity"] or "", {})) for error in errors]


def _error(pinned: Current, error: Mapping[str, Any], titles: Mapping[int, str]) -> dict[str, Any]:
    entity, id = error["entity"], error["record_id"]
    label = say(pinned.catalog.entities[entity].label) if entity in pinned.catalog.entities else ""
    return {"said": error["sentence" if locale() == "zh" else "sentence_en"], "title": titles.get(id) or (f"#{id}" if id else ""),
            "href": record_url(entity, id) if id in titles else "", "entity": label, "step": error["step"] + 1}


def _held_panel(pinned: Current, row: Any) -> str:
    """Which record it is, as a link for whoever may open it, and why it waits."""
    values = row.values
    error = {"entity": values.get("entity"), "record_id": values.get("record_id"), "sentence": values.get("sentence"),
             "sentence_en": values.get("sentence_en"), "step": 0}
    return render_template("job/held.html", told=_errors(pinned, [error])[0], let_go=values.get("released_at") is not None)


def _held_title(pinned: Current, value: Any, row: Any) -> str:
    """The record by its own name where the reader may see it."""
    entity, known = row.values.get("entity") or "", g.get("held_titles")
    found = known if known is not None and entity in known else titles_by_entity(pinned, [(entity, value)])
    return found.get(entity, {}).get(int(value)) or f"#{value}"


def _gather_held(pinned: Current, rows: Sequence[Any]) -> None:
    """The names of all records of a page: a statement for each entity, not for each row."""
    g.held_titles = titles_by_entity(pinned, [(row.values.get("entity") or "", row.values.get("record_id")) for row in rows])


def titles_by_entity(pinned: Current, records: Iterable[tuple[str, Any]]) -> dict[str, dict[int, str]]:
    """The titles of records as far as the reader may see them, by entity and id."""
    wanted: dict[str, list[int]] = {}
    for entity, id in records:
        wanted.setdefault(entity, []).extend([int(id)] if id else [])
    return {entity: pinned.reader.titles(entity, ids) for entity, ids in wanted.items()}


def _held_goal(pinned: Current, value: Any, row: Any) -> str:
    entity = row.values.get("entity") or ""
    return record_url(entity, int(value)) if entity in pinned.catalog.entities and pinned.plan.may(entity, "read") else ""


def _held_reason(pinned: Current, value: Any, row: Any) -> str:
    return str(value if locale() == "zh" else row.values.get("sentence_en") or value)


def _held_entity(pinned: Current, value: Any, row: Any) -> str:
    return say(pinned.catalog.entities[value].label) if value in pinned.catalog.entities else str(value)


def _held_mass(pinned: Current, value: Any, row: Any) -> str:
    found = (site().registry or installed()).mass(value)
    return say(found[0].label) if found else str(value)


def _label(pinned: Current, value: str, row: Any) -> str:
    """A job's label is that of the metadata in the reader's language where the catalog still has it."""
    for job in pinned.catalog.jobs.values():
        if job.label.zh == value:
            return say(job.label)
    return value


register(JOB, Own(panel=_job_panel, verbs={verb.name: verb for verb in _JOB_VERBS}))
register(RUN, Own(panel=_run_panel, verbs={verb.name: verb for verb in _RUN_VERBS}))
register(HELD, Own(panel=_held_panel, verbs={verb.name: verb for verb in _HELD_VERBS}))


def _job_name(pinned: Current, label: str) -> str:
    """A job where only its kept label is known, which is the Chinese one."""
    return next((say(job.label) for job in pinned.catalog.jobs.values() if job.label.zh == label), label)


def _schedule_words(pinned: Current, schedule: str, row: Any) -> str:
    return _t("job.by_business_date") if schedule == "business_date" else schedule


def _days_words(pinned: Current, days: Mapping[str, str], row: Any) -> str:
    """The day by the company, as far as this person may see companies."""
    ids = {id: number for id in days if (number := whole(id)) is not None}
    called = pinned.reader.titles(COMPANY, list(ids.values()))
    return listed(f"{called.get(number, f'#{number}')} {days[id]}" for id, number in ids.items())


def _run_name(pinned: Current, key: str) -> str:
    """A run where only its key is known: the job's label and the day of the key."""
    address, _, rest = key.partition("|")
    job, day = pinned.catalog.jobs.get(address), DAY.search(rest.rpartition("|")[2])
    return " ".join(filter(None, (say(job.label), day[0] if day else ""))) if job is not None else key


def _run_words(pinned: Current, key: str, row: Any) -> str:
    """A run by its job and its day, as far as the row knows them; else by its key."""
    label = row.titles.get("job") or ""
    day = row.values.get("business_date") or (due.astimezone(pinned.zone).date() if (due := row.values.get("due_at")) is not None else "")
    job = next((one for one in pinned.catalog.jobs.values() if key.startswith(f"{one.address}|")), None)
    return " ".join(filter(None, (say(job.label) if job is not None else label, str(day)))) or key


WORDS[JOB, "label"] = _label
WORDS[RUN, "key"] = _run_words
NAMES[RUN] = _run_name
WORDS[JOB, "schedule"] = _schedule_words
WORDS[JOB, "marked_days"] = _days_words
NAMES[JOB] = _job_name
GATHER[HELD, "record_id"] = _gather_held
WORDS[HELD, "record_id"] = _held_title
WORDS[HELD, "entity"] = _held_entity
WORDS[HELD, "mass"] = _held_mass
WORDS[HELD, "sentence"] = _held_reason
GOALS[HELD, "record_id"] = _held_goal
