"""The doors: what a plugin may implement, and the registry that finds plugins.

A plugin imports from here, from ``metaloom.model`` and from ``metaloom.base``, and nothing else of the engine. Each door
has its dataclasses in a module of its own: ``calculation``, ``command``, ``ledger_posting``, ``payment_gateway``,
``data_provider``, ``invariant``. How to write a plugin: ``docs/plugins.md``.
"""

from metaloom.plugin.command import Handler, Person, Values, Work
from metaloom.plugin.environment import Environment
from metaloom.plugin.faults import PluginFault, Promise
from metaloom.plugin.invariant import Breach, Invariant, Survey

__all__ = ["Breach", "Environment", "Handler", "Invariant", "Person", "PluginFault", "Promise", "Survey", "Values", "Work"]
