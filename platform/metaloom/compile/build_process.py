"""Effective document → Process. Its expressions, requests and steps are queued for the check."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

from metaloom import expression as ex
from metaloom.compile.build_action import RESERVED_LETS, build_steps, check_steps
from metaloom.compile.build_entity import build_field
from metaloom.compile.codes import finding
from metaloom.compile.context import Context, entries, expression, string, strings, text, words
from metaloom.compile.expressions import SERVER, hold
from metaloom.compile.manifest import DoorShape
from metaloom.compile.merge import Folder
from metaloom.compile.node import Node
from metaloom.compile.schema import _did_you_mean
from metaloom.compile.scope import entity_scope, field_type, process_names, process_scope, values_scope
from metaloom.model import Action, ByHand, Catalog, Field, Process, ProcessStep, Retry, Step, Way
from metaloom.model.process import DONE

T = TypeVar("T")
RESULTS = ("done", "failed", "cancelled")
_NO_DOOR = DoorShape()


def build_process(context: Context, folder: Folder, name: str, node: Node) -> Process:
    """One process of an entity folder."""
    return _Builder(context, folder, f"{folder.address}/{name}").process(name, node)


class _Builder:
    """Builds the parts of one process; ``made`` is the finished one, for what is checked later."""

    def __init__(self, context: Context, folder: Folder, address: str) -> None:
        self.context, self.folder, self.address = context, folder, address
        self.made: Process | None = None

    def process(self, name: str, node: Node) -> Process:
        start, manual, names = node.get("start"), node.get("manual"), list(dict(entries(node.get("steps"))))
        steps = {n: self._step(n, following, inner) for (n, inner), following in zip(entries(node.get("steps")), [*names[1:], DONE], strict=True)}
        results = {r: build_steps(self.context, self.folder, f"{self.address}/{r}", n) for r, n in entries(node.get("results"))}
        made = self.made = Process(
            address=self.address, entity=self.folder.address, name=name, label=words(node.get("label")), steps=_frozen(steps),
            roles=self._roles(manual.get("roles") if manual else None), on=strings(start.get("on") if start else None), by_hand=self._by_hand(start),
            cancel=self._want(node.get("cancel"), "", whole=lambda c: entity_scope(c, self.folder.address)),
            starter_may=string(manual.get("starter") if manual else None) == "allow", results=_frozen(results), position=node.key)
        self.context.later.append(partial(self._check_steps, node, made))
        return made

    def _by_hand(self, node: Node | None) -> ByHand | None:
        if node is None or node.get("roles") is None:
            return None
        when = self._want(node.get("when"), "", whole=lambda c: entity_scope(c, self.folder.address))
        return ByHand(self._roles(node.get("roles")), when, text(node.get("message")))

    def _roles(self, node: Node | None) -> tuple[str, ...]:
        return tuple(filter(None, (self.context.find("role", n, self.folder.pack, self.address) for n in (node.value if node is not None else ()))))

    def _step(self, name: str, following: str, node: Node) -> ProcessStep:
        get, at = node.get, f"{self.address}/{name}"
        call, waits = get("call"), get("for")
        inside = call.get if call is not None else lambda key: None
        door = self.context.plugins.doors.get(string(inside("door")), _NO_DOOR)
        result = self._fields(get("result"), name)
        steps = build_steps(self.context, self.folder, at, get("steps"))
        return ProcessStep(
            name=name, type=string(get("type")), label=words(get("label")), next=string(get("next"), following),
            on_timeout=string(get("on_timeout"), "manual"), on_error=string(get("on_error"), "manual"), timeout=string(get("timeout")), help=text(get("help")),
            roles=self._roles(get("roles")), action=string(get("do")), values=_frozen({n: expression(v) for n, v in entries(get("values"))}), steps=steps,
            keep=_frozen(_kept(strings(get("keep")), steps)), undo=build_steps(self.context, self.folder, f"{at}/undo", get("undo")),
            door=string(inside("door")), provider=string(inside("provider")), method=string(inside("method")), again=string(inside("again")),
            reference=self._want(inside("reference"), name, ex.TEXT), request=_tree(inside("request")) or {}, retry=_retry(inside("retry")),
            let=string(get("let")), result=result, reply=_frozen({**door.reply, **result}) if call is not None else _frozen({}),
            condition=self._want(waits.get("when") if waits else None, name), at=self._want(waits.get("at") if waits else None, name, _is_moment),
            lasts=string(waits.get("lasts") if waits else None),
            ways=tuple(Way(self._want(n.get("when"), name), string(n.get("next"))) for n in _items(get("ways"))), position=node.key)

    def _fields(self, node: Node | None, step: str) -> Mapping[str, Field]:
        built: dict[str, Field] = {}
        for name, n in entries(node):
            built[name] = build_field(self.context, self.folder.pack, f"{self.address}/{step}/result/{name}", name, n, partial(_siblings, built))
        return _frozen(built)

    def _want(self, node: Node | None, step: str, expected: ex.Type | Callable[[ex.Type], bool] | None = ex.BOOL,
              whole: Callable[[Catalog], ex.Scope] | None = None) -> str:
        """The expression at ``node``; checked later against the record, ``run``, answers and kept rows."""
        if node is not None:
            self.context.later.append(partial(self._hold, node, step, expected, whole))
        return expression(node)

    def _hold(self, node: Node, step: str, expected: ex.Type | Callable[[ex.Type], bool] | None, whole: Callable[[Catalog], ex.Scope] | None,
              catalog: Catalog) -> None:
        assert self.made is not None
        if self._speaks_of_unknown(node):
            return
        scope = whole(catalog) if whole is not None else process_scope(catalog, self.made)
        wanted = None if callable(expected) else expected
        at = f"{self.address}/{step}" if step else self.address
        checked = hold(catalog, node, at, scope, wanted, SERVER, self.context.report)
        if checked is not None and callable(expected) and not expected(checked.type):
            self.context.report(finding("ML-PROC-011", node.position, address=at, found=checked.type))

    def _speaks_of_unknown(self, node: Node) -> bool:
        """Where plugins are not loaded nothing can be said of what providers answer."""
        assert self.made is not None
        if self.context.plugins.complete:
            return False
        return any(s.door and s.let and re.search(rf"\b{s.let}\b", expression(node)) for s in self.made.steps.values())

    # -- what needs the catalog -------------------------------------------------------------------------------------------

    def _check_steps(self, node: Node, made: Process, catalog: Catalog) -> None:
        lets, written = process_names(catalog, made), node.get("steps")
        assert written is not None
        for step in made.steps.values():
            inner = written.value[step.name]
            for key in ("steps", "undo"):
                if inner.get(key) is not None and not self._unknown_inside(inner.get(key)):
                    check_steps(self.context, catalog, steps_action(made, getattr(step, key), step.name), inner.value[key], self.folder.pack, lets)
            self._lets_are_free(catalog, inner, made)
            self._input_fits(catalog, inner, step, made)
            self._request_fits(catalog, inner, step, made)
        for name, result in entries(node.get("results")):
            check_steps(self.context, catalog, steps_action(made, made.results[name], name), result, self.folder.pack, lets)

    def _unknown_inside(self, node: Node | None) -> bool:
        if node is None or self.context.plugins.complete:
            return False
        parts = node.value if node.is_list else node.value.values() if node.is_map else ()
        return any(self._unknown_inside(part) for part in parts) if node.is_list or node.is_map else self._speaks_of_unknown(node)

    def _lets_are_free(self, catalog: Catalog, node: Node, made: Process) -> None:
        written, fields = node.get("let"), catalog.entities[made.entity].fields
        for name in [n for n in (written, *(node.value["keep"].value if node.get("keep") else ())) if n is not None]:
            if name.value in RESERVED_LETS | {"run"} or name.value in fields:
                why = "a field of the record is called so" if name.value in fields else "it means something else in expressions"
                self._report("ML-NAME-002", name, name=name.value, why=why)

    def _input_fits(self, catalog: Catalog, node: Node, step: ProcessStep, made: Process) -> None:
        """The values of a named action are those it asks for, and all that it needs."""
        action = catalog.actions.get(f"{made.entity}/{step.action}")
        asked = action.input.fields if action is not None else {}
        for name, value in entries(node.get("values")):
            field = asked.get(name)
            if field is None and action is not None:
                self._report("ML-PROC-012", value, at=step.name, name=name, known=", ".join(asked) or "nothing")
            self._hold_value(catalog, value, step, made, field_type(catalog, None, field) if field is not None else None)
        missing = [f.name for f in asked.values() if f.required and not f.default and f.name not in step.values]
        if missing:
            self._report("ML-PROC-013", node, at=step.name, fields=", ".join(missing))

    def _request_fits(self, catalog: Catalog, node: Node, step: ProcessStep, made: Process) -> None:
        """Door, provider and method exist; the request holds what the method needs, and nothing else."""
        call, plugins = node.get("call"), self.context.plugins
        if call is None:
            return
        request = call.get("request")
        self._hold_tree(catalog, request, step, made)
        if not plugins.complete:
            return
        door = plugins.doors.get(step.door)
        if door is None or not door.methods:
            known = [name for name, shape in plugins.doors.items() if shape.methods]
            self._report("ML-REF-001", call.value["door"], at=step.name, hint=_did_you_mean(step.door, known), what="door for calls", name=step.door)
            return
        if step.provider not in door.providers:
            self._report("ML-REF-001", call.value["provider"], at=step.name, hint=_did_you_mean(step.provider, door.providers),
                         what=f"provider of {step.door}", name=step.provider)
        for key in ("method", "again"):
            written = call.get(key)
            if written is not None and written.value not in door.methods:
                self._report("ML-REF-001", written, at=step.name, hint=_did_you_mean(written.value, door.methods), what=f"method of {step.door}",
                             name=written.value)
        needed, known_keys = door.methods.get(step.method, (frozenset(), frozenset(step.request)))
        for name, value in entries(request):
            if name not in known_keys:
                self._report("ML-PROC-012", value, at=step.name, name=name, known=", ".join(sorted(known_keys)) or "nothing")
        if missing := sorted(needed - set(step.request)):
            self._report("ML-PROC-013", call, at=step.name, fields=", ".join(missing))
        if clash := sorted(set(step.result) & set(door.reply)):
            self._report("ML-PROC-014", node.value["result"].value[clash[0]], at=step.name, name=clash[0])

    def _hold_tree(self, catalog: Catalog, node: Node | None, step: ProcessStep, made: Process) -> None:
        if node is None:
            return
        if node.is_map or node.is_list:
            for inner in node.value.values() if node.is_map else node.value:
                self._hold_tree(catalog, inner, step, made)
        else:
            self._hold_value(catalog, node, step, made, None)

    def _hold_value(self, catalog: Catalog, node: Node, step: ProcessStep, made: Process, kind: ex.Type | None) -> None:
        if not self._speaks_of_unknown(node):
            hold(catalog, node, f"{self.address}/{step.name}", process_scope(catalog, made), kind, SERVER, self.context.report)

    def _report(self, code: str, node: Node, *, at: str = "", hint: str = "", **slots: object) -> None:
        self.context.report(finding(code, node.key if node.key.line else node.position, address=f"{self.address}/{at}".rstrip("/"), hint=hint, **slots))


def steps_action(process: Process, steps: tuple[Step, ...], name: str) -> Action:
    """Steps of a process as the action that they are; they also know ``process_names``."""
    return Action(f"{process.address}/{name}", process.entity, name, process.label, steps=steps, position=process.position)


def _siblings(built: Mapping[str, Field], catalog: Catalog) -> ex.Scope:
    return values_scope(catalog, built)


def _kept(names: tuple[str, ...], steps: tuple[Step, ...]) -> dict[str, str]:
    """The entities of kept rows; '' for a name that no ``create`` or ``get`` at the top of the steps makes."""
    made = {s.let: s.entity for s in steps if s.let and s.verb in ("create", "get")}
    return {name: made.get(name, "") for name in names}


def _tree(node: Node | None) -> Any:
    """A request as plain maps and lists whose leaves are expressions."""
    if node is None:
        return None
    if node.is_map:
        return {name: _tree(inner) for name, inner in node.items()}
    return [_tree(inner) for inner in node.value] if node.is_list else expression(node)


def _items(node: Node | None) -> list[Node]:
    return list(node.value) if node is not None else []


def _retry(node: Node | None) -> Retry:
    if node is None:
        return Retry()
    usual = Retry()
    return Retry(int(node.value["times"].value) if node.get("times") else usual.times, string(node.get("after"), usual.after),
                 int(node.value["factor"].value) if node.get("factor") else usual.factor, string(node.get("most"), usual.most))


def _is_moment(kind: ex.Type) -> bool:
    return kind.kind in ("date", "datetime")


def _frozen(values: Mapping[str, T]) -> Mapping[str, T]:
    return MappingProxyType(dict(values))
