# ruff: noqa: E501 (tables of questions read better in long lines)
"""What a person may ask of a list, and what it answers: filters, sort, pages, totals, search; and what is refused."""

import contextlib
import random
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from metaloom.base.errors import Invalid
from metaloom.record import Count, Filter
from metaloom.schema_change.ddl import create_index
from metaloom.storage.layout import layout_of
from metaloom.storage.ready import PREPARED_AFTER
from tests.record.world import ID_CARDS, NOW, statements


def ids(page) -> list[int]:
    return [row.id for row in page]


@pytest.fixture(scope="module")
def many(world):
    """300 more projects of company 1 with few distinct values and many nulls; ids from 1000."""
    dice = random.Random(7)
    rows = []
    for i in range(1000, 1300):
        owner = dice.choice((1, 2, 3))
        rows.append({
            "id": i, "code": f"M{i}", "name": f"批量{i % 7}", "client_id": dice.choice((1, 2, 3, None)), "owner_id": owner,
            "budget": dice.choice((None, Decimal("10.00"), Decimal("10.01"), Decimal("99999999999999.99"))),
            "hours": dice.choice((None, 0, 1, 2)), "urgent": dice.choice((None, True, False)),
            "starts_on": dice.choice((None, datetime(2026, 3, 1).date(), datetime(2026, 2, 28).date())),
            "closed_at": dice.choice((None, NOW, NOW + timedelta(hours=20))), "company_id": 1, "org_unit_id": owner + 1,
            "created_at": NOW + timedelta(seconds=dice.randint(0, 3)), "status": dice.choice(("draft", "open", None)),
        })
    with world.tenant.write() as conn:
        world._rows(conn, "demo.project", rows)
    return [row["id"] for row in rows]


def walk(reader, sort, limit, *, backwards=False, **asked):
    """Every row that paging visits, from the first page on; or from the last page back."""
    page = reader.list("demo.project", sort=sort, limit=limit, **asked)
    visited = ids(page)
    while page.next_cursor:
        page = reader.list("demo.project", sort=sort, limit=limit, cursor=page.next_cursor, **asked)
        visited = ids(page) if backwards and not page.next_cursor else visited + ids(page)
    if not backwards:
        return visited
    while page.prev_cursor:
        page = reader.list("demo.project", sort=sort, limit=limit, cursor=page.prev_cursor, **asked)
        visited = ids(page) + visited
    return visited


SORTABLE = ("code", "name", "client", "client.level", "budget", "hours", "starts_on", "closed_at", "urgent", "status", "created_at", "id", "owner")


