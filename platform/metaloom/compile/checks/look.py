"""Where things stand and where paths lead: what the checks share."""

from __future__ import annotations

from metaloom.base.position import NOWHERE, Position
from metaloom.compile.codes import finding
from metaloom.compile.context import Context
from metaloom.compile.node import Node, child
from metaloom.compile.schema import _did_you_mean
from metaloom.compile.scope import IMPLICIT, implicit_links, target_of
from metaloom.model import Catalog, Entity, Field, FieldType
from metaloom.model.entity import EXACT_TYPES

NUMBERS = EXACT_TYPES | {FieldType.INTEGER}
TEXTUAL = frozenset({FieldType.TEXT, FieldType.LONG_TEXT, FieldType.RICH_TEXT, FieldType.AUTO_NUMBER, FieldType.REGION, FieldType.PHONE, FieldType.EMAIL,
                     FieldType.ID_CARD, FieldType.BANK_CARD, FieldType.CREDIT_CODE, FieldType.COLOUR, FieldType.URL})


def spot(context: Context, address: str, *path: str) -> Position:
    """Position of the name at ``path`` in the folder of ``address`` (an entity or a pack); of the nearest that exists above it."""
    folder = context.effective.entities.get(address) or context.effective.packs.get(address)
    if folder is None:
        return NOWHERE
    node: Node | None = Node(folder.kinds, folder.position, folder.position)
    where = folder.position
    for segment in path:
        node = child(node, segment) if node is not None else None
        if node is None:
            break
        where = node.key
    return where


def say(context: Context, code: str, where: Position, address: str, *, hint: str = "", **slots: object) -> None:
    context.report(finding(code, where, address=address, hint=hint, **slots))


def follow(catalog: Catalog, entity: Entity, path: str) -> tuple[Entity, Field | None, str]:
    """Where ``path`` ends: the entity that holds its last name, the field (None for implicit names), and what is wrong ('' when nothing)."""
    here = entity
    *links, last = path.split(".")
    for name in links:
        field = here.fields.get(name)
        target = target_of(field) if field else implicit_links(here).get(name, "")
        if field is None and not target:
            return here, None, "unknown"
        if not target or target not in catalog.entities:
            return here, field, "no link"
        here = catalog.entities[target]
    field = here.fields.get(last)
    if field is None and last != "id" and last not in IMPLICIT and last not in implicit_links(here):
        return here, None, "unknown"
    return here, field, ""


def check_path(context: Context, catalog: Catalog, entity: Entity, path: str, where: Position, address: str) -> Field | None:
    """Report a path that leads nowhere; the field at its end where it leads to one."""
    holder, field, wrong = follow(catalog, entity, path)
    if wrong == "no link":
        say(context, "ML-REF-003", where, address, path=path, field=field.name if field else path)
    elif wrong:
        known = [*holder.fields, *IMPLICIT, *implicit_links(holder), "id"]
        missing = next((n for n in path.split(".") if n not in known), path)
        say(context, "ML-REF-002", where, address, path=path, entity=holder.address, hint=_did_you_mean(missing, known))
    return None if wrong else field
