"""Tests in metadata: what they say holds, and everything they say can be found false."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from metaloom.app.trials import Outcome, Stage, stage
from metaloom.cli import main
from metaloom.compile import Source, read_sources
from metaloom.plugin.registry import installed

METADATA = Path(__file__).parents[2] / "metadata"
GIVEN = """
    people:
      anna: {roles: [reception]}
      tom: {roles: [technician]}
      sam: {roles: [storekeeper]}
      boss: {roles: [manager]}
      far: {roles: [manager], company: south}
    given:
      - {create: client, as: client, by: anna, values: {name: Wang, phone: "13812345678"}}
      - {create: device, as: laptop, by: anna, values: {client: $client, name: Laptop, kind: laptop, serial_no: SN-1}}
      - {create: spare_part, as: screen, by: boss, values: {part_code: P1, name: Screen, price: "30.00"}}
      - {do: count, on: screen, by: sam, reason: opening, input: {counted: 5}}
      - {create: repair_order, as: job, by: anna, values: {device: $laptop, fault: dead, technician: $tom, lines: [{work: look, hours: "0.50"}]}}
      - {do: begin, on: job, by: tom}"""
USE = "{do: use_part, on: job, by: tom, input: {part: $screen, quantity: 2}}"
TOO_MANY = "{do: use_part, on: job, by: tom, input: {part: $screen, quantity: 9}}"
ORDERED = """{create: purchase, as: order, by: sam, values: {supplier: 华强电子, lines: [{part: $screen, quantity: 2, unit_cost: "20.00"}]}}
      - {answers: [{}, {}, {}]}
      - {do: approve, on: order, by: boss}
      - {hours: 1}
      - {hours: 1}
      - {hours: 1}
      - {process: submit, on: order, by: sam, values: {day: "2026-03-12", person: Lao}}"""
# what is tried, what is expected, whether it holds, words of the finding
CASES: dict[str, tuple[str, str, bool, str]] = {
    "a value": (USE, "{record: screen, values: {stock: 3}}", True, ""),
    "another value": (USE, "{record: screen, values: {stock: 5}}", False, "stock should be 5, is 3"),
    "an amount is its value": (USE, '{record: job, values: {parts_cost: "60"}}', True, ""),
    "a value along a link": (USE, "{record: job, values: {device.client.name: Wang, client: $client}}", True, ""),
    "another record": (USE, "{record: job, values: {technician: $sam}}", False, "technician should be"),
    "a date": (USE, "{record: job, values: {received_on: 2026-03-02}}", True, ""),
    "nothing": (USE, "{record: job, empty: [finished_on]}", True, ""),
    "not nothing": (USE, "{record: job, empty: [technician]}", False, "technician should be -"),
    "a run": (ORDERED, "{runs: order, process: ordering, status: waiting, step: arrival}", True, ""),
    "another run": (ORDERED, "{runs: order, status: done}", False, "status should be done, is waiting"),
    "archived": ("{archive: client, by: anna}", "{record: client, archived: true}", True, ""),
    "not archived": (USE, "{record: client, archived: true}", False, "archived should be true"),
    "restored": ("{restore: client, by: anna}", "{record: client, archived: true}", False, "grants “restore” on “Client”"),
    "a refusal": (TOO_MANY, "{refused: not_possible, says: 现有 5 件}", True, ""),
    "a refusal in English": (TOO_MANY, "{refused: not_possible, says: 5 left}", True, ""),
    "no refusal": (USE, "{refused: not_possible}", False, "should have been refused"),
    "a refusal of another kind": (TOO_MANY, "{refused: not_allowed}", False, "refused as not_allowed, was NotPossible"),
    "a refusal in other words": (TOO_MANY, "{refused: not_possible, says: 太多}", False, "does not hold “太多”"),
    "a refused person": ("{do: use_part, on: job, by: sam, input: {part: $screen, quantity: 1}}", "{refused: not_allowed}", True, ""),
    "a stranger": ("{do: use_part, on: job, by: far, input: {part: $screen, quantity: 1}}", "{refused: not_found}", True, ""),
    "a bad field": ("{change: laptop, by: anna, values: {kind: airplane}}", "{refused: invalid, field: kind}", True, ""),
    "another bad field": ("{change: laptop, by: anna, values: {kind: airplane}}", "{refused: invalid, field: name}", False, "not about the field name: kind"),
    "a sentence": (USE, "{said: the stock is reduced}", True, ""),
    "another sentence": (USE, "{said: 库存已增加}", False, "does not hold “库存已增加”"),
    "a count": (USE, "{rows: stock_move, where: {part: $screen, kind: issue, quantity: -2}, count: 1}", True, ""),
    "another count": (USE, "{rows: stock_move, where: {part: $screen}, count: 1}", False, "should be 1 records, there are 2"),
    "at least one": (USE, "{rows: stock_move, where: {kind: receipt}}", False, "there are 0"),
    "seen": (USE, "{record: job, seen_by: [anna, tom, boss]}", True, ""),
    "not seen": (USE, "{record: job, seen_by: [far]}", False, "far should see job"),
    "unseen": (USE, "{record: job, unseen_by: [far]}", True, ""),
    "not unseen": (USE, "{record: job, unseen_by: [boss]}", False, "boss should not see job"),
    "offered": (USE, "{record: job, offers: {tom: [use_part, finish, edit]}}", True, ""),
    "not offered": (USE, "{record: job, offers: {sam: [finish]}}", False, "sam should be offered “finish”"),
    "kept back": (USE, "{record: job, keeps_back: {tom: [begin], sam: [edit]}}", True, ""),
    "not kept back": (USE, "{record: job, keeps_back: {tom: [finish]}}", False, "tom should not be offered “finish”"),
    "levels": (USE, "{record: job, clear: {tom: [total]}, hidden: {sam: [total]}, writes: {anna: [fault]}}", True, ""),
    "not hidden": (USE, "{record: job, hidden: {anna: [total]}}", False, "anna should have hidden on total, has write"),
    "not masked": (USE, "{record: client, masked: {anna: [phone]}}", False, "anna should have masked on phone"),
    "not writable": (USE, "{record: job, writes: {sam: [fault]}}", False, "sam should have writes on fault"),
    "days go by": ("{days: 31}", "{record: job, values: {received_on: 2026-03-02}}", True, ""),
    "found": ("{find: stock_move, where: {kind: count}, as: move}", "{record: move, values: {quantity: 5}}", True, ""),
    "found too many": ("{find: spare_part, where: {part_code: P2}, as: part}", "{record: part, values: {stock: 0}}", False, "one record should fit, 0 do"),
}  # fmt: skip


HALL = """
    people:
      ann: {roles: [clerk]}
      bob: {roles: [checker]}
      eve: {roles: [checker]}
      max: {roles: [master]}
      pay: {roles: [payer]}
    given:
      - {create: request, as: roof, by: ann, values: {name: Roof, amount: "5000.00", purpose: repair}}
      - {start: main, on: roof, by: ann}"""
PASSED = "{decide: pass, on: roof, by: bob, values: {advice: soon}}"
APPROVALS: dict[str, tuple[str, str, bool, str]] = {
    "waits for the next": (PASSED, "{waits: roof, of: [max], step: decide, status: running}", True, ""),
    "waits for somebody else": (PASSED, "{waits: roof, of: [bob]}", False, "should wait for bob, waits for max"),
    "at another step": (PASSED, "{waits: roof, of: [max], step: pay}", False, "waits for -"),
    "another status": (PASSED, "{waits: roof, status: approved}", False, "status should be approved, is running"),
    "what a step enters": (PASSED, "{record: roof, values: {advice: soon}}", True, ""),
    "not one's task": ("{decide: pass, on: roof, by: max}", "{refused: not_allowed, says: max}", True, ""),
    "a return": ("{decide: return, on: roof, by: eve, opinion: why so dear, to: initiator}", "{waits: roof, of: [ann], status: returned}", True, ""),
    "without a word": ("{decide: reject, on: roof, by: eve}", "{refused: not_possible}", True, ""),
    "withdrawn": ("{approval: withdraw, on: roof, by: ann}", "{waits: roof, of: [], status: withdrawn}", True, ""),
    "handed on": ("{approval: transfer, on: roof, by: bob, to: [max], words: for you}", "{waits: roof, of: [eve, max]}", True, ""),
    "a sum that may not be": ('{decide: pass, on: roof, by: bob, outputs: {granted: "1.00"}}', "{refused: invalid, field: outputs.granted}", True, ""),
}  # fmt: skip


def document(when: str, then: str) -> str:
    return f"tests:\n  tried:\n    label: {{zh: 试, en: Tried}}{GIVEN}\n    when:\n      - {when}\n    then:\n      - {then}\n"


def sources(text: str = "") -> tuple[Source, ...]:
    found = read_sources({"engine": METADATA, "pack": METADATA}, ("workshop",))
    return (*found, Source("pack", "workshop/tried.yaml", text)) if text else found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """All cases as tests of one catalog."""
    body = "".join(document(when, then).removeprefix("tests:\n").replace("  tried:", f"  case_{i}:", 1) for i, (when, then, _, _) in enumerate(CASES.values()))
    with stage(sources("tests:\n" + body), installed()) as ready:
        yield ready


@pytest.mark.parametrize("name", CASES)
def test_what_a_test_says_holds_or_is_found_false(made: Stage, name: str) -> None:
    _, _, good, words = CASES[name]
    outcome = made.run(made.catalog.trials[f"workshop.case_{list(CASES).index(name)}"])
    assert outcome.good is good, said(outcome)
    assert words in said(outcome)


@pytest.fixture(scope="module")
def hall() -> Iterator[Stage]:
    body = "".join(document(when, then).replace(GIVEN, HALL).removeprefix("tests:\n").replace("  tried:", f"  case_{i}:", 1)
                   for i, (when, then, _, _) in enumerate(APPROVALS.values()))
    packs = Path(__file__).parents[1] / "packs"
    read = read_sources({"engine": METADATA}, ("platform",)) + read_sources({"pack": packs}, ("guild",))
    with stage((*read, Source("pack", "guild/tried.yaml", "tests:\n" + body)), installed()) as ready:
        yield ready


@pytest.mark.parametrize("name", APPROVALS)
def test_what_a_test_says_of_an_approval_holds_or_is_found_false(hall: Stage, name: str) -> None:
    _, _, good, words = APPROVALS[name]
    outcome = hall.run(hall.catalog.trials[f"guild.case_{list(APPROVALS).index(name)}"])
    assert outcome.good is good, said(outcome)
    assert words in said(outcome)


def said(outcome: Outcome) -> str:
    return "; ".join(f"{f.position.line} {f.said.say('en')}" for f in (*outcome.failures, *filter(None, (outcome.error,))))


def test_every_expectation_has_a_case_on_either_side() -> None:
    from metaloom.app.trials import _EXPECT, _MOVES

    every = [*CASES.values(), *APPROVALS.values()]
    for verb in set(_EXPECT) - {"alert"}:                          # the lending pack's own tests speak of alerts
        assert {good for _, then, good, _ in every if then.startswith(f"{{{verb}:")} == {True, False}, verb
    tried = " ".join(when for when, _, _, _ in every) + GIVEN + HALL
    assert [verb for verb in _MOVES if f"{{{verb}:" not in tried] == ["delete", "evaluate"]


def test_a_refusal_in_given_is_an_error_of_the_test_and_no_failure() -> None:
    text = document(USE, "{refused: not_possible}").replace("{do: begin, on: job, by: tom}", "{do: begin, on: job, by: sam}")
    with stage(sources(text), installed()) as ready:
        outcome = ready.run(ready.catalog.trials["workshop.tried"])
    assert outcome.error is not None and not outcome.failures and outcome.error.position.line == 16


def test_no_test_sees_what_another_one_did(made: Stage) -> None:
    index = list(CASES).index("a value")
    assert all(made.run(made.catalog.trials[f"workshop.case_{index}"]).good for _ in range(2))


def test_the_command_runs_a_pack_and_says_where_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    folder = tmp_path / "metadata"
    shutil.copytree(METADATA, folder, ignore=shutil.ignore_patterns("__pycache__", "lending"))
    monkeypatch.setenv("METALOOM_METADATA", str(folder))
    run = CliRunner().invoke(main, ["test", "workshop", "--name", "stock_never", "--junit", str(tmp_path / "junit.xml")])
    assert run.exit_code == 0 and "1 tests, 0 failed" in run.output, run.output
    assert 'failures="0"' in (tmp_path / "junit.xml").read_text("utf-8")
    file = folder / "workshop/service/repair_order/tests.yaml"
    file.write_text(file.read_text("utf-8").replace("{record: screen, values: {stock: 1}}", "{record: screen, values: {stock: 2}}"), "utf-8")
    run = CliRunner().invoke(main, ["test", "workshop", "--name", "stock_never", "--json"])
    assert run.exit_code == 1 and '"en": "stock should be 2, is 1"' in run.output and "tests.yaml" in run.output


def test_a_run_that_finds_no_test_is_no_success() -> None:
    run = CliRunner().invoke(main, ["test", "workshop", "--name", "no_such_test"])
    assert run.exit_code == 1 and "0 tests" in run.output
