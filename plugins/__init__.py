"""Plugins that ship with metaloom: one folder each, found by their `plugin.yaml`."""
