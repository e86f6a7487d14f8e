"""Faults planted into our own code, one at a time, each in a process of its own: the check beside it must go red.

    python -m tests.storm.mutants [name …]      the list, and whether each is caught
"""

from __future__ import annotations
import __future__

import ast
import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any

import sqlalchemy as sa

from tests.plugins.lender import Lender
from tests.storm import days, trial
from tests.storm.checks import CHECKS, DAYS
from tests.storm.child import in_child
from tests.storm.paths import PATHS, prepared
from tests.storm.trial import plain
from tests.storm.world import World


@dataclass(frozen=True)
class Mutant:
    """``changes``: (module, what stands there, what stands there instead), or ("unique", entity, column) for a rule of the database that is
    dropped; the ``check`` that must find it; ``on``: sqlite | postgresql."""

    name: str
    check: str
    changes: tuple[tuple[str, str, str], ...]
    on: str = "sqlite"


def one(name: str, check: str, module: str, old: str, new: str, on: str = "sqlite") -> Mutant:
    return Mutant(name, check, ((module, old, new),), on)


M, P = "metaloom.", "metaloom_plugins."
ORDERS, DAY_END, FINISH = f"{P}loan_payments.orders", f"{P}loan_servicing.day_end", f"{P}loan_servicing.payout"
UNIT, CALL, OUTBOX, PARTS, STEP = f"{M}command.unit", f"{M}command.handle_call", f"{M}job.outbox", f"{M}job.parts", f"{M}command.mass_step"
REPAY, SANDBOX, MATRIX, STORE = f"{P}loan_servicing.repayment", f"{P}gateway_sandbox.provider", f"{P}loan_math.matrix", f"{M}command.store"

