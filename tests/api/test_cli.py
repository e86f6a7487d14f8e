"""``metaloom api-key`` makes, lists and ends keys."""

from click.testing import CliRunner

from metaloom.cli import api_key as word


def test_a_key_made_on_the_command_line_opens_the_api(world, monkeypatch):
    from contextlib import contextmanager

    @contextmanager
    def house():
        yield world.tenancy

    monkeypatch.setattr(word, "house", house)
    run = CliRunner().invoke(word.command, ["create", "one", "clerk", "--name", "import", "--days", "1"])
    assert run.exit_code == 0, run.output
    caller = world.client()
    caller.token = run.stdout.strip().splitlines()[-1]
    assert caller.get("/me").json["username"] == "clerk"
    listed = CliRunner().invoke(word.command, ["list", "one"]).output
    assert caller.token[:12] in listed and caller.token not in listed and "import" in listed
    number = listed.split()[0]
    assert CliRunner().invoke(word.command, ["revoke", "one", number]).exit_code == 0
    assert caller.get("/me").status_code == 401
    assert CliRunner().invoke(word.command, ["create", "one", "nosuch", "--name", "x"]).exit_code == 1
