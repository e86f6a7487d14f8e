"""Rows of any entity. ``Reader`` is the one scoped query builder, ``Writer`` the one place that stores (used by commands),
``input_schema`` the one place that reads input, ``encode_json`` and ``encode_display`` the ones that show values."""

import metaloom.record.messages  # noqa: F401  (registers the sentences)
from metaloom.record.board import Laid, Lane, Lanes
from metaloom.record.days import Dated, Day, Days
from metaloom.record.encode import choice_of, display, encode_display, encode_json
from metaloom.record.filters import Filter, Searched, masked_operators, operators
from metaloom.record.mask import mask
from metaloom.record.paths import Path, UnknownPath, column_of, field_of, implicit_fields, path, target_of
from metaloom.record.reader import Reader
from metaloom.record.row import Asked, Change, Count, Found, HistoryEntry, Page, Row
from metaloom.record.schema import InputSchema, input_schema, schema_of
from metaloom.record.summary import Bucket, Group, Summary, Summing
from metaloom.record.survey import Survey
from metaloom.record.writer import Writer

__all__ = [
    "Asked", "Bucket", "Change", "Count", "Dated", "Day", "Days", "Filter", "Found", "Group", "HistoryEntry", "InputSchema", "Laid", "Lane", "Lanes",
    "Page", "Path", "Reader", "Row", "Searched", "Summary", "Summing", "Survey", "UnknownPath", "Writer", "choice_of", "column_of", "display",
    "encode_display", "encode_json", "field_of", "implicit_fields", "input_schema", "mask", "masked_operators", "operators", "path", "schema_of",
    "target_of",
]
