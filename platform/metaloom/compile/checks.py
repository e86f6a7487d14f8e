"""What must hold beyond shape and types: a tuple of small functions, each one thought."""

from __future__ import annotations

from collections.abc import Callable

from metaloom.base.diagnostic import Diagnostic
from metaloom.compile.codes import finding
from metaloom.compile.context import Context
from metaloom.compile.merge import Effective
from metaloom.model import Catalog

Report = Callable[[Diagnostic], None]


def every_folder_is_whole(effective: Effective, report: Report) -> None:
    """An entity folder needs its entity, a module its module.yaml, a pack its pack.yaml."""
    packs: dict[str, object] = {}
    for folder in (*effective.packs.values(), *effective.entities.values()):
        packs.setdefault(folder.pack, folder.position)
    for name, position in packs.items():
        if "pack" not in effective.packs.get(name).kinds if name in effective.packs else True:
            report(finding("ML-PACK-001", position, pack=name))
    for folder in effective.entities.values():
        if "entity" not in folder.kinds:
            report(finding("ML-PACK-007", folder.position, folder=f"{folder.pack}/{folder.module}/{folder.entity}"))
        elif (folder.pack, folder.module) not in effective.modules:
            report(finding("ML-PACK-006", folder.position, pack=folder.pack, module=folder.module))


CHECKS_OF_DOCUMENTS = (every_folder_is_whole,)
CHECKS: tuple[Callable[[Catalog, Context], None], ...] = ()
