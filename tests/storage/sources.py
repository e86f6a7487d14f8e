"""Small metadata for tests: a shop with customers and orders."""

PACK = ("pack", "shop/pack.yaml", "pack: {version: 1.0.0, format: 1, label: {zh: 商店, en: Shop}}\n")
MODULE = ("pack", "shop/sales/module.yaml", "module: {label: {zh: 销售, en: Sales}}\n")
NAME = "name: {type: text, length: 20, label: {zh: 名称, en: Name}}"


def entity(name: str, fields: str, more: str = "", top: str = "") -> tuple[str, str, str]:
    """One entity; ``fields`` are lines ``name: {type: …, label: …}``; ``more`` lines of the entity; ``top`` other kinds."""
    lines = "\n".join(f"    {line.strip()}" for line in fields.strip().splitlines() if line.strip())
    extra = "".join(f"  {line.strip()}\n" for line in more.strip().splitlines() if line.strip())
    owner = "" if "owned_by" in more or "child_of" in more or "scope_from" in more else "  shared: true\n"
    text = f"entity:\n  label: {{zh: {name}, en: {name}}}\n  title: name\n{owner}{extra}  fields:\n{lines}\n{top}"
    return ("pack", f"shop/sales/{name}/entity.yaml", text)


def shop(*entities: tuple[str, str, str]) -> tuple[tuple[str, str, str], ...]:
    return (PACK, MODULE, *entities)


def label(word: str) -> str:
    return f"label: {{zh: {word}, en: {word}}}"
