"""Transitions: the only ways between states."""

import pytest

from metaloom.base.errors import NotPossible
from metaloom.base.text import Text
from metaloom.lifecycle import editable, fire, initial_state, possible_transitions
from metaloom.model import Lifecycle, State, Transition


def label(word: str) -> Text:
    return Text(f"{word}中", word)


DOOR = Lifecycle(
    entity="house.door", field="status", initial="open",
    states={
        "open": State("open", label("open"), editable=True),
        "shut": State("shut", label("shut")),
        "gone": State("gone", label("gone"), final=True),
    },
    transitions={
        "shut": Transition("shut", ("open",), "shut", label("shut")),
        "remove": Transition("remove", ("open", "shut"), "gone", label("remove"), when="empty",
                             message=Text("先搬空", "empty it first")),
        "lock": Transition("lock", ("shut",), "shut", label("lock"), when="has_key"),
    },
)


def test_a_new_record_begins_in_the_initial_state():
    assert initial_state(DOOR) == "open"


def test_a_transition_leads_to_its_state():
    assert fire(DOOR, "open", "shut") == "shut"
    assert fire(DOOR, "shut", "remove", holds=True) == "gone"


@pytest.mark.parametrize(("state", "name", "said"), [
    ("shut", "shut", "In the state “shut”"),
    ("gone", "remove", "In the state “gone”"),
    ("nowhere", "shut", "“nowhere”"),
    (None, "shut", "“—”"),
    ("open", "explode", "no transition called “explode”"),
    ("open", "lock", "In the state “open”"),
])
def test_a_forged_transition_is_not_possible_and_says_why(state, name, said):
    with pytest.raises(NotPossible) as refusal:
        fire(DOOR, state, name)
    assert said in refusal.value.message.say("en")


def test_a_condition_that_does_not_hold_speaks_with_the_words_of_the_metadata():
    with pytest.raises(NotPossible) as refusal:
        fire(DOOR, "open", "remove", holds=False)
    assert refusal.value.message.say("zh") == "先搬空"
    with pytest.raises(NotPossible) as refusal:
        fire(DOOR, "shut", "lock", holds=False)
    assert "“lock”" in refusal.value.message.say("en")


def test_transitions_are_offered_per_state():
    assert [t.name for t in possible_transitions(DOOR, "open")] == ["shut", "remove"]
    assert possible_transitions(DOOR, "gone") == ()


def test_only_editable_states_may_be_changed_by_a_form():
    editable(DOOR, "open")
    editable(None, None)
    for state in ("shut", "gone", "nowhere", None):
        with pytest.raises(NotPossible):
            editable(DOOR, state)
