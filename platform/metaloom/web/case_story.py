"""A case in words: what happened, as lines for people, and the way it took, as boxes of a diagram."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from metaloom.approval import CaseState, Event, Node
from metaloom.command import FileShown
from metaloom.command.drawing import BYTES_MAX
from metaloom.model import ApprovalChain, ChainStep
from metaloom.web.current import Current, locale, say
from metaloom.web.words import age, listed, moment
from metaloom.web.words import t as _t

# What people need not read: bookkeeping of the machine.
QUIET = frozenset({"step_entered", "step_left", "step_cancelled", "branch_done", "branch_reopened", "task_opened", "task_activated", "task_closed",
                   "timer_set", "read", "held", "sub_closed", "waiting", "chain_kept", "people_found"})
GOOD, BAD, BACK = frozenset({"pass", "approved", "answer", "resolve"}), frozenset({"reject", "rejected", "terminated"}), frozenset({"return", "withdrawn"})


@dataclass(frozen=True)
class Drawn:
    """A signature drawn by hand. ``true``: the picture is the one whose digest stands in the log."""

    file: int
    digest: str
    true: bool


@dataclass(frozen=True)
class Moment:
    """``tone``: '' | good | bad | back; ``said``: an opinion, question or reason in the person's own words."""

    who: str
    behalf: str
    what: str
    step: str
    at: str
    said: str
    tone: str
    icon: str
    facts: tuple[tuple[str, str], ...] = ()
    signed: bool = False
    files: tuple[FileShown, ...] = ()
    drawn: Drawn | None = None


@dataclass(frozen=True)
class Block:
    """A box of the diagram, or a fork with its ways below it."""

    label: str
    kind: str
    status: str
    who: str
    time: str
    outcome: str
    why: str
    ways: tuple[tuple[str, str, tuple[Block, ...]], ...] = ()


def people_in(events: Iterable[Event], path: Iterable[Node]) -> set[int]:
    """Every account that the page will name."""
    found: set[int] = set()
    for event in events:
        for key in ("by", "initiator", "on_behalf_of", "from", "old", "new"):
            found |= _ids(event.data.get(key))
        if event.kind not in ("returned", "jumped"):
            found |= _ids(event.data.get("to"))
    for node in path:
        found |= set(node.who) | people_in((), node.children)
    return found - {0}


def _ids(value: Any) -> set[int]:
    if isinstance(value, bool):
        return set()
    if isinstance(value, int):
        return {value}
    return {one for one in value if isinstance(one, int)} if isinstance(value, (list, tuple)) else set()


