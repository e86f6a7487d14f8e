"""A list as a board: a column for each state or choice, cards that move by the actions that lead from one to the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flask import Blueprint, make_response, render_template, request

from metaloom import command
from metaloom.base.errors import NotFound, NotPossible, Stale
from metaloom.base.messages import message
from metaloom.base.text import Text
from metaloom.command.context import Offered
from metaloom.model import BoardView, Entity, FieldLevel, FieldType
from metaloom.record import Lane, Lanes, Row
from metaloom.web.action_page import ask_about
from metaloom.web.cells import COLOURS, HIDDEN, Cell, Head, cell_for, heads, resolve, titled, unit_of
from metaloom.web.chart import Said, sayer
from metaloom.web.current import Current, current, locale, say, url
from metaloom.web.form_page import MAX_ID
from metaloom.web.frame import after, list_url, record_url, refused
from metaloom.web.listing import ListState, in_clear, read_state
from metaloom.web.security import inside
from metaloom.web.words import t as _t
from metaloom.web.words import whole

blueprint = Blueprint("board", __name__)
FIELDS_SHOWN = 4
TOUCHED = frozenset({FieldType.CHILD, FieldType.JSON, FieldType.LONG_TEXT, FieldType.RICH_TEXT})


@dataclass(frozen=True)
class Value:
    """One state or choice. ``code``: None where nothing is entered."""

    code: str | None
    label: str
    colour: str = "grey"


@dataclass(frozen=True)
class CardShown:
    """A card as it is drawn. ``facts``: label and cell; ``to``: the columns to which it may go, with blanks between; ``menu``: where they are asked."""

    row: Row
    href: str
    subtitle: str
    facts: tuple[tuple[str, Cell], ...]
    to: str
    menu: str


@dataclass(frozen=True)
class Column:
    """A column as it is drawn. ``more``: where it goes on."""

    value: Value
    count: str
    sums: tuple[tuple[str, Said], ...]
    cards: tuple[CardShown, ...]
    more: str


# ---------------------------------------------------------------------------------------------------------- the board


def board_zone(pinned: Current, state: ListState) -> str:
    """The board in the place of the table."""
    board = _board(state)
    values = values_of(pinned, state.entity, board)
    lanes = Lanes(board.by, board.only, tuple(head.path for head in _card_heads(pinned, state)), readable(pinned, state.entity, board.sums), state.sort,
                  board.cards)
    laid = pinned.reader.board(state.entity.address, lanes, **state.asked())
    known = {value.code for value in values}
    shown = [v for v in values if v.code in laid.lanes or not _hidden(pinned, state.entity, board, v.code)]
    shown += [Value(code, _t("board.none") if code is None else code) for code in laid.lanes if code not in known]
    cards = _Cards(pinned, state)
    columns = [_column(pinned, state, value, laid.lanes.get(value.code), cards) for value in shown]
    return render_template("list/board.html", state=state, view=state.view, entity=state.entity, columns=columns, narrowed=laid.narrowed,
                           moves=cards.movable, post=url(f"/e/{state.entity.address}/"))


@blueprint.get("/e/<entity>/lane")
@blueprint.get("/e/<entity>/<name>/lane")
def show_lane(entity: str, name: str = "main") -> Any:
    """More cards of one column, which take the place of the button that asked for them."""
    pinned = current()
    state = _state(pinned, entity, name)
    board = _board(state)
    key = request.args.get("lane") or None
    page = pinned.reader.lane(entity, board.by, key, sort=state.sort, cursor=state.cursor or None, limit=board.cards,
                              paths=[h.path for h in _card_heads(pinned, state)], **state.asked())
    return render_template("list/board_cards.html", cards=_Cards(pinned, state).shown(page.rows), more=_more(state, key, page.next_cursor))


def _state(pinned: Current, entity: str, name: str) -> ListState:
    """The list of the address, where it is a board for this person; NotFound otherwise."""
    state = read_state(pinned, entity, name)
    if "board" not in state.modes:
        raise NotFound
    return state


def _board(state: ListState) -> BoardView:
    assert state.view.board is not None
    return state.view.board


def _column(pinned: Current, state: ListState, value: Value, lane: Lane | None, cards: _Cards) -> Column:
    if lane is None:
        return Column(value, "0", (), (), "")
    sums = []
    for text, number in lane.sums.items():
        path = resolve(pinned, state.entity, text)
        if path is not None:
            sums.append((say(path.field.label) + unit_of(path.field), sayer(pinned, path.field)(number)))
    return Column(value, f"{lane.rows:,}", tuple(sums), cards.shown(lane.cards), _more(state, lane.key, lane.next_cursor))


def _more(state: ListState, key: str | None, cursor: str | None) -> str:
    return f"{state.place}lane{state.query(lane=key or '', cursor=cursor)}" if cursor else ""


def values_of(pinned: Current, entity: Entity, board: BoardView) -> list[Value]:
    """The values that have a column, in the order of ``only`` or of the metadata."""
    field, lifecycle = entity.fields[board.by], pinned.catalog.lifecycles.get(entity.address)
    items: Iterable[tuple[str, Text, str]] = ()
    if field.type is FieldType.STATE and lifecycle is not None:
        items = ((one.name, one.label, one.colour) for one in lifecycle.states.values())
    elif field.choices in pinned.catalog.choices:
        items = ((one.code, one.label, one.colour) for one in pinned.catalog.choices[field.choices].items.values())
    known = {code: Value(code, say(label), colour if colour in COLOURS else "grey") for code, label, colour in items}
    return [known[code] for code in board.only or known if code in known]


def _hidden(pinned: Current, entity: Entity, board: BoardView, code: str | None) -> bool:
    """A choice that is no longer offered has a column only while something stands in it."""
    choices = pinned.catalog.choices.get(entity.fields[board.by].choices)
    return choices is not None and code in choices.items and choices.items[code].hidden


# ---------------------------------------------------------------------------------------------------------- the cards


def readable(pinned: Current, entity: Entity, paths: Iterable[str]) -> tuple[str, ...]:
    """Those of ``paths`` that the person reads in the clear in some row, every link of the way included."""
    return tuple(text for text in paths if in_clear(pinned, resolve(pinned, entity, text)))


def card_paths(pinned: Current, state: ListState, own: Sequence[str], without: Sequence[str] = ()) -> tuple[str, ...]:
    """The subtitle and the fields of a card: those of the metadata, or the first columns of the list."""
    entity = state.entity
    short = [p for p in state.view.columns if (path := resolve(pinned, entity, p)) is not None and path.field.type not in TOUCHED]
    first = [p for p in short if p not in (entity.title, entity.subtitle, *without)][:FIELDS_SHOWN]
    return readable(pinned, entity, dict.fromkeys([*([entity.subtitle] if entity.subtitle else []), *(own or first)]))


def _card_heads(pinned: Current, state: ListState) -> list[Head]:
    board = _board(state)
    shown = card_paths(pinned, state, board.fields, (board.by,))
    return heads(pinned, state.entity, dict.fromkeys((*shown, board.by)), state.view)


class _Cards:
    """What stands on cards: title, subtitle, fields, and where each of them may be moved."""

    def __init__(self, pinned: Current, state: ListState) -> None:
        self.pinned, self.state, self.board = pinned, state, _board(state)
        self._heads = [head for head in _card_heads(pinned, state) if head.path != self.board.by]
        self._makers = [(head, cell_for(pinned, head.resolved)) for head in self._heads]
        self._targets = _targets(pinned, state)
        self.movable = bool(self._targets) and not state.archived

    def shown(self, rows: Iterable[Row]) -> tuple[CardShown, ...]:
        return tuple(self._card(titled(self.pinned, self.state.entity, row)) for row in rows)

    def _card(self, row: Row) -> CardShown:
        href = record_url(self.state.entity.address, row.id)
        subtitle, facts = "", []
        for place, make in self._makers:
            one = make(row) if row.levels.get(place.path, FieldLevel.HIDDEN) >= FieldLevel.READ else HIDDEN
            if one.text == HIDDEN.text:
                continue
            if place.path == self.state.entity.subtitle:
                subtitle = one.text
            else:
                facts.append((place.label, one._replace(kind="text") if one.kind == "link" else one))
        to = self._to(row)
        return CardShown(row, href if "read" in row.actions else "", subtitle, tuple(facts), " ".join(to),
                         f"{href}/moves?list={self.state.view.name}" if to else "")

    def _to(self, row: Row) -> tuple[str, ...]:
        """The columns to which the person has a way from here; whether it is open now, the server says when it is taken."""
        if row.archived or self.board.by not in row.values:
            return ()
        if self.state.entity.fields[self.board.by].type is not FieldType.STATE:
            return tuple(self._targets) if _may_write(self.pinned, self.state.entity, self.board, row) else ()
        ways = self._targets.get(row.values[self.board.by] or "", {})
        return tuple(state for state, rights in ways.items() if rights & row.actions)


def _targets(pinned: Current, state: ListState) -> dict[str, dict[str, frozenset[str]]]:
    """State → state → the rights that lead there; of a choice its codes."""
    entity, board = state.entity, _board(state)
    if entity.fields[board.by].type is not FieldType.STATE:
        writable = pinned.plan.may(entity.address, "edit") and pinned.plan.field_level_anywhere(entity.address, board.by) >= FieldLevel.WRITE
        return {value.code: {} for value in values_of(pinned, entity, board) if value.code} if writable and _enterable(entity, board) else {}
    rights = {name: action.permission or name for name, action in ((a.name, a) for a in pinned.catalog.actions_of(entity.address))}
    return {begin: {end: frozenset(rights[name] for name in names) for end, names in ways.items()}
            for begin, ways in command.ways_between(pinned.catalog, entity.address).items()}


def _enterable(entity: Entity, board: BoardView) -> bool:
    field = entity.fields[board.by]
    return entity.storage == "table" and not (entity.append_only or entity.child_of or field.computed or field.read_only or field.fixed)


def _may_write(pinned: Current, entity: Entity, board: BoardView, row: Row) -> bool:
    return _enterable(entity, board) and row.levels.get(board.by, FieldLevel.HIDDEN) >= FieldLevel.WRITE and \
        command.may_edit(pinned.looking(), entity.address, row)


# ------------------------------------------------------------------------------------------------------ moving a card


@blueprint.get("/e/<entity>/<int:id>/moves")
def show_moves(entity: str, id: int) -> Any:
    """The menu of a card: every other column, with what leads there or why nothing does."""
    pinned = current()
    state, row, here = _card(pinned, entity, id, request.args.get("list", "main"))
    found = [(value, _way(pinned, state, row, value)) for value in values_of(pinned, state.entity, _board(state)) if value.code != here]
    there = [(value, way) for value, way in found if way is not None]
    return render_template("list/board_moves.html", moves=there, row=row, post=record_url(entity, id, "/move"), name=state.view.name,
                           href=record_url(entity, id) if "read" in row.actions else "")


@blueprint.post("/e/<entity>/<int:id>/move")
def move(entity: str, id: int) -> Any:
    """Move the card to the column ``to``, by the action that leads there: at once, or through its dialog where it asks or warns."""
    pinned = current()
    state, row, here = _card(pinned, entity, id, request.form.get("list", "main"))
    to = next((value for value in values_of(pinned, state.entity, _board(state)) if value.code == request.form.get("to")), None)
    if to is None:
        raise NotFound
    back = inside(request.form["_next"]) if request.form.get("_next") else list_url(entity, state.view.name)
    if whole(request.form.get("_version", "")) != row.row_version:
        return _moved_on(back)
    if to.code == here:
        return "", 204
    way = _way(pinned, state, row, to)
    if way is None:
        raise NotPossible(message("web.no_way", here=_label(pinned, state, here), there=to.label))
    try:
        return _take(pinned, state, row, to, way, back)
    except Stale:
        return _moved_on(back)


def _card(pinned: Current, entity: str, id: int, name: str) -> tuple[ListState, Row, str | None]:
    """The record and the column it stands in; NotFound where it is none of this person's, or of no board."""
    pinned.entity(entity)
    state = _state(pinned, entity, name)
    if id > MAX_ID:
        raise NotFound
    by, row = _board(state).by, pinned.reader.get(entity, id, children=False)
    if row.archived or row.levels.get(by, FieldLevel.HIDDEN) < FieldLevel.READ:
        raise NotFound
    return state, row, row.values.get(by)


