"""All doors in one place. A door arrives with its first plugin (decision 24)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from metaloom.plugin import calculation, data_provider, demo_data, ledger_posting, message_channel, payment_gateway


@dataclass(frozen=True)
class Door:
    """``protocol``: what a provider must have. ``checked`` wraps a provider in the engine's checks.

    ``perform`` is there for the doors that reach a network: those are called by a worker from an outbox row and never
    inside a command. ``accident`` is the reply when that call did not come back in time or could not even be made.
    """

    name: str
    protocol: type
    checked: Callable[[Any, str], Any]
    perform: Callable[[Any, str, Mapping[str, Any]], dict[str, object]] | None = None
    accident: Callable[[Mapping[str, Any], Exception], dict[str, object]] | None = None


DOORS: Mapping[str, Door] = {
    door.name: door
    for door in (
        Door("calculation", calculation.Calculation, calculation.CheckedCalculation),
        Door("ledger_posting", ledger_posting.LedgerPosting, ledger_posting.CheckedLedgerPosting),
        Door("payment_gateway", payment_gateway.PaymentGateway, payment_gateway.CheckedPaymentGateway,
             payment_gateway.perform, payment_gateway.accident),
        Door("data_provider", data_provider.DataProvider, data_provider.CheckedDataProvider, data_provider.perform,
             data_provider.accident),
        Door("message_channel", message_channel.MessageChannel, message_channel.CheckedMessageChannel, message_channel.perform,
             message_channel.accident),
        Door("demo_data", demo_data.DemoData, demo_data.CheckedDemoData),
    )
}


def methods_of(protocol: type) -> tuple[str, ...]:
    """The public methods of a door, in the order they are written."""
    return tuple(name for name, value in vars(protocol).items() if callable(value) and not name.startswith("_"))
