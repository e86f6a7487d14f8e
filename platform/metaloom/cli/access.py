"""``metaloom access``: why somebody may or may not do something."""

from __future__ import annotations

import json

import click

from metaloom.cli._acting import context_of, user_id_of
from metaloom.cli._house import house
from metaloom.command import explain_access
from metaloom.command.explain_access import AccessTold, GrantTold


@click.group("access")
def command() -> None:
    """Rights, as the published metadata give them."""


@command.command("explain")
@click.argument("tenant")
@click.argument("person")
@click.argument("entity")
@click.argument("asked", nargs=-1, metavar="[RECORD] [ACTION]")
@click.option("--language", type=click.Choice(["en", "zh"]), default="en", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON on stdout.")
def explain(tenant: str, person: str, entity: str, asked: tuple[str, ...], language: str, as_json: bool) -> None:
    """Why PERSON (a user name) may or may not do ACTION (read) with the RECORD of ENTITY, or, without a number, with any.

    Tells every grant that PERSON holds with the line it was written at, the roles that would give it, and the rights on each field.
    Exit code 1 when the answer is no.
    """
    number, words = (int(asked[0]), asked[1:]) if asked and asked[0].isdecimal() else (None, asked)
    if len(words) > 1:
        raise click.UsageError("at most one number and one action")
    with house() as tenancy:
        opened = tenancy.open(tenant, closed=True)
        told = explain_access(context_of(opened), user_id_of(opened, person), entity, words[0] if words else "read", number)
    if as_json:
        click.echo(json.dumps(_plain(told), ensure_ascii=False, indent=1))
    else:
        _say(told, language)
    if not told.allowed:
        raise SystemExit(1)


def _say(told: AccessTold, language: str) -> None:
    click.secho(told.summary.say(language), fg="green" if told.allowed else "red")
    for title, grants in (("held", told.held), ("not held, would give it", told.others)):
        for one in grants:
            via = f" via {one.via}" if one.via else ""
            limit = "".join(f", {word} {number}" for word, number in (("company", one.company), ("unit", one.org_unit)) if number is not None)
            click.echo(f"  {title}: {one.role_label.say(language)} ({one.role}/{one.grant}{via}{limit}) {one.scope.say(language)}: "
                       f"{one.verdict.say(language)}  {one.position}")
    by_level: dict[str, list[str]] = {}
    for name, level in told.fields.items():
        by_level.setdefault(level.name.lower(), []).append(name)
    for level_name in ("write", "read", "masked", "hidden"):
        if level_name in by_level:
            click.echo(f"  fields {level_name}: {', '.join(sorted(by_level[level_name]))}")


def _plain(told: AccessTold) -> dict[str, object]:
    def grants(found: tuple[GrantTold, ...]) -> list[dict[str, object]]:
        return [{"role": one.role, "grant": one.grant, "scope": one.scope.say("en"), "actions": list(one.actions), "gives": one.gives,
                 "verdict": one.verdict.say("en"), "at": str(one.position), "company": one.company, "org_unit": one.org_unit, "via": one.via}
                for one in found]

    return {"allowed": told.allowed, "summary": {"zh": told.summary.say("zh"), "en": told.summary.say("en")}, "entity": told.entity, "record": told.id,
            "action": told.action, "held": grants(told.held), "others": grants(told.others),
            "fields": {name: level.name.lower() for name, level in sorted(told.fields.items())}}
