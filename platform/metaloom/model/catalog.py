"""Catalog: all definitions of one tenant, frozen, with a digest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from metaloom.base.diagnostic import Diagnostic
from metaloom.base.position import NOWHERE, Position
from metaloom.base.text import Text
from metaloom.model.access import AccessGrant, Role
from metaloom.model.action import Action
from metaloom.model.approval import ApprovalChain
from metaloom.model.choices import Choices
from metaloom.model.dashboard import Dashboard
from metaloom.model.entity import Entity
from metaloom.model.job import Job
from metaloom.model.ledger import Account, AccountingRule
from metaloom.model.lifecycle import Lifecycle
from metaloom.model.message import MessageTemplate, Webhook
from metaloom.model.printing import PrintTemplate
from metaloom.model.process import Process
from metaloom.model.screen import Form, ListView, Menu, QuickLink
from metaloom.model.series import NumberSeries
from metaloom.model.trial import Trial
from metaloom.model.warning import WarningRule


@dataclass(frozen=True)
class Pack:
    name: str
    version: str
    format: int
    label: Text
    depends: Mapping[str, str] = field(default_factory=dict)
    modules: Mapping[str, Text] = field(default_factory=dict)
    locked: bool = False
    position: Position = NOWHERE


@dataclass(frozen=True)
class Catalog:
    """Keys are addresses. ``lists`` by ``<entity>/<name>`` (``main`` for the entity's own); ``forms``, ``lifecycles`` by entity;
    ``actions``, ``chains``, ``prints``, ``processes`` and ``warning_rules`` by ``<entity>/<name>``; ``grants`` by entity, in file order."""

    digest: str
    packs: Mapping[str, Pack]
    entities: Mapping[str, Entity]
    lists: Mapping[str, ListView]
    forms: Mapping[str, Form]
    lifecycles: Mapping[str, Lifecycle]
    actions: Mapping[str, Action]
    choices: Mapping[str, Choices]
    roles: Mapping[str, Role]
    grants: Mapping[str, tuple[AccessGrant, ...]]
    series: Mapping[str, NumberSeries]
    menus: Mapping[str, Menu]
    quick_links: Mapping[str, QuickLink]
    accounts: Mapping[str, Account]
    accounting_rules: Mapping[str, AccountingRule]
    trials: Mapping[str, Trial] = field(default_factory=lambda: MappingProxyType({}))
    warning_rules: Mapping[str, WarningRule] = field(default_factory=lambda: MappingProxyType({}))
    warnings: tuple[Diagnostic, ...] = ()
    chains: Mapping[str, ApprovalChain] = field(default_factory=lambda: MappingProxyType({}))
    messages: Mapping[str, MessageTemplate] = field(default_factory=lambda: MappingProxyType({}))
    webhooks: Mapping[str, Webhook] = field(default_factory=lambda: MappingProxyType({}))
    settings: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    jobs: Mapping[str, Job] = field(default_factory=lambda: MappingProxyType({}))
    processes: Mapping[str, Process] = field(default_factory=lambda: MappingProxyType({}))
    dashboards: Mapping[str, Dashboard] = field(default_factory=lambda: MappingProxyType({}))
    prints: Mapping[str, PrintTemplate] = field(default_factory=lambda: MappingProxyType({}))

    def entity(self, address: str) -> Entity:
        """The entity at ``address``; KeyError when the catalog has none (callers at the doors answer NotFound)."""
        return self.entities[address]

    def actions_of(self, entity: str) -> tuple[Action, ...]:
        """The entity's actions in the order of its metadata."""
        return tuple(a for a in self.actions.values() if a.entity == entity)

    def chains_of(self, entity: str) -> tuple[ApprovalChain, ...]:
        """The entity's approval chains in the order of its metadata."""
        return tuple(c for c in self.chains.values() if c.entity == entity)

    def processes_of(self, entity: str) -> tuple[Process, ...]:
        """The entity's processes in the order of its metadata."""
        return tuple(p for p in self.processes.values() if p.entity == entity)

    def prints_of(self, entity: str) -> tuple[PrintTemplate, ...]:
        """The entity's print templates in the order of its metadata."""
        return tuple(p for p in self.prints.values() if p.entity == entity)

    def children_of(self, entity: str) -> tuple[Entity, ...]:
        """Entities whose rows live inside rows of ``entity``."""
        return tuple(e for e in self.entities.values() if e.child_of == entity)
