"""Nobody but record opens a query over business rows: web, api, worker and command build and run no SQL of their own."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ENGINE = Path(__file__).resolve().parents[2] / "platform" / "metaloom"
ROOMS = ("web", "api", "worker", "command")
BUILDERS = frozenset({"select", "text", "insert", "update", "delete", "exists", "union", "union_all", "lambda_stmt", "literal_column", "table", "column"})
RUNNERS = frozenset({"execute", "scalar", "scalars", "exec_driver_sql", "stream", "executemany"})
CONNECTIONS = frozenset({"conn", "connection", "session", "cursor"})

# The only places that may, each with its reason. A line that is no longer needed fails the test below.
ALLOWED = {
    "command/rows.py": "the commands' one way to stored rows, over record.Writer, and to engine tables that no list shows",
    "command/api_key.py": "keys are rows of the engine, found by their digest before anybody is known",
    "command/enter_by_provider.py": "an account is found by the provider's subject before anybody is known; its roles are rows of the engine",
    "command/bind_login.py": "whose the provider's subject is: a column of the engine that no list shows",
    "command/end_session.py": "logins are rows of the engine; the account itself is reached through rows and rights",
    "command/approval_rows.py": "cases, tasks and their log are rows of the engine that no command on records writes",
    "command/process_rows.py": "runs of processes and their log are rows of the engine that no command on records writes",
    "command/approval_people.py": "who holds a role, a post or the head of a unit for a record, whoever asks",
    "command/numbers.py": "counters of number series, raised under a lock",
    "command/upload_file.py": "an upload belongs to no record yet, so no scope covers it",
    "command/waiting.py": "two rooms counted in one statement for the bell: a person's own messages and tasks, which need no scope",
    "command/session.py": "the business day of the person's own company, pinned with the request",
}


def sql_in(source: str) -> Iterator[tuple[int, str]]:
    """(line, what) for every SQL that a module builds or runs."""
    tree = ast.parse(source)
    aliases = {"sqlalchemy"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases |= {(name.asname or name.name).split(".")[0] for name in node.names if name.name.split(".")[0] == "sqlalchemy"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sqlalchemy":
            yield from ((node.lineno, f"from {node.module} import {name.name}") for name in node.names if name.name in BUILDERS)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("psycopg", "sqlite3"):
            yield node.lineno, f"from {node.module} import"
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner, name = node.func.value, node.func.attr
        if isinstance(owner, ast.Name) and owner.id in aliases and name in BUILDERS:
            yield node.lineno, f"{owner.id}.{name}()"
        last = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
        if name in RUNNERS and last.lstrip("_") in CONNECTIONS:
            yield node.lineno, f"{last}.{name}()"


def modules() -> dict[str, str]:
    return {str(path.relative_to(ENGINE)): path.read_text() for room in ROOMS for path in sorted((ENGINE / room).rglob("*.py"))}


def test_no_room_above_record_builds_or_runs_sql():
    found = modules()
    assert len(found) > 20, "the rooms moved away; this test would prove nothing"
    print(f"looked at {len(found)} modules")
    wrong = [f"{name}:{line}: {what}" for name, source in found.items() if name not in ALLOWED for line, what in sql_in(source)]
    assert wrong == []


@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_an_exception_is_still_needed(name):
    assert list(sql_in(modules()[name])), f"{name} needs its exception no longer; take it off the list"


@pytest.mark.parametrize("planted", [
    "import sqlalchemy as sa\nsa.select(x)", "import sqlalchemy\nsqlalchemy.text('x')", "from sqlalchemy import select", "from sqlalchemy.sql import text",
    "def f(conn):\n    conn.execute(q)", "class A:\n    def f(self):\n        self.unit.conn.scalar(q)", "def f(session):\n    session.scalars(q)",
    "import psycopg\nfrom psycopg import connect",
])
def test_the_check_can_fail(planted):
    assert list(sql_in(planted))


def test_names_of_types_and_errors_are_no_sql():
    assert not list(sql_in("import sqlalchemy as sa\ndef f(conn: sa.Connection) -> sa.exc.IntegrityError: ...\nfrom sqlalchemy.exc import SQLAlchemyError\n"))
