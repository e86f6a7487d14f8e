"""Every finding the compiler can make: a stable code, what it says, and the cure."""

from __future__ import annotations

from typing import NamedTuple

from metaloom.base.diagnostic import Diagnostic
from metaloom.base.position import Position


class Code(NamedTuple):
    message: str
    hint: str = ""
    severity: str = "error"


CODES: dict[str, Code] = {
    # files
    "ML-PATH-001": Code("{path} is no place for metadata", "use <pack>/…, <pack>/<module>/… or <pack>/<module>/<entity>/…"),
    "ML-PATH-002": Code("the kind {kind} cannot stand in {place}", "move it to {wanted}"),
    "ML-PATH-003": Code("there is no kind called {kind}"),
    "ML-PATH-004": Code("{found} may not lie in a metadata folder", "only .yaml and .json are metadata; Python belongs in plugins/"),
    "ML-PATH-005": Code("there is no client {client}: its tenant.yaml is missing", "create tenants/{client}/tenant.yaml with label and packs"),
    "ML-PATH-006": Code("the folder name {name} is not allowed", "lower-case letters, digits and _, beginning with a letter, at most 48"),
    "ML-LOAD-001": Code("the file is larger than {limit} bytes", "split it: one file per entity"),
    "ML-LOAD-002": Code("the file holds {found}", "save it as UTF-8 without byte order mark"),
    "ML-LOAD-003": Code("this is not valid YAML: {detail}"),
    "ML-LOAD-004": Code("aliases, anchors and merge keys are not allowed, found {found}", "write the value out"),
    "ML-LOAD-005": Code("{found} is not allowed", "write the plain value; its field type decides how it is read"),
    "ML-LOAD-006": Code("nested deeper than {limit} levels"),
    "ML-LOAD-007": Code("more than {limit} values in one file", "split it: one file per entity"),
    "ML-LOAD-008": Code("a second document begins in this file", "one document per file; remove ---"),
    "ML-LOAD-009": Code("a metadata file is a map of kinds", "begin with a kind such as entity:"),
    "ML-LOAD-010": Code("the key {key} stands twice, first in line {line}", "keep one of the two"),
    "ML-LOAD-011": Code("a key must be plain text"),
    "ML-LOAD-012": Code("{found} could be a number or text", "write digits such as 1000 or 12.5, or put text in quotes"),
    "ML-LOAD-013": Code("the number {found} has more than {limit} digits"),
    # shape
    "ML-SCHEMA-001": Code("found {found}, expected {expected}"),
    "ML-SCHEMA-002": Code("the key {key} is missing"),
    "ML-SCHEMA-003": Code("the key {key} is unknown here"),
    "ML-SCHEMA-004": Code("{found} is not one of: {expected}"),
    "ML-SCHEMA-005": Code("{found} has the wrong form"),
    "ML-SCHEMA-006": Code("expected exactly one of {choices}, found {found}"),
    "ML-SCHEMA-007": Code("this may not be empty"),
    "ML-SCHEMA-008": Code("{found} stands twice in this list", "keep one"),
    "ML-SCHEMA-009": Code("{found} is out of range: {low} to {high}"),
    "ML-NAME-001": Code("the name {name} is not allowed"),
    "ML-NAME-002": Code("the name {name} is reserved ({why})", "choose another name"),
    "ML-NAME-003": Code("the table name {name} is longer than 60 bytes", "shorten the name of the entity"),
    "ML-NAME-004": Code("the name {name} is used by {other} too", "give them different names"),
    "ML-QUOTA-001": Code("{found} entries, at most {limit} are allowed"),
    "ML-QUOTA-002": Code("{found} characters, at most {limit} are allowed"),
    "ML-QUOTA-003": Code("{found} {what}, at most {limit} are allowed"),
    # layers
    "ML-MERGE-001": Code("{what} is defined here and in {other}", "one definition per layer; change a lower layer with overlay:"),
    "ML-MERGE-002": Code("{what} already exists in the {layer} layer ({other})", "use overlay: to change it, or another name for your own"),
    "ML-OVERLAY-001": Code("there is nothing at {path}"),
    "ML-OVERLAY-002": Code("conflict at {path}: this change saw {base}, wants {ours}, but the lower layers now say {theirs}",
                           "decide, then write was: {theirs}"),
    "ML-OVERLAY-003": Code("the neighbour {anchor} of {path} is gone; placed at the end", "name another neighbour", "warning"),
    "ML-OVERLAY-004": Code("{path} already exists: {theirs}", "use set, or another name"),
    "ML-OVERLAY-005": Code("{path} belongs to the locked {what}: it may be extended, not changed", "add something of your own instead"),
    "ML-OVERLAY-006": Code("the path {path} does not begin with a kind that this folder has", "begin with one of: {kinds}"),
    "ML-OVERLAY-007": Code("{op} of {path} does not say what it saw", "add was: {theirs}"),
    "ML-OVERLAY-008": Code("{path}: {why}"),
    "ML-PACK-001": Code("the pack {pack} has no pack.yaml", "create {pack}/pack.yaml with version, format and label"),
    "ML-PACK-002": Code("the pack {pack} needs {needs} {condition}, found {found}", "add it to packs: or install the right version"),
    "ML-PACK-003": Code("the packs depend on each other in a circle: {cycle}"),
    "ML-PACK-004": Code("the pack {pack} is named in tenant.yaml but there is no such pack"),
    "ML-PACK-005": Code("the format {found} of pack {pack} is newer than this engine ({known})", "upgrade the engine"),
    "ML-PACK-006": Code("there is no module {module}: its module.yaml is missing", "create {pack}/{module}/module.yaml with a label"),
    "ML-PACK-007": Code("the folder {folder} has no entity: document", "add entity.yaml, or move the file"),
    "ML-PACK-008": Code("the name {pack} belongs to the engine's own pack", "give your pack another name"),
    "ML-PACK-009": Code("the working hours are no spans in order inside one day", "write them as [\"09:00-12:00\", \"13:30-18:00\"]"),
    "ML-PACK-010": Code("there is no time zone {zone}", "write it as Asia/Shanghai"),
    # references
    "ML-REF-001": Code("there is no {what} {name}"),
    "ML-REF-002": Code("{path} is not a field of {entity}"),
    "ML-REF-003": Code("{path} goes through {field}, which is not a link"),
    "ML-REF-004": Code("{name} belongs to the pack {pack}, on which this pack does not depend", "add {pack} to depends in pack.yaml"),
    # expressions
    "ML-EXPR-001": Code("{detail}"),
    "ML-EXPR-002": Code("{detail}"),
    "ML-EXPR-003": Code("{detail}"),
    "ML-EXPR-004": Code("{path} is stored encrypted and cannot be read in a condition of the database", "compare in a rule or an action instead"),
    "ML-EXPR-005": Code("{detail}"),
    "ML-EXPR-006": Code("{detail}"),
    # actions
    "ML-ACTION-001": Code("{entity} has no transition {name}"),
    "ML-ACTION-002": Code("{name} is not a link or a let that names a record"),
    "ML-ACTION-003": Code("a new {entity} needs values for: {fields}"),
    "ML-ACTION-004": Code("{name} is not a child field of {entity}"),
    "ML-ACTION-005": Code("an action on: list has no record to {verb}", "write on: record, or name a record"),
    "ML-ACTION-006": Code("{entity} is append-only: its records are never changed", "create a new record instead"),
    "ML-ACTION-007": Code("the plugin command {command} takes no input {name}"),
    "ML-ACTION-008": Code("the plugin command {command} needs: {fields}"),
    "ML-ACTION-009": Code("{entity} is owned by the engine: no step may {verb} it", "use the command that the engine offers"),
    "ML-ACTION-011": Code("the input {field} cannot be entered: {type}", "an action asks for plain values"),
    "ML-ACTION-012": Code("an action on: list is not done with a selection", "write on: record"),
    "ML-ACTION-013": Code("{path} is not a user"),
    "ML-ACTION-010": Code("{field} of {entity} cannot be set: {why}"),
    # approval chains
    "ML-CHAIN-001": Code("{entity} has no approval chain {name}"),
    "ML-CHAIN-002": Code("{step} is no step of {chain} whose people the initiator picks"),
    "ML-CHAIN-003": Code("{key} means nothing for a step of type {type}", "remove it"),
    "ML-CHAIN-004": Code("a step of type {type} needs {key}"),
    "ML-CHAIN-005": Code("the step {step} stands twice in this chain", "names are unique in the whole chain, nested steps too"),
    "ML-CHAIN-006": Code("the branch {branch} is never taken: {why}", "remove it, or change the condition"),
    "ML-CHAIN-007": Code("no branch is taken when no condition holds", "give one branch otherwise: true"),
    "ML-CHAIN-008": Code("{step} may not have been decided here, so it has no outputs yet", "use outputs of earlier steps only"),
    "ML-CHAIN-009": Code("nobody can decide this step: {why}", "grant read to one of its roles, or choose others"),
    "ML-CHAIN-010": Code("{step} does not stand before {here}", "a record goes back to an earlier step: {known}"),
    "ML-CHAIN-011": Code("a vote passes with {found}: nobody can reach that", "a share above 0 and at most 1, or a whole number of votes from 1"),
    "ML-CHAIN-012": Code("{later} comes before {earlier}: escalations stand in the order of time"),
    "ML-CHAIN-013": Code("chains start each other in a circle: {cycle}", "remove one of the sub-steps"),
    "ML-CHAIN-014": Code("{key}: {value} does not fit {mode}", "{cure}"),
    "ML-CHAIN-015": Code("this gives {found}, not users", "name a field or an expression that gives users"),
    "ML-CHAIN-016": Code("{key}: {value} is not allowed on {entity}, which is protected", "keep four eyes: {cure}"),
    "ML-CHAIN-017": Code("{field} cannot be {right}: {why}", "remove it"),
    "ML-CHAIN-018": Code("min {low} is above max {high}: nobody could pick", "let max be at least min"),
    "ML-CHAIN-019": Code("nobody decides anything in this chain", "add a step of type decide"),
    "ML-CHAIN-020": Code("nothing starts this chain", "add start:, or the step start_approval to an action", "warning"),
    "ML-CHAIN-021": Code("{name} has a branch otherwise already", "keep one"),
    "ML-CHAIN-022": Code("{path} is no link of {entity} whose record {chain} could be about"),
    # entities
    "ML-ENTITY-001": Code("whose records are these? found {found}", "write exactly one of owned_by, scope_from, shared: true, child_of"),
    "ML-ENTITY-002": Code("scope_from names {field}, which is not a link of this entity"),
    "ML-ENTITY-003": Code("scope_from leads in a circle: {cycle}", "one of them needs owners of its own"),
    "ML-ENTITY-004": Code("child_of names {field}, which is not a link to {parent}"),
    "ML-ENTITY-005": Code("{child} does not say child_of {parent}", "add child_of: {{entity: {parent}, field: …}} to it"),
    "ML-ENTITY-006": Code("parent_field is {field}, but {child} says {wanted}", "write parent_field: {wanted}, or leave it out"),
    "ML-ENTITY-007": Code("{parent} has no child field for {child}", "add a field of type child with entity: {child}"),
    "ML-ENTITY-008": Code("parents and children form a circle: {cycle}", "deleting would never end; use a link instead"),
    "ML-ENTITY-009": Code("{field} is of type {type} and cannot serve as {what}"),
    "ML-ENTITY-010": Code("{key}: belongs to the engine's own pack", "remove it"),
    "ML-ENTITY-011": Code("{entity} lies in a table of the engine, which takes no fields of yours", "make an entity of your own with a link to it"),
    "ML-ENTITY-012": Code("{field} of {other} is not a link to {entity}"),
    "ML-ENTITY-013": Code("a journal is append-only", "add append_only: true"),
    # fields
    "ML-FIELD-001": Code("{key} means nothing for a field of type {type}", "remove it"),
    "ML-FIELD-002": Code("a field of type {type} needs {key}"),
    "ML-FIELD-003": Code("{first} and {second} contradict each other", "keep one"),
    "ML-FIELD-004": Code("no value is possible: min {low} is above max {high}"),
    "ML-FIELD-005": Code("scale {scale} is above precision {precision}"),
    "ML-FIELD-006": Code("{what} is not possible for a field that {why}"),
    "ML-FIELD-007": Code("this pattern cannot be used: {why}"),
    "ML-FIELD-008": Code("computed fields form a circle: {cycle}"),
    "ML-FIELD-009": Code("the bounds of an integer are whole numbers"),
    # lifecycles
    "ML-LIFE-001": Code("the lifecycle moves {field}, which is not a field of type state", "give the entity a field of type state"),
    "ML-LIFE-002": Code("{field} is of type state but no lifecycle moves it", "add a lifecycle: with field: {field}, or use choice"),
    "ML-LIFE-003": Code("there is no state {state}"),
    "ML-LIFE-004": Code("no transition leads to the state {state}", "add a transition to it, or remove it"),
    "ML-LIFE-005": Code("{state} is final, but the transition {transition} leaves it"),
    "ML-LIFE-006": Code("nothing leaves the state {state}", "write final: true, or add a transition"),
    "ML-LIFE-007": Code("nobody fires the transition {transition}", "fire it in the steps of an action, or remove it", "warning"),
    # screens
    "ML-SCREEN-001": Code("{path} is {type} and cannot be {what}"),
    "ML-SCREEN-002": Code("{field} stands in the section {section} already"),
    "ML-SCREEN-003": Code("{field} is the link to the parent, which the form of a child does not show", "remove it"),
    "ML-SCREEN-004": Code("{field} is required but stands in no section", "add it to a section, or give it a default", "warning"),
    "ML-SCREEN-005": Code("{item} needs exactly one of {goals}, found {found}"),
    "ML-SCREEN-006": Code("{entity} cannot be created by people on its own", "link to a list instead"),
    # access
    "ML-ACCESS-001": Code("{entity} has no action {name}"),
    "ML-ACCESS-002": Code("the scope {scope} asks for {needed}, but {entity} is not owned by one", "choose another scope, or add it to owned_by"),
    "ML-ACCESS-003": Code("{slot} and scope: {scope} belong together"),
    "ML-ACCESS-004": Code("nobody may list {entity}", "grant list to a role in access:", "warning"),
    "ML-ACCESS-005": Code("{name} cannot be granted on {entity}: {why}", "remove it"),
    "ML-ACCESS-006": Code("{field} has no mask, so nobody can see it masked", "add mask: to the field, or write hidden"),
    # series, ledger, sentences
    "ML-SERIES-001": Code("a pattern needs exactly one counter, found {found}", "add {{seq:6}}"),
    "ML-SERIES-002": Code("the pattern does not know {found}", "known: {known}"),
    "ML-SERIES-003": Code("the counter starts anew each {unit}, but the pattern does not show it: numbers would come twice"),
    "ML-LEDGER-001": Code("{books} there are only {side} legs: this can never balance", "add a leg on the other side"),
    "ML-LEDGER-002": Code("{other} catches every {event} already", "give the earlier rule a when:, or remove this one"),
    "ML-TEXT-001": Code("braces in this sentence must hold the path of a field, such as {{amount}}", "write {{{{ and }}}} for braces themselves"),
    "ML-TEXT-002": Code("the sentence speaks of {name}, which is not known here"),
}


def finding(code: str, position: Position, *, address: str = "", hint: str = "", **slots: object) -> Diagnostic:
    """A diagnostic of ``code``; ``hint`` replaces the general cure where the place knows a better one."""
    entry = CODES[code]
    cure = hint or entry.hint.format(**slots)
    return Diagnostic(code, entry.message.format(**slots), position, cure, entry.severity, address)
