"""Paper: a record by a template of its entity, or a list, as PDF."""

from __future__ import annotations

import io

from flask import Response

from metaloom.api.answer import sent_file
from metaloom.api.door import pinned
from metaloom.api.question import EXPORT_KEYS, no_other_parameters, read_question
from metaloom.api.records import known_entity, record_id, renamed
from metaloom.api.speech import locale
from metaloom.base.errors import Invalid
from metaloom.command.print_records import Printed, print_list, print_record

PAPER_KEYS = tuple(key for key in EXPORT_KEYS if key != "format")


def print_one(entity: str, id: str, template: str) -> Response:
    """GET /<entity>/<id>/print/<template>; ``main`` is there for every entity."""
    no_other_parameters()
    return _file(print_record(pinned(), known_entity(entity), record_id(id), template, locale=locale()))


def print_all(entity: str) -> Response:
    """GET /<entity>/print: the rows of the list, all of them, on paper."""
    found = known_entity(entity)
    asked = read_question(pinned().revision, found, PAPER_KEYS)
    view = asked.asked.get("view")
    title = (view.label if view is not None and view.label else found.label).say(locale())
    try:
        return _file(print_list(pinned(), found, locale=locale(), title=title, sort=asked.sort, paths=asked.columns, **asked.asked))
    except Invalid as wrong:
        raise renamed(wrong) from None


def _file(printed: Printed) -> Response:
    made = sent_file(io.BytesIO(printed.content), "application/pdf", printed.name, printed.stand_in, inline=True)
    made.headers["Cache-Control"] = "private, no-store"
    return made
