"""What every provider of tools must keep: schemas that are schemas, refusals by key, answers as declared, the same twice, rights for all."""

import json

import jsonschema
import pytest

from metaloom.base.errors import Invalid
from metaloom.plugin.faults import PluginFault
from metaloom.plugin.registry import installed
from metaloom.plugin.tools import CheckedTools, Tool


def every_tool():
    return [pytest.param(group, tool, id=f"{group}.{tool.name}") for group, tool in installed().tools()]


@pytest.fixture
def run(request, environment):
    return lambda group, name, given: installed().provider("tools", group, environment).run(name, given)


def test_there_are_tools_of_a_provider(tools_name, environment):
    assert installed().provider("tools", tools_name, environment).tools()


@pytest.mark.parametrize(("group", "tool"), every_tool())
def test_a_tool_says_what_it_is_in_both_languages(group, tool):
    assert all(text.zh and text.en for text in (tool.label, tool.help))
    for schema in (tool.input, tool.output):
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["additionalProperties"] is False
    for name, one in tool.input["properties"].items():
        assert one["x-label"]["zh"] and one["x-label"]["en"], name
    for _, preset in tool.presets:
        assert set(preset) <= set(tool.input["properties"])


@pytest.mark.parametrize(("group", "tool"), every_tool())
@pytest.mark.parametrize("given", [{}, {"no_such_key": 1}, {"no_such_key": None}])
def test_what_the_schema_refuses_the_tool_refuses_by_key(group, tool, given, run):
    with pytest.raises(Invalid) as refused:
        run(group, tool.name, given)
    problem = refused.value.problems[0]
    assert problem.field in {*given, *tool.input["required"]}
    assert problem.message.say("zh") != problem.message.say("en")


@pytest.mark.parametrize(("group", "tool"), every_tool())
def test_a_value_of_another_kind_is_refused_at_every_key(group, tool, run):
    for name in tool.input["properties"]:
        for wrong in ([[]], {"no_such_key": 1}, "\x00", True):
            given = {name: wrong}
            if not list(jsonschema.Draft202012Validator(tool.input["properties"][name] | {"$defs": tool.input.get("$defs", {})}).iter_errors(wrong)):
                continue
            with pytest.raises(Invalid):
                run(group, tool.name, given)


class Broken:
    """A provider that answers what was not declared."""

    def __init__(self, answer, **changes):
        self.answer = answer
        schema = {"type": "object", "additionalProperties": False, "required": ["sum"], "properties": {"sum": {"type": "string"}}}
        label = installed().tools()[0][1].label
        self.made = Tool(**{"name": "add", "label": label, "help": label, "input": schema, "output": schema, "rights": (("desk.case", "list"),), **changes})

    def tools(self):
        return (self.made,)

    def run(self, name, request):
        return self.answer


@pytest.mark.parametrize("answer", [None, [], {}, {"sum": 1}, {"sum": "1", "more": "2"}, {"sum": object()}, {"sum": float("nan")}])
def test_an_answer_that_was_not_declared_is_a_fault_of_the_plugin(answer):
    with pytest.raises(PluginFault):
        CheckedTools(Broken(answer), "desk/add").run("add", {"sum": "1"})


@pytest.mark.parametrize("changes", [{"name": "Not a name"}, {"rights": ()}, {"rights": (("nowhere", "list"),)}, {"input": {"type": "no"}},
                                     {"output": {"type": "array"}}, {"input": {"type": "object", "properties": {"a": {"x-form": "elsewhere"}}}},
                                     {"input": {"type": "object", "properties": {"o": {"type": "object", "properties": {"a": {"x-form": "elsewhere"}}}}}},
                                     {"input": {"type": "object", "properties": {"a": {"x-when": {"b": ["c"]}}}}},
                                     {"input": {"type": "object", "properties": {"a": {"x-when": {"b": ["c"]}}, "b": {"enum": ["d"]}}}}])
def test_a_tool_that_is_none_is_a_fault_of_the_plugin(changes):
    with pytest.raises(PluginFault):
        CheckedTools(Broken({"sum": "1"}, **changes), "desk/add").tools()


def test_a_good_answer_passes():
    assert json.dumps(CheckedTools(Broken({"sum": "1"}), "desk/add").run("add", {"sum": "1"})) == '{"sum": "1"}'
