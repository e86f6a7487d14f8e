"""The expression language: parse, check, and its three targets. The semantics are in docs/expressions.md.

    checked = compile("amount > 1000 and customer.level == 'vip'", scope, expect=BOOL)
    rule = to_python(checked)            # rule(record, env) → True, False or None (null)
    clause = to_sql(checked, resolver, "postgresql", env)
    tree = to_browser(checked)           # JSON for templates/static/js/expression.js

A condition whose verdict is null does not hold: callers test `rule(record, env) is True`.
"""

from .check import Checked, Typed, check, compile
from .errors import ExpressionError, Position
from .functions import FUNCTIONS, Function
from .sqlite_functions import register_sqlite_functions
from .syntax import Node, parse
from .target_browser import browser_value, to_browser
from .target_python import to_python
from .target_sql import Resolver, to_sql
from .types import (
                    ALL_TARGETS,
                    BOOL,
                    BROWSER,
                    CHOICE,
                    DATE,
                    DATETIME,
                    DECIMAL,
                    INT,
                    MULTI,
                    NULL,
                    PYTHON,
                    RECORD,
                    SQL,
                    TEXT,
                    TIME,
                    Env,
                    PluginFunction,
                    Scope,
                    Type,
                    choice,
                    multi,
                    record,
)

__all__ = [
    "ALL_TARGETS", "BOOL", "BROWSER", "CHOICE", "DATE", "DATETIME", "DECIMAL", "FUNCTIONS", "INT", "MULTI", "NULL", "PYTHON",
    "RECORD", "SQL", "TEXT", "TIME", "Checked", "Env", "ExpressionError", "Function", "Node", "PluginFunction", "Position",
    "Resolver", "Scope", "Type", "Typed", "browser_value", "check", "choice", "compile", "multi", "parse", "record",
    "register_sqlite_functions", "to_browser", "to_python", "to_sql",
]
