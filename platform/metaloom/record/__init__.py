"""Rows of any entity. ``Reader`` is the one scoped query builder, ``Writer`` the one place that stores (used by commands),
``input_schema`` the one place that reads input, ``encode_json`` and ``encode_display`` the ones that show values."""

import metaloom.record.messages  # noqa: F401  (registers the sentences)
from metaloom.record.encode import choice_of, display, encode_display, encode_json
from metaloom.record.filters import Filter, masked_operators, operators
from metaloom.record.mask import mask
from metaloom.record.paths import Path, UnknownPath, column_of, field_of, implicit_fields, path, target_of
from metaloom.record.reader import Reader
from metaloom.record.row import Change, Count, Found, HistoryEntry, Page, Row

__all__ = [
    "Change", "Count", "Filter", "Found", "HistoryEntry", "Page", "Path", "Reader", "Row", "UnknownPath", "choice_of", "column_of",
    "display", "encode_display", "encode_json", "field_of", "implicit_fields", "mask", "masked_operators", "operators", "path",
    "target_of",
]
