"""All shipped plugins load, every door has a plugin, every declaration is complete."""

import inspect

from metaloom.plugin.command import Work
from metaloom.plugin.doors import DOORS, methods_of
from metaloom.plugin.registry import find_places, installed


def test_every_shipped_plugin_is_on():
    registry = installed()
    assert not registry.diagnostics, "\n".join(map(str, registry.diagnostics))
    assert len(registry.plugins) == len(find_places()) > 0
    print(f"{len(registry.plugins)} plugins, {len(registry.commands())} commands")


def test_no_door_without_a_plugin_that_uses_it():
    registry = installed()
    assert all(registry.provider_names(door) for door in DOORS), {d: registry.provider_names(d) for d in DOORS}
    assert registry.commands()


def test_every_method_of_every_door_says_what_it_promises():
    for protocol in (*(door.protocol for door in DOORS.values()), Work):
        for name in methods_of(protocol):
            assert inspect.getdoc(getattr(protocol, name)), f"{protocol.__name__}.{name}"


def test_every_command_has_both_languages_and_a_handler():
    registry = installed()
    for command in registry.commands():
        texts = [command.label, command.help, command.message, command.confirm, command.done]
        texts += [field.label for field in (*command.input.values(), *command.output.values())]
        assert all(text is None or (text.zh.strip() and text.en.strip()) for text in texts), command.address
        assert callable(registry.handler(command.address))


def test_results_are_sent_to_commands_that_exist_and_are_internal():
    registry = installed()
    assert set(registry.manifest().commands) == {command.address for command in registry.commands()}
    assert registry.manifest().complete
    locks = {name: (said.locks_first, said.position.file.rpartition("/")[2]) for name, said in registry.manifest().commands.items() if said.locks_first}
    assert locks["loan_payments.confirm"] == ("recon", "plugin.yaml"), "what a command locks first is held against its entity, and told with its place"
