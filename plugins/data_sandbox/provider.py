"""The data_provider of the sandbox."""

from __future__ import annotations

import hashlib
import json
import sys
from functools import cache
from pathlib import Path

from metaloom.plugin import Environment
from metaloom.plugin.data_provider import DataReply, DataRequest

from .reports import REPORTS


class SandboxBureau:
    """Knows a blacklist; fails when the mobile number asks for it."""

    def __init__(self, environment: Environment | None = None) -> None:
        del environment  # nothing to set up

    def methods(self) -> tuple[str, ...]:
        return ("blacklist", "supply", *REPORTS)

    def fetch(self, request: DataRequest) -> DataReply:
        if request.method == "supply":
            return _supply(request)
        if request.method not in self.methods():
            raise ValueError(f"method: {request.method!r} is not one of {', '.join(self.methods())}")
        mobile = request.subject.get("mobile", "")
        if mobile.endswith("0000"):
            raise TimeoutError("the sandbox was asked to time out")
        if mobile.endswith("0001"):
            return DataReply(outcome="perhaps", reference=request.reference)
        if request.method != "blacklist":
            return REPORTS[request.method](request)
        person = _people().get(fingerprint(request.subject.get("id_no", "")))
        if person is None:
            return DataReply(outcome="not_found", reference=request.reference, provider_no=_number(request.reference))
        return DataReply(outcome="found", reference=request.reference, provider_no=_number(request.reference),
                         values={"level": person["level"], "reason": person["reason"]}, text=person["reason"])


def _supply(request: DataRequest) -> DataReply:
    """In how many days a supplier delivers. One called …断线 does not answer, one called …缺货 cannot deliver."""
    supplier = request.subject.get("supplier", "")
    if supplier.endswith("断线"):
        raise TimeoutError("the sandbox was asked to time out")
    if supplier.endswith("缺货"):
        return DataReply(outcome="not_found", reference=request.reference, provider_no=_number(request.reference), text="缺货")
    return DataReply(outcome="found", reference=request.reference, provider_no=_number(request.reference), values={"days": len(supplier) % 5 + 1})


def fingerprint(id_no: str) -> str:
    """How a person stands in ``people.json``."""
    return hashlib.sha256(id_no.encode()).hexdigest()


@cache
def _people() -> dict[str, dict[str, str]]:
    return json.loads((Path(__file__).parent / "people.json").read_text(encoding="utf-8"))


def _number(reference: str) -> str:
    return "SB" + fingerprint(reference)[:16].upper()


if __name__ == "__main__":
    print(json.dumps({fingerprint(sys.argv[1]): {"level": "high", "reason": "失信被执行人"}}, ensure_ascii=False))
