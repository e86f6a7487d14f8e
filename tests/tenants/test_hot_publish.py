"""A small run of bench/publish.py: two workers, eight clients, three publishes; nothing fails and nothing mixes."""

from __future__ import annotations

from pathlib import Path

from bench.publish import ENTITY, Installation, report, run


def test_publishing_under_load_fails_no_request_and_mixes_no_revisions(tmp_path: Path, pg_url: str) -> None:
    installation = Installation(tmp_path, pg_url, workers=2)
    try:
        result = run(installation, clients=8, seconds=6)
        print(report(result, installation, 6))
        fields = installation.tenant.revision().catalog.entities[ENTITY].fields
    finally:
        installation.close()
    assert not result.failed and not result.mixed, report(result, installation, 6)
    assert "wechat_no" in fields and set(result.live) == {"column", "required rule", "role"}
    assert max(result.live.values()) <= 1.0, result.live
    assert result.requests >= 40 and set(result.kinds) == {"list", "save", "import", "describe"}
