"""Entity and Field: what a record is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

from metaloom.base.position import NOWHERE, Position
from metaloom.base.text import Text

EMPTY: Mapping[str, object] = MappingProxyType({})

RESERVED_COLUMNS = ("id", "row_version", "created_at", "created_by", "updated_at", "updated_by")
OWNER_COLUMNS = ("company_id", "org_unit_id", "owner_id")


class FieldType(StrEnum):
    """The field types. The comment gives the Python value of a record and the column type."""

    TEXT = "text"                    # str; VARCHAR(length, default 200)
    LONG_TEXT = "long_text"          # str; TEXT
    RICH_TEXT = "rich_text"          # str, sanitised HTML; TEXT
    INTEGER = "integer"              # int; BIGINT
    DECIMAL = "decimal"              # Decimal; exact, precision/scale (default 18,4)
    MONEY = "money"                  # Decimal; exact, scale 2, currency
    RATE = "rate"                    # Decimal fraction (0.12 = 12 %); exact, scale 8
    DATE = "date"                    # date
    DATETIME = "datetime"            # aware UTC datetime
    TIME = "time"                    # time
    BOOLEAN = "boolean"              # bool
    CHOICE = "choice"                # str code; VARCHAR(60)
    MULTI_CHOICE = "multi_choice"    # tuple[str, ...]; JSON text
    STATE = "state"                  # str; written by the lifecycle only
    LINK = "link"                    # int id of the target; BIGINT FK, column <name>_id
    CHILD = "child"                  # rows of a child entity; no column here
    ATTACHMENT = "attachment"        # tuple[int, ...] of file ids; JSON text
    IMAGE = "image"                  # as attachment, images only
    JSON = "json"                    # any JSON value; JSON text
    AUTO_NUMBER = "auto_number"      # str from a number series
    USER = "user"                    # int id of platform.user; column <name>_id
    ORG_UNIT = "org_unit"            # int id of platform.org_unit; column <name>_id
    COMPANY = "company"              # int id of platform.company; column <name>_id
    REGION = "region"                # str, six-digit administrative code 省市区
    PHONE = "phone"                  # str
    EMAIL = "email"                  # str
    ID_CARD = "id_card"              # str
    BANK_CARD = "bank_card"          # str
    CREDIT_CODE = "credit_code"      # str, 统一社会信用代码
    COLOUR = "colour"                # str #rrggbb
    TAGS = "tags"                    # tuple[str, ...]; JSON text
    SIGNATURE = "signature"          # int file id inside a tuple, as image
    URL = "url"                      # str, http(s) only


LINK_TYPES = frozenset({FieldType.LINK, FieldType.USER, FieldType.ORG_UNIT, FieldType.COMPANY})
LIST_TYPES = frozenset({FieldType.MULTI_CHOICE, FieldType.ATTACHMENT, FieldType.IMAGE, FieldType.TAGS, FieldType.SIGNATURE})
FILE_TYPES = frozenset({FieldType.ATTACHMENT, FieldType.IMAGE, FieldType.SIGNATURE})
EXACT_TYPES = frozenset({FieldType.DECIMAL, FieldType.MONEY, FieldType.RATE})


@dataclass(frozen=True)
class Rule:
    """A validation: ``check`` must be true (null counts as true: a missing value is `required`'s business).

    ``field`` is where the message is shown; ``when`` (optional) says when the rule applies at all.
    ``on`` holds ``create`` and/or ``change``.
    """

    name: str
    check: str
    message: Text
    field: str = ""
    when: str = ""
    on: tuple[str, ...] = ("create", "change")
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)      # a thousand of them for each tenant: more than thirty attributes in a dict take 2.4 KB
class Field:
    """One field of an entity. Expressions are source text; the compiler has checked them against the entity's scope."""

    name: str
    type: FieldType
    label: Text
    address: str = ""
    help: Text | None = None
    unit: Text | None = None
    required: bool = False
    required_when: str = ""
    visible_when: str = ""
    read_only: bool = False            # never accepted as input; set by actions, plugins, computed or default
    read_only_when: str = ""
    fixed: bool = False                # accepted on create, never afterwards
    unique: bool = False               # per company when the entity is owned, else global
    default: str = ""                  # expression, evaluated at create when the value is absent
    computed: str = ""                 # expression; stored, recomputed at each save; never input
    fill: Mapping[str, str] = field(default_factory=dict)  # when this value is entered: other field -> expression (form and server)
    length: int | None = None
    min: Decimal | None = None
    max: Decimal | None = None
    pattern: str = ""
    pattern_message: Text | None = None
    precision: int | None = None
    scale: int | None = None
    currency: str = "CNY"
    choices: str = ""                  # address of Choices
    choices_in: str = ""               # expression: the codes among the choices that may be chosen now; null = all
    entity: str = ""                   # target of link and child
    filter: str = ""                   # condition on the link's target; bare names are the target's fields, `record.x` is this record
    parent_field: str = ""             # child: the link field of the child entity that points here
    series: str = ""                   # auto_number: address of a NumberSeries
    mask: str = ""                     # '' | phone | id_card | bank_card | name | all
    encrypted: bool = False
    search: str = ""                   # '' | exact | last4 | contains | prefix  ('' = the type's natural operators)
    pinyin: bool = False
    history: bool = True
    in_capitals: bool = False          # money: the form shows 大写
    multiple: bool = True              # attachment: more than one file
    accept: tuple[str, ...] = ()       # attachment: file extensions
    position: Position = NOWHERE

    @property
    def column(self) -> str:
        """The name of the database column (links end in ``_id``)."""
        return f"{self.name}_id" if self.type in LINK_TYPES else self.name

    @property
    def stored(self) -> bool:
        """Whether the field has a column of its own."""
        return self.type is not FieldType.CHILD


@dataclass(frozen=True)
class Ownership:
    """Who a row belongs to (decision 4): exactly one of the three forms.

    ``owned_by`` ⊆ (company, org_unit, user): adds the columns company_id, org_unit_id, owner_id.
    ``scope_from``: the link field whose target's scope holds for this row. ``shared``: everyone with the right sees all rows.
    """

    owned_by: tuple[str, ...] = ()
    scope_from: str = ""
    shared: bool = False


@dataclass(frozen=True)
class UniqueRule:
    """No two live rows share these fields (``when``: only rows for which it is true).

    ``tell``: everybody who meets it is told so, even where the fields of the other row are not for them (the rule must be known
    at the counter); it is written down and counted all the same.
    """

    name: str
    fields: tuple[str, ...]
    when: str = ""
    message: Text | None = None
    tell: bool = False
    position: Position = NOWHERE


@dataclass(frozen=True)
class Index:
    name: str
    fields: tuple[str, ...]
    position: Position = NOWHERE


@dataclass(frozen=True)
class Aggregate:
    """A number about a record's children shown in headers (``sum(items.amount)``)."""

    name: str
    label: Text
    value: str


@dataclass(frozen=True)
class Entity:
    """A kind of record. ``storage`` is ``table`` (its own table) or ``engine`` (a table the engine owns; no generic writes).

    ``role`` marks bulk-written entities: '' | journal | derived (decision 30). ``append_only``: rows are created and never changed.
    """

    address: str
    pack: str
    module: str
    name: str
    label: Text
    title: str                               # the field that names a record to people
    fields: Mapping[str, Field]
    ownership: Ownership
    subtitle: str = ""
    help: Text | None = None
    icon: str = ""
    natural_key: tuple[str, ...] = ()
    delete: str = "archive"                  # never | archive | physical
    storage: str = "table"
    table: str = ""                          # table name; <pack>__<entity> unless engine storage
    append_only: bool = False
    often_changed: bool = False              # room beside every row, so that changes in masses touch no index
    log_views: bool = False                  # every opening of a record is written into the audit
    bulk: str = ""                           # '' | journal | derived
    checked_in_sets: tuple[str, ...] = ()    # links of a journal that are looked up once for all rows of a statement
    child_of: str = ""                       # address of the parent entity when rows live inside a parent
    parent_field: str = ""                   # the link field to the parent
    rules: Mapping[str, Rule] = field(default_factory=dict)
    unique: Mapping[str, UniqueRule] = field(default_factory=dict)
    indexes: Mapping[str, Index] = field(default_factory=dict)
    header: tuple[str, ...] = ()             # field paths shown as facts on top of the detail page
    related: Mapping[str, str] = field(default_factory=dict)   # tab name -> "<entity>.<link field pointing here>"
    related_labels: Mapping[str, Text] = field(default_factory=dict)
    comments: bool = False                   # people with the right `comment` talk about a record on its page
    locked: bool = False                     # overlays may extend, not weaken
    renamed_from: str = ""
    renamed_fields: Mapping[str, str] = field(default_factory=dict)  # new field name -> former name
    position: Position = NOWHERE

    @property
    def archivable(self) -> bool:
        return self.delete == "archive" and self.storage == "table" and not self.append_only
