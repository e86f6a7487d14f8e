"""The error tree: what can go wrong for the person who asked, and how the two doors answer it.

Two refusals are never mixed: *you may not* (:class:`NotAllowed`) and *it cannot be done now* (:class:`NotPossible`).
``status`` is the HTTP answer of both the screens and the API (decision 15).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from metaloom.base.messages import Message, message, register

register({
    "error.not_found": ("没有找到这条记录，或您无权查看。", "This record does not exist, or you may not see it."),
    "error.stale": ("这条记录已被他人修改，您的修改没有保存，也没有丢失。请核对后重新提交。",
                    "Someone else changed this record. Your changes are not saved and not lost: compare and submit again."),
    "error.version_missing": ("缺少版本号（If-Match）。", "The version (If-Match) is missing."),
    "error.invalid": ("有 {count} 处需要修改。", "To be corrected: {count}."),
    "error.login": ("请先登录。", "Please log in."),
    "error.busy": ("系统正忙，数据没有变化，请稍后再试。", "The system is busy. Nothing was changed; please try again shortly."),
    "error.too_many": ("操作过于频繁，请稍后再试。", "Too many requests; please wait a little."),
    "error.method": ("不支持这种请求方式。", "This request method is not supported."),
    "error.unexpected": ("系统出现意外情况，您的数据是安全的。请把请求编号告知管理员。",
                         "Something unexpected happened; your data is safe. Please give the request id to your administrator."),
})


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the input. ``field`` is a path such as ``amount`` or ``items.2.quantity``; empty = the whole."""

    field: str
    message: Message


class MetaloomError(Exception):
    """Base of everything a person can be told; ``message`` is in their language when said."""

    status = 500
    code = "error.unexpected"

    def __init__(self, text: Message | None = None) -> None:
        self.message = text or message(self.code)
        super().__init__(self.message.say("en"))


class LoginRequired(MetaloomError):
    status, code = 401, "error.login"


class NotFound(MetaloomError):
    """Outside the reader's scope, or never existed: one answer for both."""

    status, code = 404, "error.not_found"


class NotAllowed(MetaloomError):
    """You may not: the reason names the missing right."""

    status, code = 403, "error.not_allowed"


class NotPossible(MetaloomError):
    """It cannot be done now: the state of the record or of the world forbids it."""

    status, code = 409, "error.not_possible"


class Conflict(NotPossible):
    """Two requests wanted the same thing; the other one has it."""


class Stale(NotPossible):
    """The record moved on since it was shown. ``current`` is the present row for comparison, as far as the reader may see it."""

    code = "error.stale"

    def __init__(self, text: Message | None = None, *, current: object = None, row_version: int | None = None) -> None:
        super().__init__(text)
        self.current = current
        self.row_version = row_version


class VersionMissing(MetaloomError):
    status, code = 428, "error.version_missing"


class Invalid(MetaloomError):
    """The input breaks rules; nothing was stored. ``problems`` lists every one of them at once."""

    status, code = 400, "error.invalid"

    def __init__(self, problems: Sequence[Problem], text: Message | None = None) -> None:
        self.problems = tuple(problems)
        super().__init__(text or message(self.code, count=len(self.problems)))


class Unprocessable(MetaloomError):
    """The same idempotency key came with another body."""

    status, code = 422, "error.key_reused"


class TooMany(MetaloomError):
    """Too many tries; possible again in ``retry_after`` seconds."""

    status, code = 429, "error.too_many"

    def __init__(self, text: Message | None = None, retry_after: int = 900) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class Busy(MetaloomError):
    """The database is locked or away; try again in ``retry_after`` seconds."""

    status, code = 503, "error.busy"
    retry_after = 2


def headers_of(error: MetaloomError) -> dict[str, str]:
    """What an answer says of the error beside its body: when to come again."""
    return {"Retry-After": str(error.retry_after)} if isinstance(error, (Busy, TooMany)) else {}


register({
    "error.not_allowed": ("您没有此操作的权限。", "You are not allowed to do this."),
    "error.not_possible": ("当前不能执行此操作。", "This is not possible now."),
    "error.key_reused": ("同一个幂等键已用于另一个请求。", "This idempotency key was already used for a different request."),
})
