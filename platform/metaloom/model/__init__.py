"""The nouns: what metadata defines, as frozen values. Standard library only; no behaviour beyond looking things up.

Every definition carries its ``address`` and the ``Position`` it was written at (for overlays: the last writer).
Maps are read-only ``Mapping`` objects in the order of the metadata.
"""

from metaloom.model.access import AccessGrant, FieldLevel, Role
from metaloom.model.action import Action, Input, Step
from metaloom.model.approval import (
    Allowed,
    ApprovalChain,
    Branch,
    ChainStep,
    CopyTo,
    Decide,
    Escalation,
    Fork,
    Limit,
    ReturnRule,
    StartRule,
    SubChain,
    WaitFor,
)
from metaloom.model.catalog import Catalog, Pack
from metaloom.model.choices import Choice, Choices
from metaloom.model.dashboard import Dashboard, Measure, Rows, Widget
from metaloom.model.entity import (
    Aggregate,
    Entity,
    Field,
    FieldType,
    Index,
    Ownership,
    Rule,
    UniqueRule,
)
from metaloom.model.job import Job, JobStep
from metaloom.model.ledger import Account, AccountingRule, LedgerLeg
from metaloom.model.lifecycle import Lifecycle, State, Transition
from metaloom.model.message import ChannelText, HookIn, HookOut, MessageTemplate, Webhook
from metaloom.model.printing import PrintBlock, PrintTemplate
from metaloom.model.process import ByHand, Process, ProcessStep, Retry, Way
from metaloom.model.screen import (
    BoardView,
    CalendarView,
    Column,
    Form,
    ListView,
    Menu,
    MenuItem,
    QuickLink,
    Section,
    Tab,
)
from metaloom.model.series import NumberSeries
from metaloom.model.trial import Expectation, Move, Person, Trial
from metaloom.model.warning import Absence, Again, AlertEscalation, AlertForm, LevelRule, Receiver, WarningRule
from metaloom.model.who import Who

__all__ = [
    "Absence", "AccessGrant", "Account", "AccountingRule", "Action", "Again", "Aggregate", "AlertEscalation", "AlertForm", "Allowed",
    "ApprovalChain", "BoardView", "Branch", "ByHand", "CalendarView", "Catalog", "ChainStep", "ChannelText", "Choice", "Choices",
    "Column", "CopyTo", "Dashboard", "Decide",
    "Entity",
    "Escalation", "Expectation", "Field", "FieldLevel", "FieldType", "Fork", "Form", "HookIn", "HookOut", "Index", "Input",
    "Job", "JobStep", "LedgerLeg", "LevelRule", "Lifecycle", "Limit", "ListView", "Measure", "Menu", "MenuItem", "MessageTemplate", "Move", "NumberSeries",
    "Ownership", "Pack", "Person", "PrintBlock", "PrintTemplate", "Process", "ProcessStep", "QuickLink", "Receiver", "Retry", "ReturnRule",
    "Role", "Rows", "Rule", "Section", "StartRule", "State", "Step",
    "SubChain", "Tab", "Transition", "Trial", "UniqueRule", "WaitFor", "WarningRule", "Way", "Webhook", "Who", "Widget",
]
