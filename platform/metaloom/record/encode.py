"""Values as JSON and as the words on a screen, compiled from field definitions (decision 25)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal
from typing import Any

from metaloom.base.regions import region_words
from metaloom.base.text import Text
from metaloom.model import Catalog, Choice, Field, FieldLevel, FieldType
from metaloom.model.entity import EXACT_TYPES, LINK_TYPES, LIST_TYPES
from metaloom.record.paths import PATHS, Path, PerRevision
from metaloom.record.row import Row

EMPTY = "-"
ROWS_KEPT = 500
CENT = Decimal("0.01")
_YES, _NO = Text("是", "Yes"), Text("否", "No")
_SHOWN_LEVELS = ("hidden", "masked", "read", "write")


# -- words on a screen -----------------------------------------------------------------------------------------------


def display(catalog: Catalog, field: Field, value: Any, locale: str = "zh", *, entity: str = "", zone: tzinfo = UTC) -> str:
    """The words for a value: 1,234.50 · 12.50% · 2026-01-31 · 正常; ``-`` for nothing. A link shows its title elsewhere."""
    return words_for(catalog, field, locale, entity=entity, zone=zone)(value)


def words_for(catalog: Catalog, field: Field, locale: str = "zh", *, entity: str = "", zone: tzinfo = UTC) -> Callable[[Any], str]:
    """``display`` of one field with all but the value decided, for the many rows of a column."""
    kind = field.type
    if kind is FieldType.DATETIME:
        return lambda value: _moment(value, zone)
    if kind is FieldType.BOOLEAN:
        yes, no = _YES.say(locale), _NO.say(locale)
        return lambda value: EMPTY if value is None else yes if value else no
    if kind is FieldType.INTEGER and field.name == "id":
        return _text
    return _PLAIN.get(kind) or _coded(catalog, field, locale, entity)


def _text(value: Any) -> str:
    return EMPTY if value is None or value == () else str(value)


def _amount(value: Any) -> str:
    return f"{value:,f}" if isinstance(value, Decimal) else _text(value)


def _rate(value: Any) -> str:
    return percent(value) if isinstance(value, Decimal) else _text(value)


def _integer(value: Any) -> str:
    return f"{value:,d}" if isinstance(value, int) else _text(value)


def _day(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else _text(value)


def _hour(value: Any) -> str:
    return value.strftime("%H:%M" if not value.second else "%H:%M:%S") if isinstance(value, time) else _text(value)


def _region(value: Any) -> str:
    return region_words(value) if isinstance(value, str) else _text(value)


def _moment(value: Any, zone: tzinfo) -> str:
    return value.astimezone(zone).isoformat(" ", "seconds")[:19] if isinstance(value, datetime) else _text(value)


_PLAIN: dict[FieldType, Callable[[Any], str]] = {
    FieldType.MONEY: _amount, FieldType.DECIMAL: _amount, FieldType.RATE: _rate, FieldType.INTEGER: _integer,
    FieldType.DATE: _day, FieldType.TIME: _hour, FieldType.REGION: _region,
}


def _coded(catalog: Catalog, field: Field, locale: str, entity: str) -> Callable[[Any], str]:
    """Words of codes and lists; texts as they stand."""
    if field.type in (FieldType.CHOICE, FieldType.STATE):
        known: dict[Any, str] = {}  # the same few codes again and again

        def choice(value: Any) -> str:
            if value is None or value == ():
                return EMPTY
            words = known.get(value)
            if words is None:
                found = choice_of(catalog, field, value, entity)
                if found is None:
                    return str(value)
                words = known[value] = found.label.say(locale)
            return words

        return choice
    comma = "、" if locale == "zh" else ", "
    if field.type is FieldType.MULTI_CHOICE:
        one = words_for(catalog, _single(field), locale, entity=entity)
        return lambda value: comma.join(map(one, value)) if isinstance(value, tuple) and value else _text(value)
    if field.type is FieldType.TAGS:
        return lambda value: comma.join(map(str, value)) if isinstance(value, tuple) and value else _text(value)
    if field.type in LIST_TYPES:
        return lambda value: str(len(value)) if isinstance(value, tuple) and value else _text(value)
    return _text


def _single(field: Field) -> Field:
    return Field(field.name, FieldType.CHOICE, field.label, choices=field.choices)


def choice_of(catalog: Catalog, field: Field, code: Any, entity: str = "") -> Choice | None:
    """The choice (label and colour) behind a code; for a state, the state's label and colour."""
    if field.type is FieldType.STATE:
        lifecycle = catalog.lifecycles.get(entity)
        state = lifecycle.states.get(code) if lifecycle else None
        return Choice(state.name, state.label, state.colour) if state else None
    choices = catalog.choices.get(field.choices)
    return choices.items.get(code) if choices else None


