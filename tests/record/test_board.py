"""A list as columns of cards: what stands in them, how many there are and what they sum to, for whom, in one statement, on both databases."""

from __future__ import annotations

import random
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest

from metaloom.base.errors import Invalid, NotAllowed
from metaloom.record import Filter, Lanes
from tests.record.world import PEOPLE, statements

ROWS, CARDS = 180, 7


@pytest.fixture(scope="module")
def many(world: Any) -> dict[int, dict[str, Any]]:
    """Projects of four people in two companies, by id, in three states or none."""
    dice, rows = random.Random(7), []
    for i in range(3000, 3000 + ROWS):
        owner = dice.choice((1, 2, 3, 4))
        _, company, unit = PEOPLE[owner]
        rows.append({"id": i, "code": f"B{i}", "name": f"板{i % 5}", "client_id": dice.choice((1, 2, None)), "owner_id": owner, "company_id": company,
                     "org_unit_id": unit, "budget": dice.choice((None, Decimal("0.01"), Decimal("99999999999999.99"))),
                     "status": dice.choice(("draft", "open", "open", None))})
    with world.tenant.write() as conn:
        world._rows(conn, "demo.project", rows)
    return {row["id"]: row for row in rows}


ONLY = Filter("code", "prefix", "B")


def by_hand(many: dict[int, dict[str, Any]], visible: set[int]) -> dict[str | None, list[dict[str, Any]]]:
    found: dict[str | None, list[dict[str, Any]]] = defaultdict(list)
    for id in sorted(visible, reverse=True):
        if id in many:
            found[many[id]["status"]].append(many[id])
    return found


def listed(reader: Any) -> set[int]:
    page, ids = reader.list("demo.project", limit=200, filters=[ONLY], paths=["name"]), set()
    ids |= {row.id for row in page}
    while page.next_cursor:
        page = reader.list("demo.project", limit=200, filters=[ONLY], paths=["name"], cursor=page.next_cursor)
        ids |= {row.id for row in page}
    return ids


@pytest.mark.parametrize("roles", [("everything", "all_clients"), ("own",), ("office", "own")])
def test_columns_hold_the_rows_of_the_list_and_count_and_add_them_all(world: Any, many: Any, roles: tuple[str, ...]) -> None:
    """In one statement whoever asks; cards of a row scope that the person lacks are neither shown nor counted nor added."""
    with world.as_(1, *roles) as reader:
        wanted = by_hand(many, listed(reader))
        money = roles != ("office", "own")                      # the office does not see budgets; of own projects they are seen
        with statements(reader.conn) as sent:
            laid = reader.board("demo.project", Lanes("status", paths=("name", "client", "budget"), sums=("budget",), sort=("-id",), limit=CARDS),
                                filters=[ONLY])
        assert laid.narrowed == (not money), "what the sums leave out is said"
        assert len([s for s in sent if "set_config" not in s]) == 1
        assert set(laid.lanes) == set(wanted) and len(wanted) >= 2
        for key, rows in wanted.items():
            lane = laid.lanes[key]
            assert lane.rows == len(rows) and [card.id for card in lane.cards] == [row["id"] for row in rows][:CARDS]
            mine = [row for row in rows if money or row["owner_id"] == 1]
            assert {card.id for card in lane.cards if "budget" in card.values} == {row["id"] for row in rows[:CARDS] if row in mine}
            assert lane.sums["budget"] == sum((row["budget"] or 0 for row in mine), Decimal("0.00"))
            assert (lane.next_cursor is not None) == (len(rows) > CARDS)


def test_a_board_says_nothing_of_rows_that_would_have_added_but_are_not_on_it(world: Any, many: Any) -> None:
    """Of own projects the budgets are read; where only those stand on the board, its sums are whole."""
    with world.as_(1, "office", "own") as reader:
        for filters, said in (([ONLY], True), ([ONLY, Filter("owner", "eq", 1)], False)):
            assert reader.board("demo.project", Lanes("status", paths=("name",), sums=("budget",)), filters=filters).narrowed is said
        assert not reader.board("demo.project", Lanes("status", paths=("name",)), filters=[ONLY]).narrowed


def test_a_column_goes_on_where_the_board_ended(world: Any, many: Any) -> None:
    with world.as_(1, "everything", "all_clients") as reader:
        wanted = by_hand(many, listed(reader))
        for sort in (("-id",), ("budget", "-code"), ("client",)):
            laid = reader.board("demo.project", Lanes("status", paths=("name",), sort=sort, limit=CARDS), filters=[ONLY])
            for key, rows in wanted.items():
                seen, cursor = [card.id for card in laid.lanes[key].cards], laid.lanes[key].next_cursor
                while cursor:
                    page = reader.lane("demo.project", "status", key, sort=sort, cursor=cursor, limit=CARDS, paths=["name"], filters=[ONLY])
                    seen, cursor = seen + [row.id for row in page], page.next_cursor
                assert len(seen) == len(set(seen)) and set(seen) == {row["id"] for row in rows}, (key, sort)


def test_only_some_columns_are_read_when_only_they_are_asked_for(world: Any, many: Any) -> None:
    with world.as_(1, "everything") as reader:
        laid = reader.board("demo.project", Lanes("status", keys=("open",), paths=("name",)), filters=[ONLY])
        assert set(laid.lanes) == {"open"}


def test_search_tab_and_list_filter_hold_for_a_board(world: Any, many: Any) -> None:
    view = world.catalog.lists["demo.project/main"]
    with world.as_(1, "everything") as reader:
        assert set(reader.board("demo.project", Lanes("status", paths=("name",)), view=view, tab="open").lanes) == {"open"}
        found = reader.board("demo.project", Lanes("status", paths=("name",)), view=view, q="板3", filters=[ONLY])
        assert {many[card.id]["name"] for lane in found.lanes.values() for card in lane.cards} == {"板3"}


def test_a_board_by_what_the_reader_may_not_read_is_refused_as_if_it_were_not_there(world: Any, many: Any) -> None:
    with world.as_(1, "own_secret") as reader:
        for lanes in (Lanes("status", paths=("name",)), Lanes("gone", paths=("name",)), Lanes("budget", paths=("status",)), Lanes("budget", sums=("hours",))):
            with pytest.raises(Invalid):
                reader.board("demo.project", lanes, filters=[])
        with pytest.raises(Invalid):
            reader.lane("demo.project", "status", "open", paths=["name"])
    with world.as_(1, "everything") as reader:
        for by in ("name", "client", "client.level", "budget", "created_at", "id"):
            with pytest.raises(Invalid):
                reader.board("demo.project", Lanes(by, paths=("name",)))
    with world.as_(1, "checker") as reader, pytest.raises(NotAllowed):
        reader.board("demo.client", Lanes("level", paths=("name",)))
