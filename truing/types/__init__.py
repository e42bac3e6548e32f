"""What every room speaks: messages, requests, completions, verdicts, items, errors.

Here belong immutable values and the protocols between rooms. Standard library only; no I/O, no
numbers computed. A type that only one room uses stays in that room.
"""

from truing.types.completions import Completion, Fingerprint, SamplingParams, Stop, Trace, Usage
from truing.types.errors import EndpointError, InputError, LockedError, StorageError, TruingError
from truing.types.frozen import FrozenDict, Json, canonical_text, freeze, thaw
from truing.types.items import Expect, Item
from truing.types.messages import Message, Request, Role, ToolCall, ask
from truing.types.protocols import AsyncSampler, Delta, Dist, NextToken, Sampler, Scorer
from truing.types.record import Record, digest, dumps, loads
from truing.types.verdicts import Grader, GraderId, Outcome, Shown, ShownTrace, Verdict

__all__ = [
    "AsyncSampler",
    "Completion",
    "Delta",
    "Dist",
    "EndpointError",
    "Expect",
    "Fingerprint",
    "FrozenDict",
    "Grader",
    "GraderId",
    "InputError",
    "Item",
    "Json",
    "LockedError",
    "Message",
    "NextToken",
    "Outcome",
    "Record",
    "Request",
    "Role",
    "Sampler",
    "SamplingParams",
    "Scorer",
    "Shown",
    "ShownTrace",
    "Stop",
    "StorageError",
    "ToolCall",
    "Trace",
    "TruingError",
    "Usage",
    "Verdict",
    "ask",
    "canonical_text",
    "digest",
    "dumps",
    "freeze",
    "loads",
    "thaw",
]
