"""What approvals say."""

from collections.abc import Mapping
from typing import Any

from metaloom.base.messages import register
from metaloom.base.text import Text
from metaloom.model import Catalog

PLACES: Mapping[str, Text] = {"": Text("发起人", "Initiator"), "initiator": Text("发起人", "Initiator")}
BETWEEN = "、"

register({
    "approval.started": ("已提交“{chain}”。", "“{chain}” was started."),
    "approval.decided": ("已处理：{decision}。", "Done: {decision}."),
    "approval.moved": ("已处理：{kind}。", "Done: {kind}."),
    "approval.already_running": ("“{chain}”正在进行，不能重复提交。", "“{chain}” is running for this record already."),
    "approval.not_by_hand": ("“{chain}”不能手工发起。", "“{chain}” is started by an action, not by hand."),
    "approval.may_not_start": ("您不能发起“{chain}”。", "You may not start “{chain}”."),
    "approval.case_above_ended": ("上级审批单已结束或取消", "The case above is over"),
    "approval.no_sub": ("子流程“{chain}”无法发起。", "The sub-chain “{chain}” cannot be started."),
    "approval.in_approval": (
        "“{chain}”正在进行（当前环节：{steps}），不能修改。请由审批人处理，或先撤回。",
        "“{chain}” is running (now at: {steps}), so this cannot be changed. Let it be decided, or withdraw it first."),
    "approval.in_approval_gone": (
        "“{chain}”正在进行（当前环节：{steps}），不能归档或删除。", "“{chain}” is running (now at: {steps}), so this cannot be archived or deleted."),
    "approval.may_not_read": ("您已无权查看这条记录，不能处理。", "You may not read this record any more, so you cannot act on it."),
    "approval.field_not_offered": ("本环节不能填写这个字段。", "This step does not let you enter this field."),
    "approval.no_such_move": ("没有这种操作：{kind}。", "There is no such move: {kind}."),
    "approval.no_task": ("这项操作需要指明审批任务。", "This needs a task."),
    "approval.not_a_decision": ("这项任务不能这样处理。", "This task is not decided this way."),
    "approval.needs_people": ("请选择人员。", "Choose somebody."),
    "approval.unknown_person": ("没有找到所选人员，或账号已停用。", "The chosen person was not found, or the account is switched off."),
    "approval.handed_over": ("已移交 {count} 个审批单。", "{count} cases were handed over."),
    "approval.hand_over_same": ("不能移交给同一个人。", "It cannot be handed over to the same person."),
    "approval.outputs_missing": ("该环节通过时须填写{labels}，请打开任务，填写后再通过。",
                                 "This step asks for {labels} when it passes; please open the task and enter that."),
    "approval.version_missing": ("缺少审批时所见的记录版本。", "The version of the record that was shown is missing."),
    "substitute.set": ("已设置审批代理：{from_} 至 {to}。", "The substitute was set: {from_} to {to}."),
    "substitute.ended": ("审批代理已结束。", "The substitution was ended."),
    "substitute.same": ("代理人须是另一个人。", "A substitute is another person."),
    "substitute.dates": ("结束日期不能早于开始日期。", "The end cannot lie before the beginning."),
    "substitute.own_only": ("您只能为自己设置审批代理。", "You may set a substitute for yourself only."),
    "substitute.over": ("审批代理已经结束。", "This substitution is over already."),
    "chain.moved_on": ("在您查看期间流程又发布了新版本，请核对后重试。", "The chain was published anew while you looked; check and try again."),
    "changed.no_mode": ("请选择处理方式。", "Choose what shall become of the cases."),
    "changed.no_cases": ("请选择审批单。", "Choose some cases."),
    "changed.no_reason": ("请填写原因。", "Say why."),
    "chain.pin": ("审批单 {case} 继续按原流程办理（当前环节：{steps}）。", "Case {case} stays with its chain (now at: {steps})."),
    "chain.move": ("审批单 {case} 已迁移到新流程（当前环节：{steps}）。", "Case {case} was moved to the new chain (now at: {steps})."),
    "chain.restart": ("审批单 {case} 已按新流程重新开始（当前环节：{steps}）。", "Case {case} began again by the new chain (now at: {steps})."),
})  # fmt: skip

KINDS = {
    "pass": ("同意", "pass"), "reject": ("不同意", "reject"), "return": ("退回", "return"), "withdraw": ("撤回", "withdraw"),
    "take_back": ("拿回", "take back"), "resubmit": ("重新提交", "resubmit"), "transfer": ("转办", "transfer"), "delegate": ("委派", "delegate"),
    "resolve": ("委派办结", "resolve"), "add_before": ("前加签", "add a signer before"), "add_after": ("后加签", "add a signer after"),
    "remove": ("减签", "remove a signer"), "copy": ("抄送", "copy"), "ask": ("沟通", "ask"), "answer": ("答复", "answer"), "urge": ("催办", "urge"),
    "hold": ("暂存", "save for later"), "claim": ("认领", "claim"), "unclaim": ("取消认领", "give back"), "read": ("已阅", "read"),
    "terminate": ("终止", "terminate"), "jump": ("跳转", "jump"), "wake": ("唤醒", "wake"), "pause": ("暂停", "pause"), "hand_over": ("移交", "hand over"),
}


def steps_said(catalog: Catalog, case: Mapping[str, Any]) -> Text:
    """Where a case stands (its ``entity``, ``chain``, ``current_steps``), in both languages: kept are the Chinese words of the steps, by which
    the chain of today says the others. A step that it no longer has stays as it was called."""
    kept, chain = case["current_steps"] or "", catalog.chains.get(f"{case.get('entity')}/{case.get('chain')}")
    called = {step.label.zh: step.label for step in (chain.every_step() if chain is not None else ())} | {place.zh: place for place in PLACES.values()}
    steps = [called.get(words, Text(words, words)) for words in kept.split(BETWEEN)]
    return Text(kept, ", ".join(step.en for step in steps))


def at_steps(catalog: Catalog, case: Mapping[str, Any]) -> Text:
    """The same for a sentence, which says ``-`` where the case stands nowhere."""
    return steps_said(catalog, case) if case["current_steps"] else Text("-", "-")
