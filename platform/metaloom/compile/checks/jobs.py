"""Jobs: schedules that come, records that belong to somebody, actions that exist and that the role may do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from metaloom.base.position import Position
from metaloom.compile.checks.look import check_path, say, spot
from metaloom.compile.checks.screens import action_names
from metaloom.compile.checks.telling import slot_names
from metaloom.compile.context import Context
from metaloom.compile.schema import _did_you_mean
from metaloom.compile.scope import company_path
from metaloom.model import Catalog, Job, JobStep, MessageTemplate
from metaloom.model.message import BUILT_IN_CHANNELS

JOBS_MAX = 100


def schedules_come(catalog: Catalog, context: Context) -> None:
    """A cron line has five parts and comes at least once; a job has one schedule at most; a tenant has at most so many jobs."""
    for number, job in enumerate(catalog.jobs.values(), start=1):
        if number == JOBS_MAX + 1:
            say(context, "ML-QUOTA-003", job.position, job.address, found=len(catalog.jobs), limit=JOBS_MAX, what="jobs")
        wrong = _wrong(job.cron) if job.cron else ""
        if wrong:
            say(context, "ML-JOB-001", _spot(context, job, "schedule", "cron"), job.address, cron=job.cron, detail=wrong)
        if job.cron and job.business_date:
            say(context, "ML-JOB-002", _spot(context, job, "schedule"), job.address)
        if job.business_date and job.per != "company":
            say(context, "ML-JOB-003", _spot(context, job, "per"), job.address)
        for place, step in enumerate(job.steps):
            if step.verb == "move_business_date" and job.per != "company":
                say(context, "ML-JOB-003", _spot(context, job, "steps", str(place)), job.address)
            elif step.verb == "move_business_date" and job.business_date:
                say(context, "ML-JOB-012", _spot(context, job, "steps", str(place)), job.address)


def _wrong(cron: str) -> str:
    """What is wrong with a cron line; empty for a good one."""
    if len(cron.split()) != 5:
        return "it has five parts: minute, hour, day, month, weekday"
    try:
        next(CronSim(cron, datetime(2024, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        return str(error) or "it never comes"
    return ""


def actions_exist(catalog: Catalog, context: Context) -> None:
    """The action of a step exists, works on a record, and the role of the job may do it."""
    for job in catalog.jobs.values():
        for number, step in enumerate(job.steps):
            where = _spot(context, job, "steps", str(number), "action")
            if step.verb == "action" and step.entity in catalog.entities:
                _check_action(catalog, context, job, step, where)
            elif step.verb == "evaluate_warnings":
                _check_rules(catalog, context, job, step, _spot(context, job, "steps", str(number), "evaluate_warnings"))
            elif step.verb == "mass":
                _check_mass(catalog, context, job, step, _spot(context, job, "steps", str(number), "mass"))
            elif step.verb == "run":
                _check_command(context, job, step, _spot(context, job, "steps", str(number), "run"))
            elif step.verb == "hold":
                _check_held(context, job, step, _spot(context, job, "steps", str(number), "hold"))
            elif step.verb == "notify":
                _check_telling(catalog, context, job, step, _spot(context, job, "steps", str(number), "notify"))


def _check_action(catalog: Catalog, context: Context, job: Job, step: JobStep, where: Position) -> None:
    action = catalog.actions.get(f"{step.entity}/{step.name}")
    commands = {name.rpartition(".")[2]: c for name, c in context.plugins.commands.items() if c.on == step.entity}
    if action is None and step.name not in commands:
        if context.plugins.complete:
            known = sorted(action_names(catalog, context, step.entity))
            say(context, "ML-REF-001", where, job.address, what="action", name=f"{step.entity}/{step.name}", hint=_did_you_mean(step.name, known))
        return
    if action is not None and action.on == "list":
        say(context, "ML-JOB-004", where, job.address, name=step.name)
    if job.per == "company" and company_path(catalog, step.entity) is None:
        say(context, "ML-JOB-007", where, job.address, entity=step.entity)
    right = (action.permission or action.name) if action is not None else (commands[step.name].permission.rpartition(".")[2] or step.name)
    if job.run_as and not any(g.role == job.run_as and right in g.actions for g in catalog.grants.get(step.entity, ())):
        say(context, "ML-JOB-008", where, job.address, role=job.run_as, name=right, entity=step.entity)


def _check_mass(catalog: Catalog, context: Context, job: Job, step: JobStep, where: Position) -> None:
    """A mass function that a plugin has, over an entity that there is, for the company where the job runs per company."""
    if step.name not in context.plugins.mass:
        if context.plugins.complete:
            hint = _did_you_mean(step.name, context.plugins.mass)
            say(context, "ML-REF-001", where, job.address, what="mass function of a plugin", name=step.name, hint=hint)
    elif step.entity not in catalog.entities:
        say(context, "ML-REF-001", where, job.address, what="entity", name=step.entity, hint="")
    elif job.per == "company" and company_path(catalog, step.entity) is None:
        say(context, "ML-JOB-007", where, job.address, entity=step.entity)
    if job.run_as:
        say(context, "ML-JOB-010", where, job.address, name=step.name)


def _check_held(context: Context, job: Job, step: JobStep, where: Position) -> None:
    """What is held is the trial balance, or an invariant that a plugin has."""
    known = ("trial_balance", *sorted(context.plugins.invariants))
    for name in step.names:
        if name not in known and context.plugins.complete:
            say(context, "ML-REF-001", where, job.address, what="invariant of a plugin", name=name, hint=_did_you_mean(name, known))
    if job.run_as:
        say(context, "ML-JOB-010", where, job.address, name="hold")


def _check_rules(catalog: Catalog, context: Context, job: Job, step: JobStep, where: Position) -> None:
    for name in step.names:
        if name not in catalog.warning_rules:
            say(context, "ML-REF-001", where, job.address, what="warning rule", name=name, hint=_did_you_mean(name, catalog.warning_rules))
    if job.run_as:
        say(context, "ML-JOB-010", where, job.address, name="evaluate_warnings")


def _check_telling(catalog: Catalog, context: Context, job: Job, step: JobStep, where: Position) -> None:
    """Somebody is told something, of a record or of the run."""
    template = catalog.messages.get(step.name)
    for why in _why_nobody(step, template):
        say(context, "ML-JOB-011", where, job.address, why=why)
    if template is not None and template.entity not in ("", step.entity):
        say(context, "ML-MSG-005", where, job.address, template=template.address, entity=template.entity)
    for channel in step.channels:
        if template is not None and channel not in template.channels:
            say(context, "ML-MSG-006", where, job.address, template=template.address, channel=channel, hint=_did_you_mean(channel, template.channels))
    if step.entity in catalog.entities:
        if job.per == "company" and company_path(catalog, step.entity) is None:
            say(context, "ML-JOB-007", where, job.address, entity=step.entity)
        for text in filter(None, (step.subject, step.body)):
            for slot in slot_names(text, context, where, job.address):
                check_path(context, catalog, catalog.entities[step.entity], slot, where, job.address)


def _why_nobody(step: JobStep, template: MessageTemplate | None) -> Iterator[str]:
    if not step.to:
        yield "write roles: or to:"
    if template is None and step.subject is None:
        yield "write template: or subject:"
    if template is None and {*step.channels} - {*BUILT_IN_CHANNELS}:
        yield "a channel outside needs a template"
    if step.entity and not step.where:
        yield "of: needs where:"
    if step.entity and step.when != "always":
        yield "when: is for steps without of:"
    for who in step.to:
        if who.kind in ("initiator", "chosen", "heads") or who.value == "initiator_unit":
            yield f"{who.kind} is known to approvals alone"
        elif who.kind in ("field", "head_of", "expression") and not step.entity:
            yield f"{who.kind}: needs of: and where:"


def _check_command(context: Context, job: Job, step: JobStep, where: Position) -> None:
    command = context.plugins.commands.get(step.name)
    if command is None:
        if context.plugins.complete:
            hint = _did_you_mean(step.name, context.plugins.commands)
            say(context, "ML-REF-001", where, job.address, what="plugin command", name=step.name, hint=hint)
    elif command.on:
        say(context, "ML-JOB-009", where, job.address, name=step.name, entity=command.on)
    elif job.run_as:
        say(context, "ML-JOB-010", where, job.address, name=step.name)


def _spot(context: Context, job: Job, *path: str) -> Position:
    pack, _, name = job.address.partition(".")
    return spot(context, pack, "jobs", name, *path)
