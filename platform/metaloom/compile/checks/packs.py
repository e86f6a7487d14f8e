"""Packs, modules and folders as wholes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from zoneinfo import available_timezones

from metaloom.base.diagnostic import Diagnostic
from metaloom.base.working_time import WorkingHours
from metaloom.compile.codes import finding
from metaloom.compile.context import depends_of, entries
from metaloom.compile.merge import Effective, Folder
from metaloom.compile.node import Node
from metaloom.compile.schema import _did_you_mean
from metaloom.compile.source import ENGINE_PACK

Report = Callable[[Diagnostic], None]
MAX_ENTITIES = 2_000
MAX_FIELDS = 50_000
MAX_ITEMS = 200_000
ADMINISTRATOR = "platform.admin"
LOOPBACK = ("http://127.0.0.1", "http://localhost")


def packs_are_whole(effective: Effective, report: Report) -> None:
    """Every folder belongs to a pack that has a pack.yaml."""
    seen: set[str] = set()
    for folder in (*effective.packs.values(), *effective.entities.values()):
        whole = folder.pack in effective.packs and "pack" in effective.packs[folder.pack].kinds
        if not whole and folder.pack not in seen:
            report(finding("ML-PACK-001", folder.position, pack=folder.pack))
            seen.add(folder.pack)


def entity_folders_are_whole(effective: Effective, report: Report) -> None:
    """An entity folder has its entity document and lies in a module that says what it is."""
    for folder in effective.entities.values():
        name = f"{folder.pack}/{folder.module}/{folder.entity}"
        if "entity" not in folder.kinds:
            near = [a.partition(".")[2] for a, f in effective.entities.items() if f.pack == folder.pack and "entity" in f.kinds]
            report(finding("ML-PACK-007", folder.position, folder=name, hint=_did_you_mean(folder.entity, near)))
        elif (folder.pack, folder.module) not in effective.modules:
            report(finding("ML-PACK-006", folder.position, pack=folder.pack, module=folder.module))


def dependencies_are_met(effective: Effective, report: Report) -> None:
    """Each pack finds what it depends on, in a version that fits, and nobody waits for himself."""
    for name, folder in effective.packs.items():
        for other, condition in depends_of(folder).items():
            found = _version(effective.packs.get(other))
            if found is None or not fits(found, str(condition.value)):
                report(finding("ML-PACK-002", condition.key, pack=name, needs=other, condition=condition.value, found=found or "none"))
    for cycle in _cycles({name: tuple(depends_of(f)) for name, f in effective.packs.items()}):
        position = depends_of(effective.packs[cycle[0]])[cycle[1]].key
        report(finding("ML-PACK-003", position, cycle=" → ".join(cycle)))


def _version(folder: Folder | None) -> str | None:
    node = folder.kinds.get("pack") if folder else None
    version = node.get("version") if node else None
    return str(version.value) if version else None


def fits(version: str, condition: str) -> bool:
    """Whether ``1.4.0`` fits ``>=1.2`` or ``==1.4``; missing parts of the condition are zero, for == they do not count."""
    sign, wanted = condition[:2], [int(n) for n in condition[2:].split(".")]
    found = [int(n) for n in version.split(".")]
    if sign == "==":
        return found[:len(wanted)] == wanted
    return found >= wanted + [0] * (3 - len(wanted))


def _cycles(graph: dict[str, tuple[str, ...]]) -> Iterator[list[str]]:
    """Every circle once, as the names on it with the first repeated at the end."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> Iterator[list[str]]:
        if name in path:
            yield [*path[path.index(name):], name]
            return
        if name in done:
            return
        for other in graph.get(name, ()):
            yield from walk(other, [*path, name])
        done.add(name)

    for name in graph:
        yield from walk(name, [])


def tenant_packs_exist(effective: Effective, report: Report) -> None:
    """Each pack that tenant.yaml names is there."""
    packs = effective.tenant.get("packs") if effective.tenant else None
    for node in packs.value if packs else ():
        if node.value not in effective.packs:
            report(finding("ML-PACK-004", node.position, pack=node.value, hint=_did_you_mean(node.value, effective.packs)))


def tenant_settings_make_sense(effective: Effective, report: Report) -> None:
    """Working hours are spans of one day, the zone is one that the world knows."""
    settings = dict(entries(effective.tenant.get("settings"))) if effective.tenant else {}
    if "working_hours" in settings:
        try:
            WorkingHours.parse([str(node.value) for node in settings["working_hours"].value])
        except ValueError:
            report(finding("ML-PACK-009", settings["working_hours"].position))
    if "zone" in settings and str(settings["zone"].value) not in available_timezones():
        report(finding("ML-PACK-010", settings["zone"].position, zone=settings["zone"].value))
    _login_makes_sense(settings.get("login"), effective, report)


def _login_makes_sense(login: Node | None, effective: Effective, report: Report) -> None:
    """Roles that follow groups are there, and none of them makes an administrator; a provider is asked over https."""
    source = (login.get("oidc") or login.get("ldap")) if login is not None else None
    if source is None:
        return
    issuer = source.get("issuer")
    if issuer is not None and not str(issuer.value).startswith(("https://", *LOOPBACK)):
        report(finding("ML-PACK-011", issuer.position))
    known = {f"{name}.{role}" for name, folder in effective.packs.items() for role, _ in entries(folder.kinds.get("roles"))}
    roles = source.get("roles")
    for line in roles.value if roles is not None else ():
        role = line.get("role")
        if role is not None and role.value == ADMINISTRATOR:
            report(finding("ML-PACK-012", role.position, role=role.value))
        elif role is not None and role.value not in known:
            report(finding("ML-REF-001", role.position, what="role", name=role.value))


def nobody_poses_as_the_engine(effective: Effective, report: Report) -> None:
    """Only the engine layer defines the engine's pack and the entities in it; a pack name leads to no table of others."""
    for name, folder in effective.packs.items():
        node = folder.kinds.get("pack")
        if name == ENGINE_PACK and node is not None and node.layer != "engine":
            report(finding("ML-PACK-008", node.key, pack=name))
        if name in ("ml", "ab", "pg", "sqlite") or name.startswith(("ml_", "ab_", "pg_", "sqlite_")) or "__" in name:
            report(finding("ML-NAME-002", folder.position, name=name, why="its tables would look like the engine's or the database's"))
    for address, folder in effective.entities.items():
        entity = folder.kinds.get("entity")
        if folder.pack == ENGINE_PACK and entity is not None and entity.layer != "engine":
            report(finding("ML-PACK-008", entity.key, address=address, pack=folder.pack))


def quotas(effective: Effective, report: Report) -> None:
    """Limits of the whole."""
    fields = sum(len(list(entries(f.kinds["entity"].get("fields")))) for f in effective.entities.values() if "entity" in f.kinds)
    items = sum(len(list(entries(n.get("items")))) for f in effective.packs.values() for _, n in entries(f.kinds.get("choices")))
    for found, limit, what in ((len(effective.entities), MAX_ENTITIES, "entities"), (fields, MAX_FIELDS, "fields"), (items, MAX_ITEMS, "choice items")):
        if found > limit:
            last = [*effective.entities.values(), *effective.packs.values()][-1]
            report(finding("ML-QUOTA-003", last.position, found=found, limit=limit, what=what))


