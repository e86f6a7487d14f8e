"""The refusals of the room, in both languages."""

from __future__ import annotations

from typing import NoReturn

from metaloom.base.errors import NotAllowed, NotPossible
from metaloom.base.messages import message, register

register({
    "approval.finished": ("审批已结束，不能再操作。", "This approval is finished; nothing more can be done with it."),
    "approval.unknown_move": ("没有这种审批操作。", "There is no such move."),
    "approval.unknown_task": ("没有这个审批任务。", "There is no such task."),
    "approval.task_closed": ("该任务已处理或已取消。", "This task is done or no longer needed."),
    "approval.task_waits": ("该任务正在等待他人处理。", "This task waits for somebody else first."),
    "approval.task_paused": ("该任务已暂停，请先唤醒。", "This task is paused; wake it first."),
    "approval.wrong_task": ("该任务不支持此操作。", "This cannot be done with this task."),
    "approval.claim_first": ("请先认领该任务。", "Claim this task first."),
    "approval.claimed": ("该任务已被认领。", "Somebody has claimed this task."),
    "approval.not_claimed": ("该任务不是您认领的。", "You have not claimed this task."),
    "approval.not_yours": ("该任务不属于您。", "This task is not yours."),
    "approval.only_initiator": ("只有发起人可以执行此操作。", "Only the initiator may do this."),
    "approval.only_admin": ("只有审批管理员可以执行此操作。", "Only administrators of approvals may do this."),
    "approval.only_system": ("此操作由系统执行。", "Only the system does this."),
    "approval.not_offered": ("本环节不允许此操作。", "This step does not allow that."),
    "approval.initiator": ("发起人不能审批自己发起的事项。", "Whoever started an approval does not decide it."),
    "approval.maker": ("您（或同一人的其他账号）是这条记录的经办人，不能审批。",
                       "You, or another account of the same person, made this record; whoever made it does not decide it."),
    "approval.acted": ("您（或同一人的其他账号）已在其他环节处理过，不能重复审批。",
                       "You, or another account of the same person, decided in another step; nobody decides twice."),
    "approval.own_seat": ("您在本环节有自己的审批任务，不能同时代理他人。",
                          "You have a task of your own in this step; you cannot stand in for somebody else there."),
    "approval.whom": ("请选择接收人。", "Say who."),
    "approval.cannot_read": ("接收人无权查看这条记录。", "This person may not read the record."),
    "approval.barred": ("接收人为发起人或经办人，或已参与其他环节，不能在本环节审批。",
                        "This person started the approval, made the record or decided another step, and may not decide here."),
    "approval.twice": ("接收人已在本环节中。", "This person takes part in this step already."),
    "approval.needs_opinion": ("请填写审批意见。", "Write an opinion."),
    "approval.needs_reason": ("请填写原因。", "Give a reason."),
    "approval.needs_files": ("请上传附件。", "Attach a file."),
    "approval.too_many_files": ("一次最多上传 {limit} 个附件。", "At most {limit} files at once."),
    "approval.needs_signature": ("本环节须手写签名，请签名后再提交。", "This step is signed by hand: sign in the box, then decide."),
    "approval.no_signature": ("本环节不需要手写签名。", "This step takes no drawn signature."),
    "approval.signs_later": ("委派任务只提交处理意见，由委派人决定时签名。",
                              "A delegate gives an opinion and does not sign; whoever delegated the task signs and decides."),
    "approval.no_files": ("本环节不接受附件。", "This step takes no files."),
    "approval.needs_output": ("请填写：{fields}。", "Fill in: {fields}."),
    "approval.unknown_output": ("本环节没有这些结果项：{fields}。", "This step has no such results: {fields}."),
    "approval.no_way_back": ("没有可以退回的环节。", "There is no step to send it back to."),
    "approval.not_back_there": ("不能退回到该环节。", "It cannot be sent back there."),
    "approval.not_there": ("流程中没有该环节。", "The chain has no such step."),
    "approval.cannot_withdraw": ("已有人审批，不能撤回。", "Somebody has decided already; it cannot be withdrawn."),
    "approval.cannot_take_back": ("后续已有人处理，不能拿回。", "Somebody has acted since; it cannot be taken back."),
    "approval.nothing_to_urge": ("没有可以催办的任务。", "There is nobody to urge."),
    "approval.not_paused": ("没有需要唤醒的任务。", "Nothing here is asleep."),
    "approval.condition_open": ("等待的条件尚未满足。", "What it waits for is not there yet."),
    "approval.not_due": ("尚未到期。", "It is not due yet."),
    "approval.nothing_to_hand_over": ("该人员没有待办任务。", "This person has no tasks here."),
    "approval.cannot_map": ("新流程中没有环节 {step} 的对应环节。", "The new chain has no step for {step}."),
    "approval.nobody": ("环节“{step}”没有可以审批的人，不能发起。", "Nobody may decide the step {step}; it cannot be started."),
    "approval.choose": ("请为环节“{step}”选择 {low} 到 {high} 名审批人。", "Choose {low} to {high} people for the step {step}."),
    "approval.not_eligible": ("所选人员不在可选范围内。", "Somebody chosen is not among those who can be."),
})


def no(code: str, **slots: object) -> NoReturn:
    """It is not possible now."""
    raise NotPossible(message(f"approval.{code}", **slots))


def never(code: str, **slots: object) -> NoReturn:
    """This account may not."""
    raise NotAllowed(message(f"approval.{code}", **slots))
