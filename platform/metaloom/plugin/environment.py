"""What a provider is given when it is made: the client it works for, its settings, its secrets, a folder, a clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from metaloom.base.clock import Clock, SystemClock


def _no_secret(name: str) -> str:
    raise KeyError(name)


@dataclass(frozen=True)
class Environment:
    """One provider object lives per client and settings; it is made as ``ProviderClass(environment)``.

    ``settings`` passed the JSON Schema of ``plugin.yaml`` (defaults filled in). ``secret`` gives the value of a name that
    ``plugin.yaml`` lists under ``secrets``; KeyError when it was never set. ``folder`` belongs to this plugin and client:
    a place for files of its own, never for records.
    """

    tenant: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)
    secret: Callable[[str], str] = _no_secret
    folder: Path | None = None
    clock: Clock = field(default_factory=SystemClock)
