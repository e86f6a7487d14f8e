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
    # references
    "ML-REF-001": Code("there is no {what} {name}"),
    "ML-REF-002": Code("{path} is not a field of {entity}"),
    "ML-REF-003": Code("{path} goes through {field}, which is not a link"),
    "ML-REF-004": Code("{name} belongs to the pack {pack}, on which this pack does not depend", "add {pack} to depends in pack.yaml"),
    "ML-REF-005": Code("{what}: {why}"),
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
    "ML-ACTION-010": Code("{field} of {entity} cannot be set: {why}"),
}


def finding(code: str, position: Position, *, address: str = "", hint: str = "", **slots: object) -> Diagnostic:
    """A diagnostic of ``code``; ``hint`` replaces the general cure where the place knows a better one."""
    entry = CODES[code]
    cure = hint or entry.hint.format(**slots)
    return Diagnostic(code, entry.message.format(**slots), position, cure, entry.severity, address)
