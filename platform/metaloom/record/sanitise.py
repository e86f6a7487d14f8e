"""Rich text reduced to an allow-list of elements; everything else loses its tags, scripts lose their content."""

from __future__ import annotations

from html import escape
from html.parser import HTMLParser
from urllib.parse import urlsplit

ALLOWED = frozenset({
    "p", "br", "b", "strong", "i", "em", "u", "s", "h2", "h3", "h4", "ul", "ol", "li", "blockquote", "pre", "code", "hr",
    "table", "thead", "tbody", "tr", "th", "td", "a", "span", "div",
})
VOID = frozenset({"br", "hr"})
DROPPED = frozenset({"script", "style", "iframe", "object", "embed", "template", "noscript", "svg", "math", "title",
                     "textarea", "select", "xmp", "noembed", "noframes", "plaintext"})
MAX_DEPTH = 40


def sanitise(html: str) -> str:
    """``html`` with allowed elements only, no attributes but the http(s) or mailto ``href`` of a link, and every element closed."""
    parser = _Sanitiser()
    parser.feed(html)
    parser.close()
    return parser.result()


class _Sanitiser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._out: list[str] = []
        self._open: list[str] = []
        self._dropping: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in DROPPED:
            self._dropping.append(tag)
        if self._dropping or tag not in ALLOWED or len(self._open) >= MAX_DEPTH:
            return
        self._out.append(f"<{tag}{_href(attrs) if tag == 'a' else ''}>")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in VOID:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if self._dropping:
            if tag == self._dropping[-1]:
                self._dropping.pop()
            return
        if tag not in self._open:
            return
        while self._open:
            last = self._open.pop()
            self._out.append(f"</{last}>")
            if last == tag:
                return

    def handle_data(self, data: str) -> None:
        if not self._dropping:
            self._out.append(escape(data, quote=False))

    def result(self) -> str:
        return "".join((*self._out, *(f"</{tag}>" for tag in reversed(self._open)))).strip()


def _href(attrs: list[tuple[str, str | None]]) -> str:
    target = (dict(attrs).get("href") or "").strip()
    try:
        scheme = urlsplit(target).scheme.lower()
    except ValueError:
        return ""
    if scheme not in ("http", "https", "mailto") or any(c < " " for c in target):
        return ""
    return f' href="{escape(target)}" rel="noopener noreferrer nofollow" target="_blank"'