def _way(pinned: Current, state: ListState, row: Row, to: Value) -> tuple[Offered, ...] | None:
    """The buttons that lead to the column; () for a choice that is simply changed; None where nothing leads there."""
    board = _board(state)
    if state.entity.fields[board.by].type is not FieldType.STATE:
        return () if _may_write(pinned, state.entity, board, row) and not _hidden(pinned, state.entity, board, to.code) else None
    if to.code not in _targets(pinned, state).get(row.values.get(board.by) or "", {}):
        return None
    visit = pinned.visit
    day = visit.business_date if visit is not None and visit.session_id else None
    return command.moves_of(pinned.looking(), state.entity.address, row, pinned.conn, day=day).get(to.code or "")


def _take(pinned: Current, state: ListState, row: Row, to: Value, way: tuple[Offered, ...], back: str) -> Any:
    address = state.entity.address
    if not way:
        saved = command.change_record(pinned.context(), address, row.id, {_board(state).by: to.code}, row.row_version)
        return after(saved.message.say(locale()), back)
    named = [one for one in way if one.name == request.form.get("action")] or list(way)
    ready = [one for one in named if one.enabled]
    if not ready:
        assert named[0].reason is not None
        raise NotPossible(named[0].reason)
    if len(ready) > 1:
        return render_template("list/board_ways.html", ways=ready, to=to, row=row, back=back, name=state.view.name, post=record_url(address, row.id, "/move"))
    one = ready[0]
    if one.asks or one.confirm or one.money:
        return ask_about(pinned, state.entity, one.name, row, back)
    done = command.run_action(pinned.context(), address, row.id, one.name, {}, row.row_version)
    return after(done.message.say(locale()), back)


def _moved_on(back: str) -> Any:
    """Somebody else was first: the board is drawn as it stands now and says so."""
    answer = make_response("", 204)
    answer.headers["HX-Redirect"] = back
    return refused(answer, message("web.moved_on").say(locale()))


def _label(pinned: Current, state: ListState, code: str | None) -> str:
    everything = replace(_board(state), only=())
    return next((value.label for value in values_of(pinned, state.entity, everything) if value.code == code), _t("board.none"))
