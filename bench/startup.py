"""How long gunicorn takes from nothing to its first page, a new worker after one was killed, and what each further tenant costs in memory.

    .venv/bin/python bench/startup.py [--tenants 6]

Makes tenants of the demo client in a folder of its own (SQLite), filled up to 120 entities, all with the same metadata, and as many
with a field more each, so that their catalogs differ. Each figure comes from a fresh process, which finds bytecode as an installed wheel has it: a process
before all others makes it, whatever PYTHONDONTWRITEBYTECODE says. The reference is the same process with Flask and Flask-AppBuilder imported and nothing
of ours. gunicorn serves all of these tenants.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from statistics import median

ENTITIES = 120
ROOT = Path(__file__).resolve().parents[1]
BARE = """
import time; began = time.perf_counter()
import flask, flask_appbuilder, sqlalchemy
app = flask.Flask("bare")
app.add_url_rule("/", view_func=lambda: "ok")
assert app.test_client().get("/").status_code == 200
print(__import__("json").dumps({"seconds": time.perf_counter() - began}))
"""
OURS = """
import sys, time; began = time.perf_counter()
import json, resource
from metaloom.base import heap; heap.calm()
names = json.loads(sys.argv[1])
from metaloom.app import create_app
app = create_app()
made = time.perf_counter() - began
def rss():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 2**20
def ask(name):
    assert app.test_client().get(f"/{name}/login/").status_code == 200
    site.tenancy.open(name).revision()
site = app.extensions["metaloom"]
ask(names[0])
first = time.perf_counter() - began
memory = [rss()]
for name in names[1:]:
    ask(name)
    memory.append(rss())
entities = len(site.tenancy.open(names[0]).revision().catalog.entities)
print(json.dumps({"made": made, "seconds": first, "memory": memory, "entities": entities, "cpu": time.process_time()}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenants", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        environ = {**os.environ, "METALOOM_HOME": home, "METALOOM_DATABASE_URL": "", "METALOOM_REDIS_URL": "", "METALOOM_METADATA": str(ROOT / "metadata"),
                   "METALOOM_TENANTS": str(ROOT / "tenants"), "PYTHONPYCACHEPREFIX": f"{home}/bytecode"}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        same, other = _make(home, given.tenants)
        _run(environ, OURS, same[:1])
        bare = [_run(environ, BARE)["seconds"] for _ in range(given.rounds)]
        ours = [_run(environ, OURS, same) for _ in range(given.rounds)]
        unlike = _run(environ, OURS, other)
        served = [_serve(environ, same[0]) for _ in range(given.rounds)]
    print(f"load {os.getloadavg()[0]:.1f}, {ours[0]['entities']} entities, {given.rounds} rounds")
    print(f"bare Flask and Flask-AppBuilder, first answer     {median(bare):6.2f} s")
    print(f"application made                                  {median(run['made'] for run in ours):6.2f} s")
    print(f"first page of a tenant (its metadata compiled)    {median(run['seconds'] for run in ours):6.2f} s")
    print(f"CPU of that process                               {median(run['cpu'] for run in ours):6.2f} s")
    print(f"gunicorn from nothing to its first page           {median(one[0] for one in served):6.2f} s")
    print(f"a new worker in the place of a killed one         {median(one[1] for one in served):6.2f} s")
    print(f"memory with one tenant                            {ours[0]['memory'][0]:6.0f} MB")
    print(f"each further tenant, the same metadata            {_growth(ours[0]['memory']):6.1f} MB")
    print(f"each further tenant, metadata of its own          {_growth(unlike['memory']):6.1f} MB")


def _growth(memory: list[float]) -> float:
    return (memory[-1] - memory[0]) / (len(memory) - 1)


def _run(environ: dict[str, str], script: str, names: list[str] | None = None) -> dict[str, float | list[float]]:
    done = subprocess.run([sys.executable, "-c", script, json.dumps(names or [])], env=environ, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, float | list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _serve(environ: dict[str, str], name: str) -> tuple[float, float]:
    """Seconds until gunicorn's one worker answers the login page, and until it does again after that worker was killed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.perf_counter()
    server = subprocess.Popen([sys.executable, "-m", "gunicorn", "-c", "python:metaloom.app.gunicorn", "--workers", "1", "--bind", f"127.0.0.1:{port}"],
                              env=environ, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        _until_it_answers(port, name)
        first = time.perf_counter() - began
        os.kill(int(Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()[0]), signal.SIGKILL)
        began = time.perf_counter()
        _until_it_answers(port, name)
        return first, time.perf_counter() - began
    finally:
        server.terminate()
        server.wait(30)


def _until_it_answers(port: int, name: str) -> None:
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{name}/login/", timeout=30) as answer:
                assert answer.status == 200
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.01)


def _make(home: str, tenants: int) -> tuple[list[str], list[str]]:
    from metaloom.app.login_tables import make_login_tables
    from metaloom.compile import compile_catalog, tenant_sources
    from metaloom.plugin import registry
    from metaloom.schema_change import publish
    from metaloom.storage import Settings, Tenancy

    manifest = registry.load().manifest()
    tenancy = Tenancy(Settings.from_env({"METALOOM_HOME": home}), manifest=manifest)
    sources = tenant_sources(ROOT / "metadata", ROOT / "tenants", "demo")
    more = ENTITIES - len(compile_catalog(sources, plugins=manifest).entities)
    texts = (*((source.layer, source.path, source.text) for source in sources), *_filled_up(more))
    same, other = [], []
    for number in range(tenants):
        for group, kind, more in ((same, "same", ()), (other, "own", (_one_more(number),))):
            made = tenancy.create(f"{kind}{number}", "x", after_create=(make_login_tables,))
            publish(made, (*texts, *more))
            group.append(made.name)
    tenancy.close()
    return same, other


def _filled_up(count: int) -> Iterator[tuple[str, str, str]]:
    """Entities of sixteen fields with list, form and rights, as a site has them."""
    kinds = ("text, length: 40", "money", "date", "integer", "boolean", "long_text, length: 400", "datetime", "decimal")
    for number in range(count):
        fields = "".join(f"    f{at}: {{type: {kinds[at % len(kinds)]}, label: {{zh: 字段{at}, en: Field {at}}}}}\n" for at in range(16))
        yield "site", f"lending/customer_centre/more_{number}/entity.yaml", (
            f"entity:\n  label: {{zh: 更多{number}, en: More {number}}}\n  title: f0\n  owned_by: [company, user]\n  fields:\n{fields}"
            "list: {columns: [f0, f1, f2, f3], search: [f0], sort: [-created_at]}\n"
            "access:\n  officer: {scope: self, actions: [list, read, create, edit], fields: {\"*\": write}}\n")


def _one_more(number: int) -> tuple[str, str, str]:
    """A site's overlay: one field more than the others have."""
    text = ("overlay:\n"
            f"  - {{add: entity/fields/extra_{number}, value: {{type: text, length: 40, label: {{zh: 附加, en: Extra}}}}, after: name}}\n")
    return "site", "lending/customer_centre/customer/own.yaml", text


if __name__ == "__main__":
    main()
