"""All doors in one place. A door arrives with its first plugin (decision 24)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from metaloom.base.text import Text
from metaloom.model import Field, FieldType
from metaloom.plugin import (
    calculation,
    data_provider,
    demo_data,
    e_signature,
    ledger_posting,
    message_channel,
    payment_gateway,
    signed_notice,
    tools,
)


@dataclass(frozen=True)
class Door:
    """``protocol``: what a provider must have. ``checked`` wraps a provider in the engine's checks.

    ``perform`` is there for the doors that reach a network: those are called by a worker from an outbox row and never
    inside a command. ``accident`` is the reply when that call did not come back in time or could not even be made.
    For processes: ``methods`` says what each method needs and may have in its request, ``reply`` what every answer has;
    ``definite`` are the outcomes that are an answer (with any other one the same question is asked again), ``details`` the
    slot of the reply that holds a provider's own values.
    """

    name: str
    protocol: type
    checked: Callable[[Any, str], Any]
    perform: Callable[[Any, str, Mapping[str, Any]], dict[str, object]] | None = None
    accident: Callable[[Mapping[str, Any], Exception], dict[str, object]] | None = None
    methods: Mapping[str, tuple[frozenset[str], frozenset[str]]] = field(default_factory=dict)
    reply: Mapping[str, Field] = field(default_factory=dict)
    definite: frozenset[str] = frozenset()
    details: str = ""


def _request(kind: type) -> tuple[frozenset[str], frozenset[str]]:
    """What a request needs and what it may have, besides its reference."""
    own = [f for f in fields(kind) if f.name != "reference"]
    return (frozenset(f.name for f in own if f.default is MISSING and f.default_factory is MISSING), frozenset(f.name for f in own))


def _said(**labels: tuple[FieldType, str, str]) -> Mapping[str, Field]:
    return {name: Field(name, kind, Text(zh, en), length=4000) for name, (kind, zh, en) in labels.items()}


_NOTHING: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
_OUTCOME, _CODE, _TEXT = (FieldType.TEXT, "结果", "Outcome"), (FieldType.TEXT, "代码", "Code"), (FieldType.TEXT, "说明", "Words")


DOORS: Mapping[str, Door] = {
    door.name: door
    for door in (
        Door("calculation", calculation.Calculation, calculation.CheckedCalculation),
        Door("ledger_posting", ledger_posting.LedgerPosting, ledger_posting.CheckedLedgerPosting),
        Door("payment_gateway", payment_gateway.PaymentGateway, payment_gateway.CheckedPaymentGateway,
             payment_gateway.perform, payment_gateway.accident, {"pay": _request(payment_gateway.PayRequest), "query": _NOTHING},
             _said(outcome=_OUTCOME, code=_CODE, text=_TEXT, gateway_no=(FieldType.TEXT, "渠道流水号", "Gateway no.")), frozenset({"succeeded", "failed"})),
        Door("data_provider", data_provider.DataProvider, data_provider.CheckedDataProvider, data_provider.perform,
             data_provider.accident, {"fetch": _request(data_provider.DataRequest)},
             _said(outcome=_OUTCOME, code=_CODE, text=_TEXT, provider_no=(FieldType.TEXT, "服务方编号", "Provider no.")), frozenset({"found", "not_found"}),
             "values"),
        Door("message_channel", message_channel.MessageChannel, message_channel.CheckedMessageChannel, message_channel.perform,
             message_channel.accident),
        Door("e_signature", e_signature.ESignature, e_signature.CheckedESignature, e_signature.perform, e_signature.accident,
             {"create": (frozenset({"title", "documents", "signers"}), frozenset({"title", "documents", "signers", "days"})), "query": _NOTHING,
              "revoke": (frozenset(), frozenset({"reason"})), "download": _NOTHING},
             _said(outcome=_OUTCOME, code=_CODE, text=_TEXT, envelope_no=(FieldType.TEXT, "签署流程编号", "Envelope no."),
                   evidence_no=(FieldType.TEXT, "存证编号", "Evidence no."), signed_by=(FieldType.TEXT, "已签署方", "Signed by")), e_signature.FINAL),
        Door("signed_notice", signed_notice.SignedNotice, signed_notice.CheckedSignedNotice),
        Door("tools", tools.Tools, tools.CheckedTools),
        Door("demo_data", demo_data.DemoData, demo_data.CheckedDemoData),
    )
}


def methods_of(protocol: type) -> tuple[str, ...]:
    """The public methods of a door, in the order they are written."""
    return tuple(name for name, value in vars(protocol).items() if callable(value) and not name.startswith("_"))