class Story:
    """Puts one case into words; ``names`` are display names by account, ``files`` what came with words."""

    def __init__(self, pinned: Current, chain: ApprovalChain, state: CaseState, names: Mapping[int, str],
                 files: Mapping[int, FileShown]) -> None:
        self.pinned, self.names, self.files = pinned, names, files
        self.steps: dict[str, ChainStep] = {step.name: step for step in chain.every_step()}
        self.step_of = {no: task.step for no, task in state.tasks.items()}

    def moments(self, events: Sequence[Event]) -> list[Moment]:
        """What people did, newest first."""
        return [self._moment(event) for event in events if event.kind not in QUIET][::-1]

    def _moment(self, event: Event) -> Moment:
        data, kind = event.data, event.kind
        word = str(data.get("decision") or data.get("result") or "") if kind in ("decided", "finished") else ""
        what = _t(f"approval.did.{kind}.{word}" if word else f"approval.did.{kind}", to=self._to(data), branches=self._branches(data))
        by = data["by"] if "by" in data else data.get("initiator")
        behalf = data.get("on_behalf_of")
        return Moment("" if kind == "finished" and not by else self._name(by), self._name(behalf) if behalf and behalf != by else "", what,
                      self._step(data), self._when(data.get("at")), self._said(data), _tone(kind, word), _ICONS.get(word or kind, "circle-dot"),
                      self._outputs(data), bool(data.get("signed")),
                      tuple(self.files[one] for one in data.get("attachments") or () if one in self.files),
                      self._drawn(data.get("signature")))

    def _drawn(self, signature: Any) -> Drawn | None:
        if not signature:
            return None
        kept = self.files.get(signature["file"])
        true = kept is not None and kept.digest == signature["digest"] and self.pinned.tenant.files.intact(kept.digest, BYTES_MAX)
        return Drawn(signature["file"], signature["digest"], true)

    def _said(self, data: Mapping[str, Any]) -> str:
        """What the person wrote; else the machine's reason, where the words know it."""
        own = next((str(data[key]) for key in ("opinion", "question", "answer", "reason") if data.get(key)), "")
        why = str(data.get("why") or "")
        if own or not why:
            return own
        known = _t(f"approval.why.{why}")
        if not known.startswith("approval.why."):
            return known
        return "" if why.isascii() and why.replace("_", "").isalnum() else why

    def _outputs(self, data: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        from metaloom.record.encode import display

        step = self.steps.get(self._step_name(data))
        declared = getattr(step, "outputs", {}) or {}
        given = data.get("outputs") or {}
        return tuple((say(declared[name].label), display(self.pinned.catalog, declared[name], _typed(declared[name], value), locale(), zone=self.pinned.zone))
                     for name, value in given.items() if name in declared and value not in (None, ""))

    def _to(self, data: Mapping[str, Any]) -> str:
        to = data.get("to")
        if isinstance(to, str):
            return self._place(to)
        return listed(self._name(one) for one in sorted(_ids(to)))

    def _place(self, name: str) -> str:
        if name in ("", "initiator"):
            return _t("approval.initiator")
        return say(self.steps[name].label) if name in self.steps else name

    def _branches(self, data: Mapping[str, Any]) -> str:
        step = self.steps.get(str(data.get("step", "")))
        labels = {branch.name: say(branch.label) for branch in step.inner} if step is not None else {}
        return " / ".join(labels.get(str(name), str(name)) for name in data.get("branches") or ())

    def _step_name(self, data: Mapping[str, Any]) -> str:
        task = data.get("task")
        return str(data.get("step") or (self.step_of.get(task, "") if isinstance(task, int) else ""))

    def _step(self, data: Mapping[str, Any]) -> str:
        name = self._step_name(data)
        return self._place(name) if name else ""

    def _name(self, account: Any) -> str:
        if not isinstance(account, int) or isinstance(account, bool):
            return ""
        return self.names.get(account, f"#{account}") if account else _t("detail.system")

    def _when(self, at: Any) -> str:
        return moment(self.pinned, datetime.fromisoformat(at)) if isinstance(at, str) and at else ""

    # -- the diagram

    def blocks(self, path: Sequence[Node]) -> tuple[Block, ...]:
        """The way as boxes, in order."""
        return tuple(self._block(node) for node in path)

    def _block(self, node: Node) -> Block:
        now = self.pinned.clock.now()
        time = age(node.since, now) if node.status == "now" else self._when(node.until or node.since) if node.status == "done" else ""
        ways = tuple((say(way.label), way.status, self.blocks(way.children)) for way in node.children)
        who = [self._name(one) for one in node.who]
        shown = listed(who[:4]) + (f" +{len(who) - 4}" if len(who) > 4 else "")
        outcome = _t(f"approval.outcome.{node.outcome}") if node.outcome else ""
        return Block(say(node.label), node.kind, node.status, shown, time, "" if outcome.startswith("approval.outcome.") else outcome, "", ways)


def _typed(field: Any, value: Any) -> Any:
    """An output as the log keeps it (text) back in its type."""
    from metaloom.record.values import BadValue, Reading, read

    try:
        return read(field, value, Reading({}, None))
    except (BadValue, TypeError, ValueError, KeyError):
        return value


def _tone(kind: str, word: str) -> str:
    if kind == "returned" or word in BACK:
        return "back"
    return "good" if word in GOOD else "bad" if word in BAD or kind == "stuck" else ""


_ICONS: Mapping[str, str] = {
    "started": "send", "pass": "check", "reject": "x", "return": "arrow-back-up", "resolve": "check", "transferred": "arrow-right",
    "delegated": "user-check", "added": "user-plus", "removed": "user-x", "asked": "message-circle", "answered": "message", "copied": "copy", "urged": "bell",
    "taken_back": "arrow-back-up",
    "approved": "circle-check", "rejected": "circle-x", "withdrawn": "arrow-back-up", "terminated": "ban", "claimed": "hand-stop", "skipped": "arrow-right",
    "branch_chosen": "git-branch", "paused": "player-pause", "woken": "player-play", "jumped": "route", "resubmitted": "send", "reminded": "bell",
    "handed_over": "transfer", "returned": "arrow-back-up", "stuck": "alert-triangle", "replaced": "users"}
