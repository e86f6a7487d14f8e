"""The books on the generic screens: a closed month is entered like a record, and closing is its command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metaloom import command
from metaloom.command.close_month import PERIOD
from metaloom.command.context import Context, Saved
from metaloom.web.own import Own, register


def _close(ctx: Context, values: Mapping[str, Any], sent: Mapping[str, Any]) -> Saved:
    return command.close_month(ctx, values["month"], values.get("company"))


register(PERIOD, Own(create=_close))
