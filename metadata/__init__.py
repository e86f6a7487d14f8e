"""Packs of metadata that ship with metaloom. This file only makes them reachable from an installed wheel."""