MUTANTS = (
    one("idempotency key ignored", "keys", UNIT, "            if key is not None:\n                earlier", "            if False:\n                earlier"),
    one("answer of a key not kept", "keys", UNIT,
        "            if key is not None:\n                audit.keep", "            if False:\n                audit.keep"),
    one("body of a key not compared", "keys", f"{M}audit.once", "if row.body_digest != body_digest:", "if False:"),
    one("version of the record not compared", "stale", STORE, "if row_version is None or row_version != found[\"row_version\"]:", "if False:"),
    Mutant("lock and version taken away", "clients", (
        (f"{M}record.writer", 'lock=lock and self.revision.dialect == "postgresql"), {"id": id}', 'lock=False), {"id": id}'),
        (STORE, "if row_version is None or row_version != found[\"row_version\"]:", "if False:")), "postgresql"),
    one("change not audited", "repay", UNIT, "            audit.write(conn, ctx.revision.tables, unit.entries)\n", "            pass\n"),
    one("scope and row rights missing in an action", "rights", STORE,
        "    if not unit.ctx.system:\n        actions, levels", "    if False:\n        actions, levels"),
    one("maker may pay", "rights", f"{M}command.inputs", "if rows.same_person(unit, actor,", "if False and rows.same_person(unit, actor,"),
    one("fence of an outbox row not compared", "fences", OUTBOX, "outbox.c.fence == row.fence, ", ""),
    one("fence of a part not compared", "fences", PARTS, "run_part.c.fence == part.fence, ", ""),
    one("rows of the dead are not taken over", "payout", OUTBOX,
        "            sa.and_(outbox.c.state == \"running\", outbox.c.lease_until <= now),\n        )\n        if kinds", "        )\n        if kinds"),
    one("parts of the dead are not taken over", "day_end", PARTS,
        "sa.or_(run_part.c.state == \"waiting\", sa.and_(run_part.c.state == \"running\", run_part.c.lease_until <= now))", "run_part.c.state == \"waiting\""),
    one("acknowledged before the effect", "payout", f"{M}job.run", "        result = handler(tenant, row)\n",
        "        finished(tenant, row, started)\n        row.settled = True\n        result = handler(tenant, row)\n"),
    one("retry with a new reference", "payout", CALL, "return door.perform(provider, task[\"method\"], payload)",
        "return door.perform(provider, task[\"method\"], {**payload, \"reference\": f\"{payload['reference']}-{threading.get_native_id()}\"})"),
    one("result without its key", "payout", CALL, "deliver(ctx.with_key(f\"{OUTBOX_KIND}-{row_id}\"), task, reply)", "deliver(ctx, task, reply)"),
    one("silence taken for failure", "hanging", CALL,
        "return door.accident(payload, error)", "return {**door.accident(payload, error), \"outcome\": \"failed\"}"),
    one("sent again at the first not found", "silence", ORDERS, "if not_found >= NOT_FOUND_BEFORE_RESEND:", "if not_found >= 1:"),
    one("signature not checked", "notices", SANDBOX, "if not hmac.compare_digest(", "if False and not hmac.compare_digest("),
    one("age of a notice not checked", "notices", SANDBOX, "abs(int(stamp) - self._seconds()) > CLOCK_SKEW_SECONDS", "False"),
    one("amount of a notice not compared", "notices", ORDERS, " and order[\"amount\"] not in (word.amount, gross(order, word.amount)):", " and False:"),
    one("late success not booked", "notices", ORDERS, "if order[\"status\"] == \"failed\" and word.outcome == \"succeeded\":", "if False:"),
    one("success booked at every notice", "notices", ORDERS, "    if order[\"status\"] in UNDECIDED:\n", "    if True:\n"),
    one("call lost on the way to the outbox", "payout", f"{M}storage.outbox",
        "    made = conn.scalar(insert)\n", "    made = 1 if kind == \"call\" else conn.scalar(insert)\n"),
    one("limit not used by a payout", "payout", FINISH, "    use(work, drawdown, today)\n", "    pass\n"),
    one("loan not linked to its drawdown", "payout", FINISH, "    work.change(DRAWDOWN, drawdown[\"id\"], {\"loan\": loan})\n", "    pass\n"),
    one("amounts as floats", "repay", MATRIX,
        "paid = min(amount, bill.open.get(component, 0))", "paid = int(min(amount, bill.open.get(component, 0)) / 100.0 * 99.9999)"),
    one("allocation order swapped", "oldest", MATRIX, "sorted(bills, key=lambda bill: bill.no)", "sorted(bills, key=lambda bill: -bill.no)"),
    one("surplus dropped", "repay", MATRIX, "    return parts, amount\n", "    return parts, 0\n"),
    one("receipts of tomorrow taken", "refusals", REPAY, "work.require(on <= case.today,", "work.require(True,"),
    one("paid to a disabled account", "refusals", FINISH, "work.require(account[\"status\"] == \"in_use\",", "work.require(True,"),
    Mutant("unique bank serial number dropped", "refusals", (("unique", "lending.repayment", "bank_serial_no"),)),
    one("reversed without its entry", "reversal", f"{P}loan_servicing.reversal", "    if record[\"voucher\"]:\n", "    if False:\n"),
    one("late loans not brought to their day", "lag", f"{P}loan_servicing.cases", "if through is None or through >= day:", "if True:"),
    one("catch-up skips a day", "missed", DAY_END, "range(since + 1, until + 1), lambda terms",
        "range(since + 1 + (until - since > 1), until + 1), lambda terms"),
    one("income of a day not in the books of its loan", "day_end", f"{P}loan_servicing.accrual",
        "lines.of(\"book_income_interest\") + owed - lines.of(\"stood\"),", "lines.of(\"book_income_interest\"),"),
    one("wall clock in the day end", "day_end", STEP, "day=env_of(unit, run).business_date or unit.now.date()", "day=__import__(\"datetime\").date.today()"),
    one("day end does not post", "day_end", f"{M}command.run_mass", "    _post_all(unit, declared, outcome.post, day, company_id, cause)\n", "    pass\n"),
    one("end of a part outside its transaction", "day_end", STEP, "        _end(going, step, part, done, unit.conn, keep=True)\n        crash_point",
        "        crash_point"),
    one("range counted as done though its write was refused", "put_off", STEP,
        "        _failed(going, step, part, error.message if isinstance(error, MetaloomError) else message(\"job.part_broken\", run=going.run.id))",
        "        with going.ctx.tenant.write() as conn:\n            parts.finish(conn, part, done=part.size, failed=0, figures={})"),
    one("run that failed does not say why", "put_off", f"{M}command.run_job",
        "                run_rows.note_error(conn, run.id, run.step, entity, record, words_)", "                pass"),
    one("run that failed is shown as done", "put_off", f"{M}command.run_job",
        "            run_rows.end_run(conn, run.id, \"failed\")\n            if isinstance",
        "            run_rows.end_run(conn, run.id, \"done\")\n            if isinstance"),
    one("pointer not moved by a publish", "publish", f"{M}schema_change.publish", "        _point(conn, work)\n", "        pass\n"),
    one("import forgets what it made", "import", f"{M}command.import_records", "            versions[saved.id] = saved.row_version\n", "            pass\n"),
    one("quorum off by one", "votes", f"{M}approval.seats", "return PASS if passed >= need else", "return PASS if passed + 1 >= need else"),
)


