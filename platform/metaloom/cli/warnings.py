"""``metaloom warnings``: hold the rules against the records, and say why a record does or does not raise one."""

from __future__ import annotations

import click

from metaloom.base.clock import SystemClock
from metaloom.cli._house import house
from metaloom.command import Context, evaluate_warnings, explain_warning, system_context
from metaloom.command.explain_warning import Explained
from metaloom.plugin.registry import installed
from metaloom.storage import Tenant

_SIGNS = {True: "yes", False: "no", None: "unknown"}


@click.group("warnings")
def command() -> None:
    """Warning rules of a tenant."""


@command.command("run")
@click.argument("tenant")
@click.argument("rules", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Count what would happen, keep nothing.")
def run(tenant: str, rules: tuple[str, ...], dry_run: bool) -> None:
    """Evaluate RULES (such as <pack>.<entity>/<rule>; default: all that run by job) over all records."""
    with house() as tenancy:
        summary = evaluate_warnings(_context(tenancy.open(tenant)), list(rules) or None, dry_run=dry_run)
        for rule, tally in summary.rules.items():
            click.echo(f"{rule:<48} " + "  ".join(f"{name} {count}" for name, count in tally.counts().items() if count or name == "raised"))
        if summary.orphans:
            click.echo(f"{summary.orphans} alerts closed, their rules are gone")
        click.echo("dry run: nothing was kept" if dry_run else f"{summary.told} messages; run {summary.run}")


@command.command("explain")
@click.argument("tenant")
@click.argument("rule")
@click.argument("record", type=int)
def explain(tenant: str, rule: str, record: int) -> None:
    """Say, clause by clause, why RECORD does or does not raise RULE, and what the next run would do."""
    with house() as tenancy:
        found = explain_warning(_context(tenancy.open(tenant)), rule, record)
        for line in told(found):
            click.echo(line)


def told(found: Explained) -> list[str]:
    """The explanation as lines."""
    verdict = found.verdict
    lines = [f"{found.rule.address} on record {found.record_id}, business date {found.business_date}, {found.rule.position}"]
    for clause in found.clauses:
        values = ", ".join(f"{path} = {value}" for path, value in clause.values.items())
        lines.append(f"  {_SIGNS[clause.verdict]:<8}{clause.what}: {clause.text}" + (f"   [{values}]" if values else ""))
    if not found.rule.enabled:
        lines.append("  the rule is switched off")
    level = f", level {found.level}" + (f", due {verdict.due}" if verdict.due else "") + (f", cause {verdict.cause}" if verdict.cause else "")
    lines.append(f"it {'holds' + level if verdict.holds else 'does not hold'}")
    if found.alert is not None:
        lines.append(f"alert {found.alert['alert_no']}: {found.alert['status']}, raised {found.alert['first_raised_on']}")
    lines.append(f"the next run would: {found.next.kind.replace('_', ' ')}")
    return lines


def _context(tenant: Tenant) -> Context:
    return system_context(tenant, plugins=installed(), clock=SystemClock(), run_as="cli")
