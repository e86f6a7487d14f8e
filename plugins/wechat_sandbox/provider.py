"""The message_channel of the WeChat sandbox: template messages to followers of an official account."""

from __future__ import annotations

import json
import threading
from hashlib import sha256
from pathlib import Path

from metaloom.plugin import Environment
from metaloom.plugin.message_channel import ChannelReply, Incoming, Outgoing

LENGTH_MAX = 600
FIELD_MAX = 20


class WechatSandbox:
    """Takes template messages only, with values of at most 20 characters, as the real service does. An open id that ends in
    ``-gone`` follows no longer (refused), one in ``-late`` answers too late (taken all the same), one in ``-lost`` is lost."""

    def __init__(self, environment: Environment | None = None) -> None:
        folder = environment.folder if environment is not None else None
        self._file: Path | None = folder / "log.jsonl" if folder is not None else None
        self._lock = threading.Lock()
        self._lines: list[dict[str, object]] = []

    def length_max(self) -> int:
        return LENGTH_MAX

    def send(self, request: Outgoing) -> ChannelReply:
        if request.address.endswith("-lost"):
            raise TimeoutError("the sandbox was asked to lose the message")
        refusal = self._refusal(request)
        if refusal is not None:
            return ChannelReply(outcome="refused", reference=request.reference, code=refusal[0], text=refusal[1])
        with self._lock:
            if request.reference not in self._references():
                self._write({"reference": request.reference, "address": request.address, "template": request.template_code,
                             "fields": dict(request.fields), "text": request.text})
        if request.address.endswith("-late"):
            raise TimeoutError("the sandbox was asked to answer too late")
        return ChannelReply(outcome="accepted", reference=request.reference, provider_no=_number(request.reference))

    @staticmethod
    def _refusal(request: Outgoing) -> tuple[str, str] | None:
        if request.address.endswith("-gone"):
            return "43004", "require subscribe"
        if not request.template_code:
            return "40037", "invalid template_id"
        if any(len(value) > FIELD_MAX for value in request.fields.values()):
            return "47003", "argument invalid: a value is longer than 20 characters"
        return None

    def query(self, reference: str) -> ChannelReply:
        known = reference in self._references()
        return ChannelReply(outcome="delivered" if known else "never_seen", reference=reference,
                            provider_no=_number(reference) if known else "")

    def collect(self) -> tuple[Incoming, ...]:
        lines = self._read()
        taken = {str(line["taken"]) for line in lines if "taken" in line}
        return tuple(Incoming(number=f"r-{line['reference']}", reference=str(line["reference"]), outcome="delivered")
                     for line in lines if "reference" in line and f"r-{line['reference']}" not in taken)[:1000]

    def acknowledge(self, numbers: tuple[str, ...]) -> None:
        with self._lock:
            for number in numbers:
                self._write({"taken": number})

    def sent(self) -> tuple[dict[str, object], ...]:
        """The log: what arrived here, in order."""
        return tuple(line for line in self._read() if "reference" in line)

    def _references(self) -> set[str]:
        return {str(line["reference"]) for line in self._read() if "reference" in line}

    def _read(self) -> list[dict[str, object]]:
        if self._file is None:
            return list(self._lines)
        if not self._file.exists():
            return []
        return [json.loads(line) for line in self._file.read_text(encoding="utf-8").splitlines()]

    def _write(self, line: dict[str, object]) -> None:
        if self._file is None:
            self._lines.append(line)
            return
        with self._file.open("a", encoding="utf-8") as log:
            log.write(json.dumps(line, ensure_ascii=False) + "\n")


def _number(reference: str) -> str:
    return "WX" + sha256(reference.encode()).hexdigest()[:16].upper()
