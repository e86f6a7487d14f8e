"""Real answers against the OpenAPI document: status, media type, headers and every value of the body."""

from __future__ import annotations

from functools import cache
from typing import Any

import jsonschema
from referencing import Registry, Resource


class Conformity:
    """Checks answers against one person's document; ``checked`` counts them."""

    def __init__(self, doc: dict[str, Any]) -> None:
        self.doc = doc
        self.registry: Any = Registry().with_resource("urn:doc", Resource.from_contents({"$schema": "https://json-schema.org/draft/2020-12/schema", **doc}))
        self.checked = 0
        self._validator = cache(self._make_validator)

    def check(self, method: str, path: str, answer: Any) -> Any:
        """The answer; AssertionError or ValidationError when the document does not speak of it so."""
        fault = self.fault(method, path, answer)
        assert not fault, (method, path, fault)
        self.checked += 1
        return answer

    def fault(self, method: str, path: str, answer: Any) -> str:
        """What of the answer is not as the document says, or ''."""
        code = str(answer.status_code)
        said = self._said(method, path, code)
        if said is None:
            return f"status {code} is not in the document: {answer.get_data(as_text=True)[:300]}"
        media = {name.partition(";")[0] for name in said.get("content", {})}
        if media and answer.mimetype not in media and "*/*" not in media:
            return f"media type {answer.mimetype} is none of {sorted(media)}"
        missing = [name for name, header in said.get("headers", {}).items() if self._needed(header) and name not in answer.headers]
        if missing:
            return f"headers {missing} are missing from {code}"
        if answer.mimetype.endswith("json") and answer.mimetype in media:
            error = next(iter(self._validator(method, path, code, answer.mimetype).iter_errors(answer.json)), None)
            if error is not None:
                return f"{code} at {'/'.join(map(str, error.absolute_path))}: {error.message[:300]}"
        return ""

    def _said(self, method: str, path: str, code: str) -> Any:
        said = self.doc["paths"][path][method]["responses"].get(code)
        return self.doc["components"]["responses"][said["$ref"].rpartition("/")[2]] if said and "$ref" in said else said

    def _needed(self, header: dict[str, Any]) -> bool:
        whole = self.doc["components"]["headers"][header["$ref"].rpartition("/")[2]] if "$ref" in header else header
        return bool(whole.get("required"))

    def _make_validator(self, method: str, path: str, code: str, media: str) -> Any:
        schema = self._said(method, path, code)["content"][media]["schema"]
        full = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:answer", **_anchored(schema)}
        return jsonschema.Draft202012Validator(full, registry=self.registry, format_checker=jsonschema.FormatChecker())


def _anchored(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: f"urn:doc{v}" if k == "$ref" else _anchored(v) for k, v in value.items()}
    return [_anchored(v) for v in value] if isinstance(value, list) else value
