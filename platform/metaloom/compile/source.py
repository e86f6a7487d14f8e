"""Where metadata comes from: files of four layers, read as text and no further."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from metaloom.base.diagnostic import Diagnostic, MetadataRefused
from metaloom.base.position import Position
from metaloom.compile.codes import finding

LAYERS = ("engine", "pack", "client", "site")
ENGINE_PACK = "platform"
MAX_BYTES = 1_000_000
METADATA_SUFFIXES = (".yaml", ".json")
COMPANY_SUFFIXES = (".md", ".csv", ".png", ".svg", ".html")  # may lie beside metadata; never read by the compiler


@dataclass(frozen=True, slots=True)
class Source:
    """One metadata file. ``path`` is relative to its layer's root (``sales/customer/customer/entity.yaml``).

    ``root`` is only for people: what to put before ``path`` so that an editor finds the file. It is no part of the digest.
    """

    layer: str
    path: str
    text: str
    root: str = ""

    @property
    def file(self) -> str:
        """What positions call this file."""
        return f"{self.root}/{self.path}" if self.root else self.path


def read_sources(roots: Mapping[str, Path], packs: Iterable[str]) -> tuple[Source, ...]:
    """Every metadata file of ``packs`` under the layer roots ``{layer: folder}``, in path order.

    Under ``engine`` and ``pack`` the folders named by ``packs`` are read (``platform`` from engine); of ``client`` and ``site``
    everything. Raises MetadataRefused for files that metadata folders may not hold (Python, symbolic links, .yml).
    """
    wanted = tuple(packs)
    found: list[Source] = []
    problems = []
    for layer in LAYERS:
        root = roots.get(layer)
        if root is None:
            continue
        for folder in _folders(layer, Path(root), wanted):
            for path in _files(folder):
                stranger = _stranger(path, Path(root))
                if stranger:
                    problems.append(stranger)
                elif path.suffix in METADATA_SUFFIXES:
                    found.append(_read(layer, Path(root), path))
    if problems:
        raise MetadataRefused(problems)
    return tuple(found)


def tenant_sources(metadata_root: Path, tenants_root: Path, client: str) -> tuple[Source, ...]:
    """All file layers of one client: the packs its ``tenant.yaml`` names, the engine pack, its own folder.

    Raises MetadataRefused when there is no such client or its ``tenant.yaml`` cannot be read.
    """
    from metaloom.compile.load import load

    folder = Path(tenants_root) / client
    card = folder / "tenant.yaml"
    if not card.is_file():
        raise MetadataRefused([finding("ML-PATH-005", Position(f"{_display(folder)}/tenant.yaml"), client=client)])
    problems: list[Diagnostic] = []
    document = load(_read("client", folder, card), problems.append)
    if problems or document is None:
        raise MetadataRefused(problems)
    tenant = document.get("tenant")
    packs = tenant.get("packs") if tenant else None
    names = [n.value for n in packs.value if isinstance(n.value, str)] if packs is not None and packs.is_list else []
    roots = {"engine": Path(metadata_root), "pack": Path(metadata_root), "client": folder}
    return read_sources(roots, names)


def _folders(layer: str, root: Path, packs: tuple[str, ...]) -> Iterator[Path]:
    if layer == "engine":
        yield root / ENGINE_PACK
    elif layer == "pack":
        for name in dict.fromkeys(packs):
            if name != ENGINE_PACK:
                yield root / name
    else:
        yield root


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.rglob("*") if (p.is_symlink() or p.is_file()) and not _hidden(p.relative_to(folder)))


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in path.parts)


def _stranger(path: Path, root: Path) -> Diagnostic | None:
    where = Position(_display(path))
    if path.is_symlink():
        return finding("ML-PATH-004", where, found="a symbolic link")
    if path.suffix not in METADATA_SUFFIXES + COMPANY_SUFFIXES:
        return finding("ML-PATH-004", where, found=path.suffix or path.name)
    return None


def _read(layer: str, root: Path, path: Path) -> Source:
    """The file as text; bytes that are no UTF-8 become lone surrogates, which ``load`` refuses with a position."""
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    return Source(layer, path.relative_to(root).as_posix(), data.decode("utf-8", "surrogateescape"), _display(root))


def _display(path: Path) -> str:
    """The path as seen from the working directory where it lies below it."""
    try:
        return path.resolve().relative_to(Path.cwd().resolve()).as_posix()
    except ValueError:
        return path.as_posix()
