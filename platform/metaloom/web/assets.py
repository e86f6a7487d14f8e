"""Static files: addressed by content, compressed once, cached for a year."""

from __future__ import annotations

import hashlib
import mimetypes
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import deflate
from flask import Blueprint, Response, request

from metaloom.base.errors import NotFound

TEXT_KINDS = frozenset({".css", ".js", ".svg", ".json"})
# Lines of a script or style of ours that hold only a comment: they are for who reads the file, and stay as empty lines, so that line numbers hold.
_COMMENTS = {"js": re.compile(rb"^[ \t]*//.*$", re.MULTILINE), "css": re.compile(rb"^[ \t]*/\*.*\*/[ \t]*$", re.MULTILINE)}
_AROUND = re.compile(rb"[ \t]*([{};])[ \t]*")   # in a style; strings of ours hold none of these
HIDDEN_FOLDERS = frozenset({"build"})
SMALLEST = 12          # once per process and file: a first visit weighs 14 KB less than by zlib, for 0.3 s
LOOK_SECONDS = 1.0     # a page names fifty files; each is looked at on disk once a second at most


@dataclass(frozen=True)
class Asset:
    body: bytes
    packed: bytes | None
    kind: str
    digest: str
    stamp: int


class Assets:
    """Files below ``templates/static``; a file changed on disk is noticed by its time (development)."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._known: dict[str, Asset] = {}
        self._versions: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> Asset:
        """The file ``name``; NotFound for anything outside the folder."""
        if "\0" in name or len(name) > 200:
            raise NotFound
        path = (self.root / name).resolve()
        inside = path.is_relative_to(self.root) and path.is_file() and path.relative_to(self.root).parts[0] not in HIDDEN_FOLDERS
        if not inside or any(part.startswith(".") for part in Path(name).parts):
            raise NotFound
        stamp = path.stat().st_mtime_ns
        found = self._known.get(name)
        if found is None or found.stamp != stamp:
            found = _load(path, stamp)
            with self._lock:
                self._known[name] = found
        return found

    def url(self, root: str, name: str) -> str:
        """The address of a file below the site's ``root``, with its digest so that it may be cached for good."""
        version, seen = self._versions.get(name, ("", 0.0))
        now = monotonic()
        if not version or now - seen > LOOK_SECONDS:
            version = self.get(name).digest[:10]
            self._versions[name] = (version, now)
        return f"{root}/static/{name}?v={version}"


def _load(path: Path, stamp: int) -> Asset:
    body = path.read_bytes()
    if path.suffix == f".{path.parent.name}" and path.parent.name in _COMMENTS:
        body = _COMMENTS[path.parent.name].sub(b"", body)
        body = _AROUND.sub(rb"\1", body) if path.suffix == ".css" else body
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    packed = bytes(deflate.gzip_compress(body, SMALLEST)) if path.suffix in TEXT_KINDS and len(body) > 600 else None
    return Asset(body, packed, kind, hashlib.sha256(body).hexdigest(), stamp)


def static_blueprint(assets: Assets) -> Blueprint:
    """``/static/<file>`` for all tenants."""
    blueprint = Blueprint("assets", __name__)

    @blueprint.get("/static/<path:name>")
    def static_file(name: str) -> Response:
        asset = assets.get(name)
        packed = asset.packed is not None and "gzip" in request.headers.get("Accept-Encoding", "")
        answer = Response(asset.packed if packed else asset.body, mimetype=asset.kind)
        if packed:
            answer.headers["Content-Encoding"] = "gzip"
        answer.headers["Vary"] = "Accept-Encoding"
        fresh = request.args.get("v") == asset.digest[:10]
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable" if fresh else "public, max-age=300"
        answer.set_etag(asset.digest[:20] + ("g" if packed else ""))
        return answer.make_conditional(request)

    return blueprint
