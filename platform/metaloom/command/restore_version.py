"""Entering again what stood in a record after an earlier change: a new change, through the checks of every change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from metaloom.base.errors import NotAllowed, NotFound, NotPossible
from metaloom.base.messages import message, register
from metaloom.base.text import Text
from metaloom.command.change_record import change_in
from metaloom.command.context import Context, Saved
from metaloom.command.unit import Unit, perform
from metaloom.command.versions import Version, differences, put_back, versions
from metaloom.record import Reader, Row

ENTRIES_MAX = 1_000

register({
    "version.reason": ("恢复到历史版本 #{number} · {at}", "Restored version #{number} · {at}"),
    "version.same": ("与当前内容相同，没有可恢复的字段。", "It is as the record stands now: there is nothing to restore."),
    "version.left": ("没有可恢复的字段，以下字段您不能填写或不能这样恢复：{fields}。",
                     "Nothing can be restored: you may not enter these fields, or not this way: {fields}."),
})


@dataclass(frozen=True)
class Restored:
    """``left``: fields that stayed as they are."""

    saved: Saved
    left: tuple[str, ...]


def versions_of(reader: Reader, entity: str, id: int) -> tuple[Row, tuple[Version, ...]]:
    """The record and its versions, newest first, as far as the reader may see them. NotAllowed without the right to the history."""
    row = reader.get(entity, id)
    if "history" not in row.actions:
        verdict = reader.plan.may(entity, "history")
        if not verdict:
            raise NotAllowed(verdict.reason)
        raise NotFound  # the right covers other rows than this one
    sealed = {name for name, field in reader.plan.catalog.entities[entity].fields.items() if field.encrypted}
    return row, versions(row, reader.history(entity, id, limit=ENTRIES_MAX), sealed)


def version(found: tuple[Version, ...], entry: int) -> Version:
    """The one of that number; NotFound for any other."""
    one = next((v for v in found if v.entry == entry), None)
    if one is None:
        raise NotFound
    return one


def restore_version(ctx: Context, reader: Reader, entity: str, id: int, entry: int, row_version: int | None) -> Restored:
    """Stale when the record moved on since it was shown. Fields that the person may not enter, secrets, files and rows of child fields
    stay as they are and are named."""
    row, found = versions_of(reader, entity, id)
    definition: Any = reader.plan.catalog.entities[entity]
    then = version(found, entry)
    values, left = put_back(definition, row, differences(then, found[0]))
    if not values:
        labels = [definition.fields[name].label for name in left]
        said = Text("、".join(one.zh for one in labels), ", ".join(one.en for one in labels))
        raise NotPossible(message("version.left", fields=said) if left else message("version.same"))
    reason = message("version.reason", number=len(found) - found.index(then), at=f"{then.at.astimezone(ctx.tenant.zone):%Y-%m-%d %H:%M}").say(ctx.locale)

    def work(unit: Unit) -> Saved:
        return change_in(unit, entity, id, values, row_version)

    return Restored(perform(ctx, "restore_version", [entity, id, entry, row_version], work, reason=reason), left)
