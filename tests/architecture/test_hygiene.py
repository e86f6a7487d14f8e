"""What must not stand anywhere in the tree. Exceptions are one visible list; it only shrinks."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# (file, finding): reason. An entry that no longer matches anything fails too.
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("platform/metaloom/expression/target_python.py", "exec"): "runs Python written by our compiler from a checked tree",
    ("platform/metaloom/expression/target_python.py", "compile"): "the same",
    ("platform/metaloom/storage/engine.py", "formatted SQL"): "triggers of our own tables; names are constants of the file",
    ("platform/metaloom/storage/postgresql.py", "formatted SQL"): "roles and schemas of a tenant: identifiers quoted, made from a checked name",
    ("platform/metaloom/schema_change/ddl.py", "formatted SQL"): "writes DDL; identifiers come from the catalog and are quoted",
    ("platform/metaloom/schema_change/plan.py", "formatted SQL"): "the same: the statements of a plan",
    ("platform/metaloom/schema_change/impact.py", "formatted SQL"): "counts rows that a new rule would refuse; identifiers are quoted",
    ("platform/metaloom/schema_change/backfill.py", "formatted SQL"): "fills columns by id ranges; identifiers are quoted, ids are ints",
    ("platform/metaloom/schema_change/publish.py", "formatted SQL"): "checks a constraint of the plan; identifiers are quoted",
    ("platform/metaloom/web/cells.py", "Markup"): "the markup of a cell; every value is escaped by Markup.format or escape",
    ("platform/metaloom/web/drawn.py", "Markup"): "joins pages that templates rendered, and holes in them",
    ("platform/metaloom/web/detail_page.py", "Markup"): "joins panels that templates rendered",
    ("platform/metaloom/web/frame.py", "Markup"): "renders our own markup: pages, icons, the form token; values are escaped",
}

TOP_LEVEL = {
    "platform", "metadata", "plugins", "tenants", "templates", "tests", "setup.cfg", "pyproject.toml", "README.md",
    "Makefile", ".ci", "CHANGELOG.md", "docs", "bench", ".gitignore",
}  # fmt: skip
BUSINESS_WORDS = re.compile(r"loan|(?<![a-z])lending|borrower|repayment|drawdown|贷款|借款|还款|放款", re.IGNORECASE)
MACHINE_PATHS = re.compile(r"(?<![\w.])(" + re.escape(str(ROOT)) + r"/|/root/|/home/\w+/|/Users/\w+/)|https?://registry\.")
SQL_START = re.compile(r"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|ALTER|DROP|TRUNCATE|SET|WITH|COPY|GRANT)\s")
UNSAFE_TEMPLATE = re.compile(r"\|\s*safe\b|autoescape\s+false|\bx-html\b|\bhx-on[:-]", re.IGNORECASE)
UNSAFE_IMPORTS = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
TEXT = {".py", ".yaml", ".yml", ".json", ".html", ".jinja", ".j2", ".js", ".css", ".md", ".cfg", ".toml", ".sh", ".txt"}
OURS = ("platform/", "plugins/")


def files(*prefixes: str) -> list[str]:
    """Paths of the tree under `prefixes`, as git sees them: tracked, or new and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "--", *prefixes],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    return sorted({name for name in listed if (ROOT / name).is_file() and "/static/vendor/" not in name})


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8") if Path(name).suffix in TEXT else ""


def unexcused(findings: Iterator[tuple[str, str, int]]) -> list[str]:
    """Findings (file, what, line) without those of the exception list."""
    return [f"{name}:{line} {what}" for name, what, line in findings if (name, what) not in EXCEPTIONS]


def matches(pattern: re.Pattern[str], names: list[str]) -> Iterator[tuple[str, str, int]]:
    for name in names:
        for number, line in enumerate(text_of(name).splitlines(), start=1):
            for found in pattern.finditer(line):
                yield name, found[0].strip(), number


def unsafe_code(source: str, name: str) -> Iterator[tuple[str, str, int]]:
    """Formatted SQL, evaluation of text, unsafe deserialising, shells."""
    tree = ast.parse(source)
    own = _own_names(tree)
    for node in ast.walk(tree):
        if _is_formatted_sql(node):
            yield name, "formatted SQL", node.lineno
        elif isinstance(node, ast.Call):
            yield from _unsafe_call(node, name, own)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            modules = {alias.name for alias in node.names} | {getattr(node, "module", None) or ""}
            for module in sorted(modules & UNSAFE_IMPORTS):
                yield name, module, node.lineno


