# ruff: noqa: E501, UP031 — a case of the table stands on one line
"""Approval chains: the good one compiles, every bad one is refused at its line (a comment ``# ← CODE`` marks it)."""

import pytest

from metaloom.compile import explain
from metaloom.compile.codes import CODES
from metaloom.model import Decide, Escalation, Fork, Who
from tests.compile.shop import APPROVAL, CHAIN, SHOP, catalog, findings, marked, places, shop

WORDS = "label: {zh: 甲, en: A}"


def chain(old: str, new: str) -> dict[str, str]:
    """The chain of the shop with ``old`` replaced."""
    assert old in CHAIN, old
    return {APPROVAL: CHAIN.replace(old, new, 1)}


def more(text: str) -> dict[str, str]:
    """One more step at the end of the chain."""
    return {APPROVAL: CHAIN + f"      more: {text}\n"}


LOCKED = {"shop/pack.yaml": SHOP["shop/pack.yaml"] + "  locked: true\n"}

CASES = {
    "unknown chain": {"shop/sales/order_form/actions.yaml": SHOP["shop/sales/order_form/actions.yaml"].replace("      - transition: sell\n", "      - start_approval: discont  # ← ML-CHAIN-001\n      - transition: sell\n"), APPROVAL: CHAIN},
    "choice for a step that asks for none": {"shop/sales/order_form/actions.yaml": SHOP["shop/sales/order_form/actions.yaml"].replace("      - transition: sell\n", "      - {start_approval: discount, chosen: {check: created_by}}  # ← ML-CHAIN-002\n      - transition: sell\n"), APPROVAL: CHAIN},
    "key of another type": more("{type: copy, who: [{initiator: true}], mode: all, %s}  # ← ML-CHAIN-003" % WORDS),
    "share without a vote": {APPROVAL: CHAIN.replace("mode: vote\n                pass: 2/3\n                weights: {boss: 2}", "mode: all\n                pass: 2/3  # ← ML-CHAIN-003\n                weights: {boss: 2}  # ← ML-CHAIN-003")},
    "veto that is none": more("{who: [{role: boss}], mode: all, veto: none, %s}  # ← ML-CHAIN-014" % WORDS),
    "nobody named": more("{%s}  # ← ML-CHAIN-004" % WORDS),
    "vote without share": more("{who: [{role: boss}], mode: vote, %s}  # ← ML-CHAIN-004" % WORDS),
    "fork without branches": more("{type: parallel, %s}  # ← ML-CHAIN-004" % WORDS),
    "transfer to nobody": more("{who: [{role: boss}], limit: {within: 1 days, then: [{after: 0 days, do: transfer}]}, %s}  # ← ML-CHAIN-004" % WORDS),
    "pass to somebody": more("{who: [{role: boss}], limit: {within: 1 days, then: [{after: 0 days, do: pass, to: superior}]}, %s}  # ← ML-CHAIN-003" % WORDS),
    "name twice": chain("      tell: {type: copy, label: {zh: 知会, en: Tell}, who: [{initiator: true}]}", "      board: {type: copy, label: {zh: 知会, en: Tell}, who: [{initiator: true}]}  # ← ML-CHAIN-005"),
    "name of a place": {APPROVAL: CHAIN + "      previous: {who: [{role: boss}], %s}  # ← ML-NAME-002\n" % WORDS},
    "branch that is never taken": {APPROVAL: CHAIN.replace('          small: {label: {zh: 小额, en: Small}, when: "total <= 1000", steps: {}}', "          small: {label: {zh: 小额, en: Small}, when: false, steps: {}}  # ← ML-CHAIN-006")},
    "same condition twice": chain("          large:\n", "          again: {%s, when: \"total <= 1000\", steps: {}}  # ← ML-CHAIN-006\n          large:\n" % WORDS),
    "after a branch always taken": {APPROVAL: CHAIN.replace('when: "total <= 1000"', "when: true").replace("          large:\n", "          large:  # ← ML-CHAIN-006\n")},
    "no otherwise": {APPROVAL: CHAIN.replace("      by_amount:\n", "      by_amount:  # ← ML-CHAIN-007\n").replace("            otherwise: true", '            when: "total > 1000"')},
    "otherwise twice": {APPROVAL: CHAIN.replace('when: "total <= 1000", steps: {}}', "otherwise: true, steps: {}}").replace("          large:\n", "          large:  # ← ML-CHAIN-021\n")},
    "condition on a parallel branch": more("{type: parallel, %s, branches: {a: {when: 'total > 1', %s, steps: {}}}}  # ← ML-CHAIN-003" % (WORDS, WORDS)),
    "output before its step": chain("        fields: {note: write, total: read}", "        auto: {pass: \"output.board.votes > 1\"}  # ← ML-CHAIN-008 ML-EXPR-002\n        fields: {note: write, total: read}"),
    "output of its own": chain("        fields: {note: write, total: read}", "        auto: {pass: \"output.check.remark == 'x'\"}  # ← ML-CHAIN-008"),
    "role that may not read": {"shop/basics.yaml": SHOP["shop/basics.yaml"].replace("choices:\n", "  guest: {label: {zh: 客人, en: Guest}}\nchoices:\n", 1), **more("{who: [{role: guest}], %s}  # ← ML-CHAIN-009" % WORDS)},
    "unknown role": more("{who: [{role: bos}], %s}  # ← ML-REF-001" % WORDS),
    "unknown field": more("{who: [{field: ownr}], %s}  # ← ML-REF-002" % WORDS),
    "field that is no user": more("{who: [{field: customer}], %s}  # ← ML-CHAIN-015" % WORDS),
    "maker that is no user": chain("    people: {forbid_repeat: step}", "    makers: [created_by, customer]  # ← ML-CHAIN-015"),
    "maker that is no field": chain("    people: {forbid_repeat: step}", "    makers: [ownr]  # ← ML-REF-002"),
    "maker behind what is no link": chain("    people: {forbid_repeat: step}", "    makers: [note.owner]  # ← ML-REF-003"),
    "maker who is whoever decided last": chain("    people: {forbid_repeat: step}", "    makers: [customer.updated_by]  # ← ML-CHAIN-023"),
    "expression that gives no user": more("{who: [{expression: total}], %s}  # ← ML-CHAIN-015" % WORDS),
    "back to a later step": more("{who: [{role: boss}], return: {to: [tell]}, %s}  # ← ML-CHAIN-010" % WORDS),
    "back to itself": chain("return: {to: [check, initiator], then: resume}", "return: {to: [board]}  # ← ML-CHAIN-010"),
    "share above one": chain("pass: 2/3", "pass: 3/2  # ← ML-CHAIN-011"),
    "share of nothing": chain("pass: 2/3", "pass: 0/2  # ← ML-CHAIN-011"),
    "escalations out of order": {APPROVAL: CHAIN.replace("{after: 9 hours, do: transfer, to: [{role: boss}]}]}", "{after: 1 hours, do: transfer, to: [{role: boss}]}]}  # ← ML-CHAIN-012")},
    "limit in weeks": {APPROVAL: CHAIN.replace("{within: 8 working_hours, then: [{after: 0 hours, do: remind}, {after: 8 hours, do: remind, to: superior}, {after: 9 hours, do: transfer, to: [{role: boss}]}]}", "{within: 1 weeks}  # ← ML-SCHEMA-005")},
    "circle": {APPROVAL: CHAIN.replace("  discount:\n", "  discount:  # ← ML-CHAIN-013\n") + "      again: {type: sub, chain: discount, %s}\n" % WORDS},
    "unknown sub-chain": more("{type: sub, chain: product/price, %s}  # ← ML-CHAIN-001" % WORDS),
    "sub-chain about another record": {**more("{type: sub, chain: customer/open, on: lines, %s}  # ← ML-CHAIN-022" % WORDS), "shop/sales/customer/approval.yaml": "approval:\n  open: {label: {zh: 甲, en: A}, subject: {zh: 甲, en: A}, steps: {one: {label: {zh: 甲, en: A}, who: [{role: boss}]}}}\n"},
    "right on an unknown field": chain("fields: {note: write, total: read}", "fields: {nte: write}  # ← ML-REF-002"),
    "right to write what is computed": chain("fields: {note: write, total: read}", "fields: {total: write}  # ← ML-CHAIN-017"),
    "pick at least more than at most": more("{who: [{chosen: {from: [{role: boss}], min: 3, max: 2}}], %s}  # ← ML-CHAIN-018" % WORDS),
    "nobody decides": {APPROVAL: "approval:\n  idle:  # ← ML-CHAIN-019\n    label: {zh: 甲, en: A}\n    subject: {zh: 甲, en: A}\n    start: {roles: [clerk]}\n    steps: {tell: {type: copy, label: {zh: 甲, en: A}, who: [{initiator: true}]}}\n"},
    "nothing starts it": {APPROVAL: CHAIN.replace("  discount:\n", "  discount:  # ← ML-CHAIN-020\n").replace("    start: {roles: [clerk], when: \"status == 'draft'\", message: {zh: 已售出, en: Sold already}}\n", "")},
    "result with an unknown transition": chain("rejected: [{transition: cancel}]", "rejected: [{transition: refuse}]  # ← ML-ACTION-001"),
    "result with an unknown output": {APPROVAL: CHAIN.replace("- {set: {note: output.check.remark}, when: \"case.initiator == customer.owner\"}", "- {set: {note: output.check.remrk}}  # ← ML-EXPR-002")},
    "effect of a step with an unknown transition": more("{who: [{role: boss}], entered: [{transition: refuse}], %s}  # ← ML-ACTION-001" % WORDS),
    "effect of a step that speaks of a later one": chain("        fields: {note: write, total: read}", "        passed: [{set: {note: \"concat(output.check.remark, output.board.votes)\"}}]  # ← ML-CHAIN-008 ML-EXPR-002\n        fields: {note: write, total: read}"),
    "subject of the unknown": chain('    subject: {zh: "{order_no} {customer.name}", en: "{order_no} {customer.name}"}', '    subject: {zh: "{nobody}", en: x}  # ← ML-TEXT-002'),
    "four eyes off where records are protected": {**LOCKED, APPROVAL: CHAIN.replace("    people: {forbid_repeat: step}", "    people: {forbid_repeat: none}  # ← ML-CHAIN-016")},
    "creators decide where records are protected": {**LOCKED, APPROVAL: CHAIN.replace("    people: {forbid_repeat: step}", "    makers: [customer.created_by]  # ← ML-CHAIN-016")},
    "own approval where records are protected": {**LOCKED, **more("{who: [{role: boss}], initiator: allow, %s}  # ← ML-CHAIN-016" % WORDS)},
    "skipped where records are protected": {**LOCKED, **more("{who: [{role: boss}], empty: skip, %s}  # ← ML-CHAIN-016" % WORDS)},
    "passed by waiting where records are protected": {**LOCKED, **more("{who: [{role: boss}], limit: {within: 1 days, then: [{after: 0 days, do: pass}]}, %s}  # ← ML-CHAIN-016" % WORDS)},
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_refused_at_its_line(name: str) -> None:
    files = CASES[name]
    expected = marked(files)
    assert expected, "the case marks no line"
    found = findings(shop(files))
    assert places(found) == expected, "\n".join(map(str, found))
    for one in found:
        assert one.hint or len(one.message) > 20, str(one)


def test_the_cases_reach_every_code_of_chains() -> None:
    reached = {code for files in CASES.values() for mark in marked(files) for code in mark.split()[1:]}
    assert {code for code in CODES if code.startswith("ML-CHAIN-")} <= reached


def test_a_good_chain_compiles_without_a_word() -> None:
    assert findings(shop({APPROVAL: CHAIN})) == ()
    chain = catalog({APPROVAL: CHAIN}).chains["shop.order_form/discount"]
    check, board, by_amount = chain.step("check"), chain.step("board"), chain.step("by_amount")
    assert isinstance(check, Decide) and isinstance(board, Decide) and isinstance(by_amount, Fork)
    assert [s.name for s in chain.every_step()] == ["check", "by_amount", "board", "tell"]
    assert check.who == (Who("role", "shop.boss"), Who("field", "customer.owner"), Who("head_of", "initiator_unit", up=1), Who("expression", "created_by"))
    assert check.limit is not None and check.limit.then[1] == Escalation("8 hours", "remind", superior=True)
    assert (board.share, dict(board.weights), board.veto, check.veto) == ("2/3", {"shop.boss": 2}, "none", "one_rejects")
    assert by_amount.branches["large"].otherwise and board.returns.to == ("check", "initiator") and board.returns.then == "resume"
    assert chain.allow.terminate == ("shop.boss",) and [s.verb for s in chain.results["approved"]] == ["set", "transition"]


def test_explain_finds_a_value_of_a_chain_and_who_changed_it() -> None:
    client = {"shop/sales/order_form/x.yaml": "overlay:\n- {set: approval/discount/steps/check/limit/within, was: 8 working_hours, value: 2 working_days}\n"}
    for address in ("shop.order_form/chain/discount/steps/check/limit/within", "shop.order_form/approval/discount/steps/check/limit/within"):
        found = explain(shop({APPROVAL: CHAIN}, client), address)
        assert (found.value, found.layer, [a.verb for a in found.history]) == ("2 working_days", "client", ["set"])


def test_an_output_of_a_later_way_is_not_known() -> None:
    """Steps of another branch of an exclusive fork never come before."""
    chain = catalog({APPROVAL: CHAIN}).chains["shop.order_form/discount"]
    assert chain.before("board") == {"check"} and chain.before("tell") == {"check", "by_amount", "board"}
