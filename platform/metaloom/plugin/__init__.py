"""The doors: what a plugin may implement, and the registry that finds plugins.

A plugin imports from here, from ``metaloom.model`` and from ``metaloom.base``, and nothing else of the engine. Each door
has its dataclasses in a module of its own: ``calculation``, ``command``, ``ledger_posting``, ``payment_gateway``,
``data_provider``. How to write a plugin: ``docs/plugins.md``.
"""

from metaloom.plugin.command import Handler, Person, Values, Work
from metaloom.plugin.environment import Environment
from metaloom.plugin.faults import PluginFault, Promise

__all__ = ["Environment", "Handler", "Person", "PluginFault", "Promise", "Values", "Work"]