def test_paging_visits_each_row_exactly_once_in_order_under_any_sort(world, many):
    """Nulls, duplicates, several keys, both directions: forwards and backwards give one and the same sequence."""
    dice = random.Random(20261121)
    with world.as_(1, "everything", "all_clients") as reader:
        everything = set(ids(reader.list("demo.project", limit=200))) | set(many) | set(range(1, 9))
        for _ in range(12):
            sort = [dice.choice(("", "-")) + name for name in dice.sample(SORTABLE, dice.choice((1, 1, 2, 3)))]
            limit = dice.choice((29, 50, 77))
            forwards = walk(reader, sort, limit)
            assert len(forwards) == len(everything) == 308 and set(forwards) == everything, sort
            assert walk(reader, sort, limit, backwards=True) == forwards, sort
            pages = [i for n in range(1, 400) for i in ids(reader.list("demo.project", sort=sort, limit=limit, page=n))
                     if n <= -(-308 // limit)] if dice.random() < .3 else forwards
            assert pages == forwards, sort


def test_nulls_stand_last_in_both_directions(world, many):
    with world.as_(1, "everything") as reader:
        for sort in ("hours", "-hours"):
            found = [row["hours"] for row in reader.list("demo.project", sort=[sort], limit=200, paths=["hours"])]
            assert None not in found[:150] or found[-1] is None
            values = [v for v in found if v is not None]
            assert values == sorted(values, reverse=sort.startswith("-"))
            assert found[:len(values)] == values


def test_a_list_takes_one_statement_and_at_most_three(world, many):
    view = world.catalog.lists["demo.project/main"]
    for roles in (("everything", "all_clients"), ("own", "office", "checker", "masked_reader")):
        with world.as_(1, *roles) as reader, statements(reader.conn) as sent:
            reader.list("demo.project", view=view)
            assert len(sent) == 1, roles
            reader.list("demo.project", view=view, filters=[Filter("client.name", "contains", "张")], sort=["-client", "hours"], tab="open", q="项目")
            assert len(sent) <= 3
    with world.as_(1, "everything") as reader, statements(reader.conn) as sent:
        reader.get("demo.project", 1)
        assert len(sent) == 2  # the row, one child grid
    with world.as_(1, "everything") as reader, statements(reader.conn) as sent:
        reader.tab_counts("demo.project", view)
        reader.totals("demo.project", ["budget", "hours"])
        assert len(sent) == 2


@pytest.mark.parametrize(("path", "op", "value", "expected"), [
    ("code", "eq", "P3", [3]), ("code", "ne", "P3", [8, 7, 6, 5, 4, 2, 1]), ("code", "in", ["P1", "P2"], [2, 1]), ("code", "in", "P1,P2", [2, 1]), ("code", "not_in", ["P1", "P2", "P3", "P4"], [8, 7, 6, 5]), ("tags", "empty", True, [8, 7, 6, 5, 4, 3, 2]),
    ("reviewer", "not_in", [4, 3], [8, 7, 4, 3]),
    ("name", "prefix", "项目1", [1]), ("name", "contains", "目2", [2]), ("name", "contains", "%", []), ("name", "contains", "_", []),
    ("name", "contains", "\\", []), ("name", "contains", "xm3", [3]), ("name", "contains", "XiangMu 3", [3]),
    ("budget", "gt", "700", [8]), ("budget", "ge", "700.00", [8, 7]), ("budget", "lt", "200", [1]), ("budget", "between", ["200", "300"], [3, 2]),
    ("budget", "between", [None, "100"], [1]), ("budget", "between", "700,", [8, 7]), ("budget", "eq", Decimal("300"), [3]),
    ("margin", "eq", "0.125", [8, 7, 6, 5, 4, 3, 2, 1]), ("hours", "in", [1, "2"], [2, 1]), ("hours", "le", 2, [2, 1]),
    ("starts_on", "ge", "2026-01-07", [8, 7]), ("starts_on", "between", ["2026-01-02", "2026-01-03"], [3, 2]),
    ("created_at", "eq", "2026-11-01", [8, 7, 6, 5, 4, 3, 2, 1]), ("created_at", "lt", "2026-11-01", []), ("created_at", "gt", "2026-11-01", []),
    ("created_at", "ge", "2026-11-01T08:00:00Z", [8, 7, 6, 5, 4, 3, 2, 1]), ("created_at", "gt", "2026-11-01 16:00", []),
    ("created_at", "ge", "2026-11-01 16:00", [8, 7, 6, 5, 4, 3, 2, 1]), ("created_at", "between", ["2026-10-31", "2026-11-01"], [8, 7, 6, 5, 4, 3, 2, 1]),
    ("status", "eq", "open", [8, 7, 6, 5]), ("status", "in", ["draft", "open"], [8, 7, 6, 5, 4, 3, 2, 1]), ("client", "eq", 2, [6, 2]),
    ("client", "in", "1,2", [6, 5, 2, 1]), ("client.level", "eq", "gold", [7, 5, 3, 1]), ("client.name", "eq", "张三", [5, 1]),
    ("client.client_no", "prefix", "K00", [8, 7, 6, 5, 4, 3, 2, 1]), ("reviewer", "eq", "me", [8, 4]), ("owner", "eq", "1", [5, 1]),
    ("company", "eq", "2", [8, 4]), ("tags", "contains", "红", [1]), ("tags", "contains", "a", [1]), ("tags", "contains", "\"", []),
    ("tags", "empty", False, [1]), ("closed_at", "empty", "false", []), ("urgent", "empty", True, [8, 7, 6, 5, 4, 3, 2, 1]),
    ("id", "in", [3, 4], [4, 3]), ("client.mobile", "last4", "5917", [5, 1]), ("client.mobile", "eq", "132 5678 5917", [5, 1]),
    ("client.id_no", "eq", ID_CARDS[2].lower(), [6, 2]), ("client.id_no", "in", [ID_CARDS[1], ID_CARDS[2]], [5, 1]),
])
def test_each_operator_finds_what_it_says(world, path, op, value, expected):
    with world.as_(1, "everything", "own", "office", company=None) as reader:
        page = reader.list("demo.project", filters=[Filter(path, op, value), Filter("code", "prefix", "P")], limit=50)
        masked = path.startswith("client.")
        assert ids(page) == [i for i in expected if not masked or i not in (4, 8)]


HOSTILE = ["' OR 1=1--", "\x00", "1e400", "NaN", "Infinity", "١٢٣", [1], {"a": 1}, True, "", None, "x" * 5000, "1,2,3", float("nan"), 10**400, "-0",
           "2026-13-01", "9999-99-99T99:99", "0001-01-01", "1_000", "0x10", b"1", object()]


OPS = ("eq", "ne", "lt", "between", "in", "not_in", "contains", "prefix", "empty", "last4")


@pytest.mark.parametrize("op", ["eq", "ne", "lt", "between", "in", "not_in", "contains", "prefix", "empty", "last4", "", "sw", "regex", None, ["eq"], "eq; drop table x"])
def test_hostile_filters_are_refused_or_find_nothing_and_never_fail(world, op):
    started = time.perf_counter()
    with world.as_(1, "office", "own") as reader:
        paths = ("code", "budget", "hours", "starts_on", "created_at", "meets_at", "urgent", "status", "client", "tags", "kinds", "extra", "margin", "client.mobile")
        for path in paths if op in OPS else paths[:2]:
            for value in HOSTILE:
                try:
                    rows = reader.list("demo.project", filters=[Filter(path, op, value)], limit=5)
                except Invalid as refused:
                    assert refused.problems and all(p.message.say("zh") for p in refused.problems)
                else:
                    assert op in OPS, (path, op, value, rows)
    assert time.perf_counter() - started < 20


@pytest.mark.parametrize("path", ["nothing", "secret", "client.secret", "id;select pg_sleep(5)--", "(case when 1=1 then 1 end)", "../x", "client..name", "",
                                  "client.name.x", "row_version.x", "tasks", "tasks.title", "__class__", "client.owner.password", "password", 5, None, ["code"], "a" * 10_000,
                                  "client.id_no__bx", "name__py", "company_id", "reviewer.username", "reviewer.password"])
def test_an_unknown_or_hidden_column_is_refused_alike_in_filter_sort_columns_and_totals(world, path):
    """The oracle: what may not be seen can neither be asked, nor ordered, nor summed; and it looks like what does not exist."""
    with world.as_(3, "office", "masked_reader") as reader:
        asked = [
            lambda: reader.list("demo.project", filters=[Filter(path, "eq", "1")]),
            lambda: reader.list("demo.project", filters=[Filter(path, "empty", True)]),
            lambda: reader.list("demo.project", sort=[path]),
            lambda: reader.list("demo.project", paths=[path]),
            lambda: reader.count("demo.project", filters=[Filter(path, "gt", "1")]),
        ]
        for ask in asked:
            started = time.perf_counter()
            with pytest.raises(Invalid) as refused:
                ask()
            assert refused.value.problems[0].message.code == "record.unknown_column"
            assert time.perf_counter() - started < 0.5
        if isinstance(path, str):
            with contextlib.suppress(Invalid):
                assert path not in reader.totals("demo.project", [path])


def test_hidden_columns_of_the_list_fall_away_and_its_sort_tells_nothing(world):
    view = world.catalog.lists["demo.project/main"]
    with world.as_(3, "office") as reader:
        page = reader.list("demo.project", view=view)
        assert "budget" not in page.paths and "code" in page.paths and not page.narrowed
        assert reader.totals("demo.project", ["budget"], view=view) == {}
    hidden_sort = type(view)(**{**{f: getattr(view, f) for f in view.__dataclass_fields__}, "sort": ("-secret",)})
    with world.as_(3, "office") as reader:
        assert ids(reader.list("demo.project", view=hidden_sort)) == ids(reader.list("demo.project", limit=20))


def test_a_filter_sort_or_total_speaks_only_of_rows_where_the_field_is_readable(world):
    """own_secret sees `budget` of own rows, office sees the company's rows without it."""
    with world.as_(1, "own_secret", "office") as reader:
        page = reader.list("demo.project", filters=[Filter("budget", "ge", "0"), Filter("code", "prefix", "P")])
        assert ids(page) == [5, 1] and page.narrowed
        page = reader.list("demo.project", sort=["-budget"], filters=[Filter("code", "prefix", "P")])
        assert ids(page) == [5, 1] and page.narrowed
        assert reader.totals("demo.project", ["budget"], filters=[Filter("code", "prefix", "P")]) == {"budget": Decimal("600.00")}
        assert not reader.list("demo.project", filters=[Filter("name", "contains", "项")]).narrowed


def test_masked_fields_are_found_by_exact_value_or_last_four_only(world):
    with world.as_(1, "office") as reader:
        assert ids(reader.list("demo.client", filters=[Filter("mobile", "last4", "5917")])) == [1]
        assert ids(reader.list("demo.client", filters=[Filter("id_no", "eq", ID_CARDS[1])])) == [1]
        assert ids(reader.list("demo.client", filters=[Filter("mobile", "last4", "0000")])) == []
        for op, value in (("contains", "5917"), ("prefix", "132"), ("gt", "1"), ("in", [ID_CARDS[1]]), ("empty", True), ("last4", "591")):
            with pytest.raises(Invalid):
                reader.list("demo.client", filters=[Filter("id_no" if op == "in" else "mobile", op, value)])
        for path in ("mobile", "id_no"):
            with pytest.raises(Invalid):
                reader.list("demo.client", sort=[path])
        with pytest.raises(Invalid) as refused:
            reader.list("demo.client", filters=[Filter("mobile", "contains", "13256785917")])
        assert "13256785917" not in refused.value.message.say("zh") + "".join(p.message.say("zh") for p in refused.value.problems)


@pytest.mark.parametrize(("typed", "found"), [
    ("张", [1]), ("张三", [1]), ("zs", [1]), ("zhangsan", [1]), ("zhang san", [1]), ("ZhangSan", [1]), ("ls", [2]), ("K003", [3]), ("5917", [1]), ("13256785917", [1]),
    (ID_CARDS[2], [2]), ("%", []), ("' OR 1=1--", []), ("zzz", []), ("\\", []), ("王 五", []),
])
def test_quick_search_looks_in_names_pinyin_keys_and_last_four(world, typed, found):
    with world.as_(1, "office") as reader:
        assert ids(reader.list("demo.client", q=typed)) == found
        assert [hit.id for hit in reader.lookup("demo.client", typed)] == found


def test_quick_search_does_not_look_where_the_reader_may_not(world):
    with world.as_(3, "office") as reader:
        assert ids(reader.list("demo.project", q="secret 3")) == []


@pytest.mark.parametrize("asked", [
    {"limit": 0}, {"limit": -1}, {"limit": 10**9}, {"limit": "20"}, {"limit": True}, {"page": 0}, {"page": 401}, {"page": 10**12}, {"page": "1"}, {"cursor": "x"}, {"cursor": ""},
    {"cursor": "é"}, {"cursor": "A" * 5000}, {"tab": "nothing"}, {"sort": ["code"] * 5}, {"filters": [Filter("code", "eq", "1")] * 500}, {"filters": [Filter("code", "in", ["x"] * 10_000)]},
    {"q": "x" * 101}, {"q": "\x00"}, {"paths": ["code"] + [f"x{i}" for i in range(200)]}, {"sort": ["notes"]}, {"sort": ["extra"]}, {"sort": ["--code"]},
])
def test_absurd_questions_are_refused_quickly(world, asked):
    started = time.perf_counter()
    with world.as_(1, "everything") as reader:
        if asked == {"cursor": ""}:
            assert len(reader.list("demo.project", **asked)) > 0
            return
        with pytest.raises(Invalid):
            reader.list("demo.project", **asked)
    assert time.perf_counter() - started < 0.2


def test_a_page_marker_is_bound_to_tenant_entity_and_sort(world, many):
    with world.as_(1, "everything", "office") as reader:
        cursor = reader.list("demo.project", sort=["hours"], limit=5).next_cursor
        assert len(reader.list("demo.project", sort=["hours"], limit=5, cursor=cursor)) == 5
        for asked in ({"sort": ["-hours"]}, {"sort": ["hours", "code"]}, {"sort": []}):
            with pytest.raises(Invalid):
                reader.list("demo.project", limit=5, cursor=cursor, **asked)
        with pytest.raises(Invalid):
            reader.list("demo.client", limit=5, cursor=cursor)
        for broken in (cursor[:-1] + ("A" if cursor[-1] != "A" else "B"), cursor[1:], cursor + "A", cursor.swapcase()):
            with pytest.raises(Invalid):
                reader.list("demo.project", sort=["hours"], limit=5, cursor=broken)


def test_tabs_counts_and_totals_agree_with_the_rows(world, many):
    view = world.catalog.lists["demo.project/main"]
    with world.as_(1, "everything", "own", "office") as reader:
        counts = reader.tab_counts("demo.project", view)
        for tab in view.tabs:
            rows, cursor = [], None
            while True:
                page = reader.list("demo.project", view=view, tab=tab, limit=100, cursor=cursor)
                rows += page.rows
                cursor = page.next_cursor
                if cursor is None:
                    break
            assert counts[tab] == reader.count("demo.project", view=view, tab=tab) == Count(len(rows), True)
            total = reader.totals("demo.project", ["budget", "hours"], view=view, tab=tab)
            assert total["budget"] == (sum(row["budget"] for row in rows if row["budget"] is not None) or total["budget"])
        assert reader.count("demo.project", cap=5) == Count(5, False)
        assert reader.count("demo.project", filters=[Filter("code", "eq", "none")]) == Count(0, True)
        assert reader.estimate("demo.project").number == 308


def test_archived_rows_stay_out_of_lists_and_are_struck_where_linked(world):
    table = world.revision.tables.of("demo.client")
    with world.tenant.write() as conn:
        conn.execute(table.update().where(table.c.id == 4).values(archived_at=datetime.now(UTC)))
    try:
        with world.as_(4, "office") as reader:
            assert ids(reader.list("demo.client")) == []
            assert [row.archived for row in reader.list("demo.client", archived=True)] == [True]
            assert reader.get("demo.client", 4).archived
            assert reader.get("demo.project", 4).struck == {"client"}
            assert reader.lookup("demo.client") == [] and reader.visible("demo.client", [4]) == frozenset()
    finally:
        with world.tenant.write() as conn:
            conn.execute(table.update().where(table.c.id == 4).values(archived_at=None))


def test_related_records_are_those_that_link_here(world, many):
    with world.as_(1, "own") as reader:
        page = reader.related("demo.client", 1, "projects", filters=[Filter("code", "prefix", "P")])
        assert ids(page) == [5, 1]
        with pytest.raises(Invalid):
            reader.related("demo.client", 1, "nothing")


@pytest.mark.parametrize("world", ["postgresql"], indirect=True)       # SQLite is asked in the same process
def test_a_list_is_prepared_with_the_values_of_rights_and_never_with_what_somebody_typed(world):
    with world.as_(1, "everything") as reader:
        for _ in range(PREPARED_AFTER + 3):
            reader.list("demo.project", limit=2)
            reader.list("demo.project", limit=2, q="typed by somebody")
            reader.list("demo.project", limit=2, filters=[Filter("name", "eq", "asked for by somebody")])
        held = [text for (text,) in reader.conn.exec_driver_sql("SELECT statement FROM pg_prepared_statements") if "project" in text]
    assert len(held) == 1 and "LIMIT 3" in held[0] and "somebody" not in held[0]


@pytest.mark.postgres
@pytest.mark.parametrize("world", ["postgresql"], indirect=True)
def test_two_letters_of_a_name_are_found_by_the_index(world):
    layout = layout_of(world.catalog, "postgresql", trigrams=True)
    index = next(one for one in layout["demo__client"].indexes.values() if one.columns == ("name",) and one.method.startswith("gin"))
    with world.tenant.ddl() as conn:
        conn.exec_driver_sql(create_index(index))
    with world.as_(1, "everything", "all_clients") as reader:
        for asked, found in (("张三", [1]), ("三%", []), ("三_", []), ("\\\\", []), ("张张", []), ("zhang", [1])):
            assert ids(reader.list("demo.client", filters=[Filter("name", "contains", asked)])) == found, asked
    plan = ""
    for _ in range(100):        # rows that were changed before it was made keep an index from transactions that are older anywhere in the server
        plan = plan_of(world, "李四")
        if f"Bitmap Index Scan on {index.name}" in plan:
            break
        time.sleep(0.2)
    assert f"Bitmap Index Scan on {index.name}" in plan
    assert "%李李四四%" in plan


def plan_of(world, asked):
    with world.as_(1, "everything", "all_clients") as reader:
        reader.conn.exec_driver_sql("SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off")
        sent = []
        sa.event.listen(reader.conn, "before_cursor_execute", lambda *told: sent.append(told[2:4]))
        reader.list("demo.client", filters=[Filter("name", "contains", asked)])
        sql, values = sent[0]
        return "\n".join(reader.conn.exec_driver_sql(f"EXPLAIN {sql}", values).scalars())