def plant(mutant: Mutant) -> None:
    """Changes the functions in this process; whoever imported them before runs the changed ones, too."""
    for name, old, new in mutant.changes:
        if name == "unique":
            trial.SPOILED.append(partial(_without_unique, old, new))
            continue
        module = importlib.import_module(name)
        text = Path(str(module.__file__)).read_text(encoding="utf-8")
        changed = list(_changed(ast.parse(text), ast.parse(text.replace(old, new))))
        assert changed, f"{mutant.name}: no function of {name} is different"
        for owner, node in changed:
            place = vars(module)
            exec(compile(ast.Module([node], []), str(module.__file__), "exec", __future__.annotations.compiler_flag), scope := dict(place))
            there = getattr(place[owner], node.name) if owner else place[node.name]
            there = getattr(there, "__wrapped__", there)
            made = scope[node.name]
            assert isinstance(there, FunctionType) and isinstance(made, FunctionType)
            there.__code__ = made.__code__


def misplaced() -> list[str]:
    """Mutants whose words stand nowhere, or in more than one place, of the module that they change."""
    texts = [(one.name, old, Path(str(importlib.util.find_spec(name).origin)).read_text(encoding="utf-8"))
             for one in MUTANTS for name, old, _ in one.changes if name != "unique"]
    return [f"{name}: {text.count(old)} places read {old!r}" for name, old, text in texts if text.count(old) != 1]


def _without_unique(entity: str, column: str, shop: Lender) -> None:
    """Drops the unique indexes of the column."""
    table = shop.tenant.revision().tables.of(entity).name
    with shop.tenant.ddl() as conn:
        dropped = [one["name"] for one in sa.inspect(conn).get_indexes(table) if one["unique"] and one["column_names"] == [column]]
        for name in dropped:
            conn.exec_driver_sql(f'DROP INDEX "{name}"')
    assert dropped, f"{entity} has no unique index on {column}"


def _changed(before: ast.Module, after: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """(class or '', function) of every function that is not as it was."""
    stood = {(owner, node.name): ast.dump(node) for owner, node in _functions(before)}
    for owner, node in _functions(after):
        if stood.get((owner, node.name)) != ast.dump(node):
            node.decorator_list = []
            yield owner, node


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield "", node
        elif isinstance(node, ast.ClassDef):
            yield from ((node.name, inner) for inner in node.body if isinstance(inner, ast.FunctionDef))


def baseline(world: World, checks: Iterable[str]) -> Mapping[str, Any]:
    """What the checks compare with: the paths without any mutant."""
    wanted: dict[str, Any] = {}
    checks = {*checks}
    for name in checks & {*PATHS} | ({"day_end"} if "put_off" in checks else set()):
        prepared(name)
        wanted[name] = plain(world, PATHS[name])
    if "missed" in checks:
        wanted["days"] = days.played(world, "daily", DAYS)[0]
    return wanted


def held_against(world: World, mutant: Mutant | None, check: str, wanted: Mapping[str, Any]) -> str:
    """'' when the check is green; else why it is red. Without a mutant it must be green."""
    def work() -> None:
        if mutant is not None:
            plant(mutant)
        CHECKS[check](world, wanted)

    ended = in_child(work)
    last = ended.fault.strip().splitlines()
    assert mutant is None or not (last and last[-1].startswith(f"AssertionError: {mutant.name}:")), last[-1]
    return "killed" if ended.killed else next((line for line in reversed(last) if "Error" in line or "Exception" in line), last[-1])[:150] if last else ""


def main(world: World, chosen: Iterable[Mutant], tell: Any = print) -> list[str]:
    """Holds each against its check; the names of those that survive, and of checks that are red without any."""
    mutants = list(chosen)
    wanted, survived = baseline(world, {mutant.check for mutant in mutants}), []
    for check in sorted({mutant.check for mutant in mutants}):
        if said := held_against(world, None, check, wanted):
            survived.append(f"{check} is red without a mutant: {said}")
            tell(survived[-1])
    for mutant in mutants:
        said = held_against(world, mutant, mutant.check, wanted)
        tell(f"{'caught  ' if said else 'SURVIVED'} {mutant.name} ({mutant.check}, {world.dialect}) {said}")
        if not said:
            survived.append(mutant.name)
    return survived


if __name__ == "__main__":
    from tests.storm.__main__ import mutants

    sys.exit(mutants(sys.argv[1:]))
