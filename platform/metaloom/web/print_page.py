"""Paper: one record by a template of its entity, or a list as it is filtered, as PDF in the browser."""

from __future__ import annotations

import io
from typing import Any

from flask import Blueprint

from metaloom.base.errors import NotFound
from metaloom.command.print_records import Printed, print_list, print_record
from metaloom.model.printing import MAIN
from metaloom.web.current import current, locale
from metaloom.web.detail_page import MAX_ID
from metaloom.web.download import sent_file
from metaloom.web.list_page import list_title, own_columns
from metaloom.web.listing import read_state

blueprint = Blueprint("print", __name__)


@blueprint.get("/e/<entity>/<int:id>/print")
@blueprint.get("/e/<entity>/<int:id>/print/<name>")
def print_one(entity: str, id: int, name: str = MAIN) -> Any:
    """The record on the paper ``name``; without a name the one that takes the place of the default print, else that."""
    pinned = current()
    definition = pinned.entity(entity)
    if id > MAX_ID:
        raise NotFound
    return _shown(print_record(pinned, definition, id, name, locale=locale()))


@blueprint.get("/e/<entity>/print")
@blueprint.get("/e/<entity>/<name>/print")
def print_all(entity: str, name: str = "main") -> Any:
    """The whole filter as a table, with the columns and masks of the screen."""
    pinned = current()
    state = read_state(pinned, entity, name)
    made = print_list(pinned, state.entity, locale=locale(), title=list_title(pinned, state), paths=own_columns(pinned, state), sort=state.sort,
                      **state.asked())
    return _shown(made)


def _shown(printed: Printed) -> Any:
    answer = sent_file(io.BytesIO(printed.content), "application/pdf", printed.name, printed.stand_in, inline=True)
    answer.headers["Cache-Control"] = "private, no-store"
    return answer