def percent(value: Decimal) -> str:
    """0.125 → 12.50%; two places so that rates stand under each other, more where the rate has more."""
    scaled = (value * 100).normalize()
    return f"{scaled if scaled.as_tuple().exponent < -2 else scaled.quantize(CENT):,f}%"  # type: ignore[operator]


# -- JSON ------------------------------------------------------------------------------------------------------------


def json_value(field: Field) -> Callable[[Any], Any]:
    """From a Python value to its JSON form: exact numbers as text, dates as ISO, lists as lists."""
    if field.type in EXACT_TYPES:
        return lambda value: format(value, "f") if isinstance(value, Decimal) else value
    if field.type is FieldType.DATETIME:
        return _instant
    if field.type in (FieldType.DATE, FieldType.TIME):
        return lambda value: value.isoformat() if isinstance(value, (date, time)) else value
    if field.type in LIST_TYPES:
        return lambda value: list(value) if isinstance(value, tuple) else value
    return _as_it_is


def _instant(value: Any) -> Any:
    """Read from the database an instant is in UTC already."""
    if not isinstance(value, datetime):
        return value
    return (value if value.tzinfo is UTC else value.astimezone(UTC)).isoformat()[:-6] + "Z"


def _as_it_is(value: Any) -> Any:
    return value


class Encoders:
    """Encoders of one revision, made once per field."""

    def __init__(self, revision: Any) -> None:
        self._revision = revision
        self._json: dict[tuple[str, str], tuple[Callable[[Any], Any], bool]] = {}
        self._rows: dict[Any, tuple[tuple[str, Callable[[Any], Any] | None], ...]] = {}

    def json(self, entity: str, path: str) -> tuple[Callable[[Any], Any], bool]:
        """(encoder, whether the path is a link)."""
        found = self._json.get((entity, path))
        if found is None:
            resolved = PATHS.of(self._revision).path(entity, path)
            found = self._json[entity, path] = (json_value(resolved.field), resolved.field.type in LINK_TYPES)
        return found

    def row(self, entity: str, paths: tuple[str, ...]) -> tuple[tuple[str, Callable[[Any], Any] | None], ...]:
        """(path, encoder or None for a link) of what does not stand as it is in rows with these paths: those of a list are alike."""
        found = self._rows.get((entity, paths))
        if found is None:
            if len(self._rows) > ROWS_KEPT:
                self._rows.clear()
            found = self._rows[entity, paths] = tuple(
                (path, None if is_link else encoder) for path in paths for encoder, is_link in (self.json(entity, path),)
                if is_link or encoder is not _as_it_is)
        return found


def encode_json(revision: Any, row: Row, *, with_levels: bool = False) -> dict[str, Any]:
    """The row for REST: ``{id, row_version, title, <path>: value, …}``; a link is ``{id, title}``, amounts are text."""
    book = _ENCODERS.of(revision)
    values, titles = row.values, row.titles
    out: dict[str, Any] = {"id": row.id, "row_version": row.row_version, "title": row.title, **values}
    for path, encoder in book.row(row.entity, tuple(values)):
        value = values[path]
        if value is not None:
            out[path] = encoder(value) if encoder is not None else {"id": value, "title": titles.get(path)}
    for name, rows in row.children.items():
        out[name] = [encode_json(revision, child, with_levels=with_levels) for child in rows]
    if row.archived:
        out["archived"] = True
    if with_levels:
        out["_levels"] = {name: _SHOWN_LEVELS[level] for name, level in row.levels.items() if level is not FieldLevel.HIDDEN}
    return out


def encode_display(revision: Any, row: Row, locale: str = "zh", zone: tzinfo = UTC) -> Mapping[str, str]:
    """Path → words as screens and exports show them; links by their titles, masked values as they stand."""
    book = PATHS.of(revision)
    out = {}
    for path, value in row.values.items():
        out[path] = display_cell(revision.catalog, book.path(row.entity, path), row, value, locale, zone)
    return out


def display_cell(catalog: Catalog, path: Path, row: Row, value: Any, locale: str, zone: tzinfo) -> str:
    """Words of one cell of a row."""
    return said_for(catalog, path, locale, zone)(row)


def said_for(catalog: Catalog, path: Path, locale: str, zone: tzinfo) -> Callable[[Row], str]:
    """From a row to the words of its cell at ``path``: all but the row is decided once per column."""
    text = path.text
    if path.is_link:
        return lambda row: row.titles.get(text) or EMPTY
    words = words_for(catalog, path.field, locale, entity=path.entity, zone=zone)
    masked = FieldLevel.MASKED

    def said(row: Row) -> str:
        value = row.values.get(text)
        return value or EMPTY if row.levels.get(text) is masked else words(value)

    return said


_ENCODERS: PerRevision[Encoders] = PerRevision(Encoders)