def _is_formatted_sql(node: ast.AST) -> bool:
    if isinstance(node, ast.JoinedStr):
        return _starts_sql(node.values[:1]) and any(isinstance(part, ast.FormattedValue) for part in node.values)
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod | ast.Add) and _starts_sql([node.left])


def _starts_sql(parts: list[ast.expr]) -> bool:
    return any(isinstance(part, ast.Constant) and SQL_START.match(str(part.value)) for part in parts)


def _own_names(tree: ast.Module) -> set[str]:
    """Names of engine functions that hide a built-in one, such as the `compile` of expressions."""
    imported = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and (n.module or "").startswith("metaloom")]
    defined = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
    return defined | {alias.asname or alias.name for node in imported for alias in node.names}


def _unsafe_call(node: ast.Call, name: str, own: set[str]) -> Iterator[tuple[str, str, int]]:
    if isinstance(node.func, ast.Name) and node.func.id in {"eval", "exec", "compile", "Markup"} - own:
        yield name, node.func.id, node.lineno
    for keyword in node.keywords:
        if keyword.arg == "shell" and isinstance(keyword.value, ast.Constant) and keyword.value.value:
            yield name, "shell", node.lineno
    called = ast.unparse(node.func)
    if called in {"yaml.load", "yaml.unsafe_load", "os.system"} and "Loader" not in ast.unparse(node):
        yield name, called, node.lineno


def all_unsafe_code() -> Iterator[tuple[str, str, int]]:
    for name in files(*OURS):
        if name.endswith(".py"):
            yield from unsafe_code(text_of(name), name)


def test_the_top_level_is_the_street_of_the_architecture():
    assert {name.split("/")[0] for name in files()} <= TOP_LEVEL


def test_engine_and_templates_know_no_business_word():
    assert not unexcused(matches(BUSINESS_WORDS, files("platform", "templates")))


def test_no_machine_path_or_registry_host_in_the_tree():
    here = Path(__file__).relative_to(ROOT).as_posix()
    assert not unexcused(matches(MACHINE_PATHS, [name for name in files() if name != here]))


def test_templates_never_switch_escaping_off():
    names = [name for name in files("templates", "platform", "metadata") if name.endswith((".html", ".jinja", ".j2"))]
    assert not unexcused(matches(UNSAFE_TEMPLATE, names))


def test_engine_and_plugins_hold_no_unsafe_code():
    assert not unexcused(all_unsafe_code())


def test_every_exception_is_still_needed():
    found = {(name, what) for name, what, _ in all_unsafe_code()}
    found |= {(n, w) for p in (BUSINESS_WORDS, MACHINE_PATHS, UNSAFE_TEMPLATE) for n, w, _ in matches(p, files())}
    assert not set(EXCEPTIONS) - found


@pytest.mark.parametrize(
    ("planted", "what"),
    [
        ('connection.execute(text(f"SELECT * FROM {table}"))', "formatted SQL"),
        ('connection.execute("DELETE FROM t WHERE id = %s" % key)', "formatted SQL"),
        ('connection.execute("UPDATE t SET a = " + value)', "formatted SQL"),
        ("eval(source)", "eval"),
        ("from pickle import loads", "pickle"),
        ("import pickle", "pickle"),
        ("subprocess.run(command, shell=True)", "shell"),
        ("yaml.load(text)", "yaml.load"),
        ("Markup(value)", "Markup"),
    ],
)
def test_planted_unsafe_code_is_found(planted, what):
    assert [found for _, found, _ in unsafe_code(planted, "planted.py")] == [what]


@pytest.mark.parametrize(
    ("pattern", "planted", "innocent"),
    [
        (BUSINESS_WORDS, "class LoanView: ...", "blending colours"),
        (BUSINESS_WORDS, "label: 还款计划", "label: 计划"),
        (MACHINE_PATHS, "open('/root/data.csv')", "href='/shop/orders'"),
        (UNSAFE_TEMPLATE, "{{ value | safe }}", "{{ value | safely_cut }}"),
    ],
)
def test_planted_words_are_found(pattern, planted, innocent):
    assert pattern.search(planted)
    assert not pattern.search(innocent)


def test_ruff_finds_nothing():
    run = subprocess.run(
        [Path(sys.executable).with_name("ruff"), "check", "--output-format=concise", "."],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout
