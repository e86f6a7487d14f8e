"""``metaloom test``: run the tests that stand in metadata."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import click

from metaloom.base.diagnostic import MetadataRefused
from metaloom.cli._metadata import client_sources, metadata_root, pack_sources, packs_in, refuse, say_json
from metaloom.compile import Source


@click.command("test")
@click.argument("packs", nargs=-1)
@click.option("--tenant", help="Test this client: its packs under its overlays.")
@click.option("--name", default="", help="Only tests whose address holds this.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write the result as JUnit XML, too.")
@click.option("--json", "json_out", is_flag=True, help="Answer as JSON on stdout.")
def command(packs: tuple[str, ...], tenant: str | None, name: str, junit: Path | None, json_out: bool) -> None:
    """Run the tests of PACKS (all of them without a name), each in an empty tenant of its own.

    Prints what does not hold as file:line:column sentence. Leaves with 1 when a test fails or none was found.
    """
    from metaloom.app.trials import Outcome, stage
    from metaloom.plugin.registry import installed

    outcomes: list[Outcome] = []
    try:
        with stage(_sources(packs, tenant), installed()) as made:
            for trial in made.trials(packs, name):
                outcomes.append(made.run(trial))
                if not json_out:
                    _print(outcomes[-1])
    except MetadataRefused as refused:
        refuse(refused)
    if junit is not None:
        junit.write_bytes(_junit(outcomes))
    failed = sum(not outcome.good for outcome in outcomes)
    if json_out:
        say_json({"ok": bool(outcomes) and not failed, "tests": [_plain(outcome) for outcome in outcomes]})
    else:
        seconds = sum(outcome.seconds for outcome in outcomes)
        click.secho(f"{len(outcomes)} tests, {failed} failed, {seconds:.1f} s", fg="red" if failed or not outcomes else "green")
    if failed or not outcomes:
        raise SystemExit(1)


def refuse_red(sources: Sequence[Source]) -> None:
    """Runs every test of ``sources``; a ClickException names those that fail."""
    from metaloom.app.trials import stage
    from metaloom.plugin.registry import installed

    with stage(sources, installed()) as made:
        red = [outcome for trial in made.trials() if not (outcome := made.run(trial)).good]
    for outcome in red:
        _print(outcome)
    if red:
        raise click.ClickException(f"{len(red)} tests fail; nothing was published")


def _sources(packs: tuple[str, ...], tenant: str | None) -> tuple[Source, ...]:
    """The client's layers, or every pack that lies here: a pack may depend on its neighbours."""
    if tenant:
        return client_sources(tenant)
    root = metadata_root()
    known = packs_in(root)
    for pack in packs:
        if pack not in known:
            raise click.ClickException(f"there is no pack {pack}; there are: {', '.join(known)}")
    return pack_sources(root, known)


def _print(outcome) -> None:  # type: ignore[no-untyped-def]
    mark = click.style("ok  ", fg="green") if outcome.good else click.style("FAIL", fg="red", bold=True)
    click.echo(f"{mark} {outcome.trial.address}  {outcome.trial.label.zh}  ({outcome.seconds:.2f} s)")
    for failure in _failures(outcome):
        click.echo(f"     {failure.position} {failure.said.say('zh')}\n     {' ' * len(str(failure.position))} {failure.said.say('en')}", err=True)


def _failures(outcome):  # type: ignore[no-untyped-def]
    return (*outcome.failures, *filter(None, (outcome.error,)))


def _plain(outcome) -> dict[str, object]:  # type: ignore[no-untyped-def]
    return {"address": outcome.trial.address, "ok": outcome.good, "seconds": round(outcome.seconds, 3), "error": outcome.error is not None,
            "failures": [{"file": f.position.file, "line": f.position.line, "column": f.position.column, "zh": f.said.say("zh"), "en": f.said.say("en")}
                         for f in _failures(outcome)]}


def _junit(outcomes) -> bytes:  # type: ignore[no-untyped-def]
    """The result in the form that build servers read."""
    failed = sum(bool(o.failures) for o in outcomes)
    errors = sum(o.error is not None for o in outcomes)
    suite = ElementTree.Element("testsuite", name="metaloom test", tests=str(len(outcomes)), failures=str(failed), errors=str(errors))
    for outcome in outcomes:
        pack, _, test = outcome.trial.address.partition(".")
        case = ElementTree.SubElement(suite, "testcase", classname=pack, name=test, time=f"{outcome.seconds:.3f}")
        for failure in outcome.failures:
            ElementTree.SubElement(case, "failure", message=failure.said.say("en")).text = str(failure.position)
        if outcome.error is not None:
            ElementTree.SubElement(case, "error", message=outcome.error.said.say("en")).text = str(outcome.error.position)
    found: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return found
