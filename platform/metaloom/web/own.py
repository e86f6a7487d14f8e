"""Entities whose rows have commands of their own, and what their pages offer besides.

The generic screens (list, form, detail, action) ask ``own_of(entity)`` and never name an entity. A page that knows better
registers itself here once, when it is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from metaloom.base.errors import Problem
from metaloom.base.messages import Message
from metaloom.base.text import Text
from metaloom.command.context import Context, Offered, Saved
from metaloom.model import Catalog, Field
from metaloom.web.current import Current
from metaloom.web.form_model import FormField, FormSection

Values = Mapping[str, Any]


def as_it_is(pinned: Current, one: FormField) -> FormField:
    """The field as the metadata makes it."""
    return one


@dataclass(frozen=True)
class Verb:
    """A command of its own as a button: under the addresses ``ask/<name>`` and ``do/<name>``, like every action.

    ``right``: (entity, action) that its command will ask for. ``when``: True offers it, a message shows it grey, False not at
    all. ``run(ctx, id, values, version)`` calls the command. ``asks``: there is something to fill in.
    """

    name: str
    label: Text
    icon: str
    right: tuple[str, str]
    run: Callable[[Context, int, Values, int | None], Saved]
    fields: Callable[[Catalog], Mapping[str, Field]] = lambda catalog: {}
    when: Callable[[Current, Any], bool | Message] = lambda pinned, row: True
    confirm: Text | None = None
    help: Text | None = None
    style: str = ""
    dress: Callable[[Current, FormField], FormField] = as_it_is
    asks: bool = False


@dataclass(frozen=True)
class Way:
    """A button that leads to another page."""

    label: str
    icon: str
    href: str


@dataclass(frozen=True)
class Elsewhere:
    """What a record offers to do with another one: ``actions`` on ``row``, whose address is ``url`` and whose name is ``about``;
    ``ways`` to other pages. ``back``: where to go afterwards."""

    about: str
    actions: tuple[Offered, ...] = ()
    ways: tuple[Way, ...] = ()
    row: Any = None
    url: str = ""
    back: str = ""


@dataclass(frozen=True)
class Own:
    """What a page of its own tells the generic screens. ``create``/``change``: the commands behind the form (``sent`` is the
    form). ``section``: more fields of the form; ``check``: what is wrong with them. ``panel``: more of the detail page, as HTML.
    ``elsewhere``: what the record offers to do with another one."""

    create: Callable[[Context, Values, Values], Saved] | None = None
    change: Callable[[Context, int, Values, int | None], Saved] | None = None
    section: Callable[[Current, str, tuple[Problem, ...]], FormSection | None] = lambda pinned, purpose, problems: None
    check: Callable[[str, Values], tuple[Problem, ...]] = lambda purpose, sent: ()
    dress: Callable[[Current, FormField], FormField] = as_it_is
    panel: Callable[[Current, Any], str] | None = None
    panel_first: bool = False      # above the fields
    elsewhere: Callable[[Current, Any], Elsewhere | None] = lambda pinned, row: None
    verbs: Mapping[str, Verb] = field(default_factory=dict)


NOTHING = Own()
_OWN: dict[str, Own] = {}


def register(entity: str, own: Own) -> None:
    """From now on the generic screens of ``entity`` ask ``own``."""
    _OWN[entity] = own


def own_of(entity: str) -> Own:
    """What was registered for the entity; ``NOTHING`` for every other one."""
    return _OWN.get(entity, NOTHING)


def may(pinned: Current, entity: str, row: Any, verb: Verb) -> bool:
    """Whether the person holds the right that the command will ask for: on this row, or on the other entity it names."""
    other, action = verb.right
    return action in row.actions if other == entity else bool(pinned.plan.may(other, action))


def offered(pinned: Current, entity: str, row: Any) -> list[Offered]:
    """The verbs as buttons."""
    found = []
    for verb in own_of(entity).verbs.values():
        said = verb.when(pinned, row) if not row.archived and may(pinned, entity, row, verb) else False
        if said is not False:
            found.append(Offered(verb.name, verb.label, verb.style, verb.icon, said is True, None if said is True else said,
                                 verb.asks, verb.confirm))
    return found


def dressed(pinned: Current, entity: str, sections: list[FormSection]) -> list[FormSection]:
    """The sections of the form with their fields as the page of its own wants them."""
    dress = own_of(entity).dress
    return [replace(one, fields=tuple(dress(pinned, f) for f in one.fields)) for one in sections]
