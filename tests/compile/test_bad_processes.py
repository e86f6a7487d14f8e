# ruff: noqa: E501, UP031 — a case of the table stands on one line
"""Processes: the good one compiles, every bad one is refused at its line (a comment ``# ← CODE`` marks it)."""

import pytest

from metaloom.base.text import Text
from metaloom.compile import EMPTY, PluginManifest, explain
from metaloom.compile.codes import CODES
from metaloom.compile.manifest import DoorShape
from metaloom.model import Field, FieldType, Retry
from tests.compile.shop import SHOP, catalog, findings, marked, places, shop

PROCESSES = "shop/sales/order_form/processes.yaml"
WORDS = "label: {zh: 甲, en: A}"
DOORS = PluginManifest(doors={"data_provider": DoorShape(
    frozenset({"bureau"}), {"fetch": (frozenset({"method"}), frozenset({"method", "subject"}))},
    {"outcome": Field("outcome", FieldType.TEXT, Text("结果", "Outcome"))}, frozenset({"found"}))})
GOOD = """processes:
  credit:
    label: {zh: 征信, en: Credit check}
    start: {on: [sell], roles: [clerk], when: "total > 0", message: {zh: 没有金额, en: No amount}}
    manual: {roles: [boss]}
    cancel: "status == 'void'"
    steps:
      ask:
        type: call
        label: {zh: 查询, en: Ask}
        call: {door: data_provider, provider: bureau, method: fetch, request: {method: "'credit'", subject: {name: customer.name}}, retry: {times: 3, after: 5 minutes}}
        timeout: 2 hours
        on_timeout: call_them
        let: reply
        result: {score: {type: integer, label: {zh: 评分, en: Score}}}
      judge:
        type: branch
        label: {zh: 判断, en: Judge}
        ways:
          - {when: "reply.outcome == 'found' and reply.score > 50", next: rest}
        next: call_them
      call_them:
        type: task
        label: {zh: 致电, en: Call them}
        roles: [boss]
        let: said
        result: {words: {type: text, label: {zh: 回复, en: Words}}}
      note:
        type: action
        label: {zh: 记录, en: Note}
        steps:
          - {get: product, where: "name == record.note", let: item}
          - {set: {note: said.words}}
        keep: [item]
        undo: [{set: {note: "''"}}]
        next: rest
      rest:
        type: wait
        label: {zh: 等待, en: Wait}
        for: {when: "note is not null", lasts: 2 working_days}
    results:
      failed: [{set: {note: "'failed'"}}]
"""


def more(text: str) -> dict[str, str]:
    """One more step, between the last two."""
    return {PROCESSES: GOOD.replace("      rest:\n", f"      more: {text}\n      rest:\n", 1)}


ACTIONS = "shop/sales/order_form/actions.yaml"
CASES = {
    "key of another type": {PROCESSES: GOOD.replace("        label: {zh: 判断, en: Judge}\n", "        label: {zh: 判断, en: Judge}\n        timeout: 1 days  # ← ML-PROC-001\n")},
    "call of nothing": {PROCESSES: GOOD.replace("      rest:\n", "      more: {type: call, %s}  # ← ML-PROC-002\n      rest:\n" % WORDS, 1).replace("        next: rest\n", "")},
    "action of its own and another": {PROCESSES: GOOD.replace("      note:\n", "      note:  # ← ML-PROC-002\n").replace("        keep: [item]\n", "        keep: [item]\n        do: cancel  # ← ML-PROC-007\n")},
    "task without people": {PROCESSES: GOOD.replace("      call_them:\n", "      call_them:  # ← ML-PROC-002\n").replace("        roles: [boss]\n        let: said\n", "        let: said\n")},
    "way to nowhere": {PROCESSES: GOOD.replace("      judge:\n", "      judge:  # ← ML-PROC-003\n").replace("next: rest}", "next: rset}")},
    "step that nothing leads to": more("{type: task, roles: [boss], %s}  # ← ML-PROC-004" % WORDS),
    "no way to an end": {PROCESSES: GOOD.replace("      rest:\n", "      rest:  # ← ML-PROC-005\n") .replace("lasts: 2 working_days}\n", "lasts: 2 working_days}\n        next: rest\n").replace("      ask:\n", "      ask:  # ← ML-PROC-005\n").replace("      judge:\n", "      judge:  # ← ML-PROC-005\n").replace("      call_them:\n", "      call_them:  # ← ML-PROC-005\n").replace("      note:\n", "      note:  # ← ML-PROC-005\n")},
    "wait for ever": {PROCESSES: GOOD.replace("      rest:\n", "      rest:  # ← ML-PROC-006\n").replace(", lasts: 2 working_days}", "}")},
    "action with four eyes": {PROCESSES: GOOD.replace("      rest:\n", "      more:\n        type: action\n        label: {zh: 甲, en: A}\n        do: sell  # ← ML-PROC-007\n        values: {paid: total}\n      rest:\n", 1).replace("        next: rest\n", "")},
    "circle without waiting": {PROCESSES: GOOD.replace("      ask:\n", "      ask:  # ← ML-PROC-008\n").replace("      judge:\n", "      judge:  # ← ML-PROC-008\n").replace("        next: call_them\n", "        next: ask\n").replace("next: rest}\n        next: ask", "next: rest}\n        next: ask")},
    "answer that not every way has": {PROCESSES: GOOD.replace("        for: {when: \"note is not null\", lasts: 2 working_days}", "        for: {when: \"said.words is not null\", lasts: 2 working_days}  # ← ML-PROC-009")},
    "kept row that not every way has": {PROCESSES: GOOD.replace("        for: {when: \"note is not null\", lasts: 2 working_days}", "        for: {when: \"item.stock > 1\", lasts: 2 working_days}  # ← ML-PROC-009")},
    "answer of its own": {PROCESSES: GOOD.replace("subject: {name: customer.name}", "subject: {name: reply.text}").replace("        call: {", "        call: {").replace("retry: {times: 3, after: 5 minutes}}", "retry: {times: 3, after: 5 minutes}}  # ← ML-PROC-009 ML-EXPR-002")},
    "row that nobody makes": {PROCESSES: GOOD.replace("keep: [item]", "keep: [itm]  # ← ML-PROC-010")},
    "moment that is none": {PROCESSES: GOOD.replace("lasts: 2 working_days}", "at: total}  # ← ML-PROC-011")},
    "input that is not asked for": {PROCESSES: GOOD.replace("{method: \"'credit'\", subject", "{methd: \"'credit'\", subject").replace("after: 5 minutes}}", "after: 5 minutes}}  # ← ML-PROC-012 ML-PROC-013")},
    "input that is missing": {PROCESSES: GOOD.replace("method: \"'credit'\", subject", "subject").replace("after: 5 minutes}}", "after: 5 minutes}}  # ← ML-PROC-013")},
    "result that is there already": {PROCESSES: GOOD.replace("result: {score: {type: integer", "result: {outcome: {type: text, label: {zh: 甲, en: A}}, score: {type: integer").replace("en: Score}}}", "en: Score}}}  # ← ML-PROC-014")},
    "nothing starts it": {PROCESSES: GOOD.replace("  credit:\n", "  credit:  # ← ML-PROC-015\n").replace("    start: {on: [sell], roles: [clerk], when: \"total > 0\", message: {zh: 没有金额, en: No amount}}\n", "")},
    "people who cannot read": {"shop/basics.yaml": SHOP["shop/basics.yaml"].replace("choices:\n", "  guest: {label: {zh: 客人, en: Guest}}\nchoices:\n", 1), PROCESSES: GOOD.replace("  credit:\n", "  credit:  # ← ML-PROC-016\n").replace("manual: {roles: [boss]}", "manual: {roles: [guest]}")},
    "unknown process": {PROCESSES: GOOD, ACTIONS: SHOP[ACTIONS].replace("      - transition: sell\n", "      - start_process: credt  # ← ML-PROC-017\n      - transition: sell\n")},
    "unknown provider": {PROCESSES: GOOD.replace("provider: bureau", "provider: burau").replace("after: 5 minutes}}", "after: 5 minutes}}  # ← ML-REF-001")},
    "unknown door": {PROCESSES: GOOD.replace("door: data_provider", "door: data_provder").replace("after: 5 minutes}}", "after: 5 minutes}}  # ← ML-REF-001").replace("reply.outcome == 'found' and ", "")},
    "unknown method": {PROCESSES: GOOD.replace("method: fetch", "method: fech").replace("after: 5 minutes}}", "after: 5 minutes}}  # ← ML-REF-001")},
    "unknown transition": {PROCESSES: GOOD.replace("  credit:\n", "  credit:  # ← ML-ACTION-001\n").replace("on: [sell]", "on: [sel]")},
    "unknown role": {PROCESSES: GOOD.replace("manual: {roles: [boss]}", "manual: {roles: [bos]}  # ← ML-REF-001")},
    "name of a place": {PROCESSES: GOOD.replace("      note:\n", "      cancelled:  # ← ML-NAME-002\n")},
    "let that means something else": {PROCESSES: GOOD.replace("        let: said\n", "        let: run  # ← ML-NAME-002\n").replace("said.words", "\"'x'\"")},
    "steps that set the unknown": {PROCESSES: GOOD.replace("{set: {note: said.words}}", "{set: {nte: said.words}}  # ← ML-REF-002")},
    "undo that sets the unknown": {PROCESSES: GOOD.replace("undo: [{set: {note: \"''\"}}]", "undo: [{set: {nte: \"''\"}}]  # ← ML-REF-002")},
    "result with an unknown field": {PROCESSES: GOOD.replace("failed: [{set: {note: \"'failed'\"}}]", "failed: [{set: {nte: \"'failed'\"}}]  # ← ML-REF-002")},
    "limit in weeks": {PROCESSES: GOOD.replace("timeout: 2 hours", "timeout: 2 weeks  # ← ML-SCHEMA-005")},
    "condition that is no condition": {PROCESSES: GOOD.replace("cancel: \"status == 'void'\"", "cancel: total  # ← ML-EXPR-003")},
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_refused_at_its_line(name: str) -> None:
    files = CASES[name]
    expected = marked(files)
    assert expected, "the case marks no line"
    found = findings(shop(files), plugins=DOORS)
    assert places(found) == expected, "\n".join(map(str, found))
    for one in found:
        assert one.hint or len(one.message) > 20, str(one)


def test_the_cases_reach_every_code_of_processes() -> None:
    reached = {code for files in CASES.values() for mark in marked(files) for code in mark.split()[1:]}
    assert {code for code in CODES if code.startswith("ML-PROC-")} <= reached


def test_a_good_process_compiles_without_a_word() -> None:
    assert findings(shop({PROCESSES: GOOD}), plugins=DOORS) == ()
    process = catalog({PROCESSES: GOOD}, plugins=DOORS).processes["shop.order_form/credit"]
    ask, judge, note = process.steps["ask"], process.steps["judge"], process.steps["note"]
    assert (process.first, process.roles, process.on, process.by_hand.roles) == ("ask", ("shop.boss",), ("sell",), ("shop.clerk",))
    assert (ask.next, ask.on_timeout, ask.on_error, ask.retry) == ("judge", "call_them", "manual", Retry(3, "5 minutes"))
    assert ask.request == {"method": "'credit'", "subject": {"name": "customer.name"}} and list(ask.reply) == ["outcome", "score"]
    assert (judge.ways[0].next, judge.next, dict(note.keep), process.steps["rest"].next) == ("rest", "call_them", {"item": "shop.product"}, "done")


def test_without_plugins_nothing_is_said_about_their_answers() -> None:
    assert findings(shop({PROCESSES: GOOD}), plugins=EMPTY) == ()


def test_explain_finds_a_value_of_a_process_and_who_changed_it() -> None:
    client = {"shop/sales/order_form/x.yaml": "overlay:\n- {set: processes/credit/steps/ask/timeout, was: 2 hours, value: 4 hours}\n"}
    for address in ("shop.order_form/process/credit/steps/ask/timeout", "shop.order_form/processes/credit/steps/ask/timeout"):
        found = explain(shop({PROCESSES: GOOD}, client), address)
        assert (found.value, found.layer, [a.verb for a in found.history]) == ("4 hours", "client", ["set"])
