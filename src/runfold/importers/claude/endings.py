"""How a call and a turn of Claude Code ended, as their lines state it: who stopped or forbade what, and with which words.

The client writes stock sentences where a person, a rule or a hook said no; only what a person typed after one is theirs.
Where a line does not say who it was, nobody is named. Functions here know one record and nothing else.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from runfold.importers.claude.envelopes import INTERRUPTED
from runfold.importers.claude.speakers import CLIENT, PERSON, Record, texts_of

SYNTHETIC = "<synthetic>"
"""The model's name on what the client wrote in the model's place."""

Verdict = Literal["succeeded", "failed", "cancelled", "denied"]
By = Literal["person", "policy", "hook"]

ACTORS: Mapping[str | None, str] = {"person": PERSON, "policy": "service:policy", "hook": "service:hook", None: CLIENT}
"""Who each kind of ending is credited to."""

_REJECTED = "The user doesn't want to proceed with this tool use"
_STOPPED = "The user doesn't want to take this action"
_DENIED = "Permission for this tool use was denied"
_PLAN_REJECTED = "The agent proposed a plan that was rejected by the user"
_SAID = ("the user said:\n", "The user said:\n")
_ADDED = ("\n\nNote: The user's next message may contain a correction or preference.", "\n<system-reminder>")
"""What the client appends to a person's words."""
_CLARIFY = "The user wants to clarify these questions"
_NOTES = re.compile(r"^[ \t]*User notes: (.+)$", re.MULTILINE)

_HOOK = re.compile(
    r"(?:(?:Error: )?(?:Hook )?(?:PreToolUse|PermissionRequest)(?::\S{1,200})? "
    r"(?:hook (?:error|denied|blocked|returned blocking error|blocking error|stopped)|denied this tool|blocked)"
    r"|(?:Blocked|Denied|Execution stopped) by (?:a )?(?:PreToolUse|PermissionRequest) hook)"
)
_POLICY = re.compile(
    r"Permission to use .{1,2000}? has been denied"
    r"|Permission for this (?:action|tool) (?:has been|was) denied"
    r"|Permission for this tool use was denied(?:\. It requires|: it requires)"
    r"|Claude requested permissions? to .{1,2000}?, but you haven't granted it yet"
    r"|This (?:\w+ )?command (?:contains .{1,400}? )?requires? approval"
    r"|This Bash command contains multiple operations\. The following parts? requires? approval"
    r"|.{1,2000}? was blocked\. For security, Claude Code (?:may|is) only"
    r"|.{0,400}?denied by (?:your|the) permission settings"
    r"|(?:Auto|auto) mode (?:could not|cannot) (?:evaluate|determine)"
    r"|.{1,200}? is temporarily unavailable, so auto mode cannot determine"
    r"|Permission for this tool .{0,200}?don't ask mode",
    re.DOTALL,
)
_CASCADE = re.compile(
    r"Cancelled: parallel tool call|Sibling tool call errored|Streaming fallback - tool execution discarded", re.I
)
_ABORTED = "Command was aborted before completion"
_KINDS: Mapping[str, tuple[Verdict, By | None]] = {
    "user-rejected": ("denied", "person"),
    "user_rejected": ("denied", "person"),
    "user": ("denied", "person"),
    "permission-rule": ("denied", "policy"),
    "automode-blocked": ("denied", "policy"),
    "automode-unavailable": ("denied", "policy"),
    "hook": ("denied", "hook"),
    "interrupted": ("cancelled", None),
    "cancelled": ("cancelled", None),
}
"""What `toolDenialKind` may say. Another word of it is a denial by nobody that is named."""


@dataclass(frozen=True)
class CallEnd:
    """How a tool call ended."""

    verdict: Verdict
    by: By | None = None
    """Who denied or stopped it; None where the line does not say."""
    message: str = ""
    """What the agent was told."""
    comment: str | None = None
    """What a person typed about it, and nothing else."""

    @property
    def code(self) -> str:
        """Return the code of a failure: `tool_error`, or `denied` and by whom."""
        if self.verdict != "denied":
            return "tool_error"
        return "denied" if self.by is None else f"denied_by_{self.by}"

    @property
    def actor(self) -> str:
        """Return who ended it, where it was denied or cancelled."""
        return ACTORS[self.by]


def call_end(block: Mapping[str, Any], record: Record) -> CallEnd:
    """Return how a call ended, from its result's block and the line that holds it."""
    text = "".join(texts_of(block.get("content")))
    plain = _plain(text)
    kind = record.get("toolDenialKind") if _is_only_result(record) else None
    if block.get("is_error") is not True and kind is None:
        if plain.startswith(INTERRUPTED) and plain.endswith("]") and "\n" not in plain:
            return CallEnd("cancelled", "person", text)
        return CallEnd("succeeded", message=text)
    feedback = record.get("userFeedback") if _is_only_result(record) else None
    typed = feedback.strip() if isinstance(feedback, str) and feedback.strip() else None
    verdict, by = _judged(plain, kind if isinstance(kind, str) else None, record)
    if verdict == "denied" and by == "person":
        return CallEnd(verdict, by, text, _typed(typed if typed is not None else _after_said(plain)))
    return CallEnd(verdict, by, text)


def _judged(text: str, kind: str | None, record: Record) -> tuple[Verdict, By | None]:  # noqa: PLR0911  one for each sentence
    """What the client's sentence says, and before it what the line's `toolDenialKind` does where the sentence is silent."""
    if text.startswith((INTERRUPTED, _STOPPED)):
        return "cancelled", None if record.get("interruptedByShutdown") else "person"
    if text.startswith((_REJECTED, _PLAN_REJECTED, "User declined to answer")):
        return "denied", "person"
    if text.startswith(_DENIED) and _after_said(text) is not None:
        return "denied", "person"
    if _HOOK.match(text):
        return "denied", "hook"
    if _CASCADE.match(text):
        return "cancelled", None
    if not text.startswith("Exit code") and _POLICY.match(text[:4000]):
        return "denied", "policy"  # also where the kind says "user-rejected": where nobody is there, nobody rejects
    if kind is not None:
        return _KINDS.get(kind, ("denied", None))
    if text.startswith(_DENIED):
        return "denied", None
    if _ABORTED in text[-200:]:
        return "cancelled", None
    return "failed", None


def _plain(text: str) -> str:
    """A result's text without its frame."""
    text = text.strip()
    if text.startswith("<tool_use_error>"):
        text = text.removeprefix("<tool_use_error>").removesuffix("</tool_use_error>").strip()
    return text.removeprefix("Error: ")


def _after_said(text: str) -> str | None:
    for said in _SAID:
        head, found, words = text.partition(said)
        if found and len(head) < 600:  # the client's sentence; further down somebody quotes it
            return words
    return None


def _typed(words: str | None) -> str | None:
    """Return what a person typed of the words that follow the client's sentence."""
    if words is None:
        return None
    if words.lstrip().startswith(_CLARIFY):
        return "\n".join(_NOTES.findall(words)) or None
    for added in _ADDED:
        words = words.partition(added)[0]
    return words.strip() or None


def _is_only_result(record: Record) -> bool:
    """Return whether what a line says of its result can be meant of one alone."""
    message = record.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    blocks = content if isinstance(content, list) else []
    return len([block for block in blocks if isinstance(block, dict) and block.get("type") == "tool_result"]) == 1


@dataclass(frozen=True)
class ApiError:
    """An error of the API that ended a turn."""

    code: str
    message: str


def is_answer(record: Record) -> bool:
    """Return whether a model wrote this line: not the client in its place, which is no model call and used nothing."""
    message = record.get("message")
    model = message.get("model") if isinstance(message, dict) else None
    if record.get("type") != "assistant" or model == SYNTHETIC or record.get("isApiErrorMessage") is True:
        return False
    return model is not None or not record.get("error")


def api_error(record: Record) -> ApiError | None:
    """Return the error that a line records in an answer's place; None for an answer, or what else the client wrote there."""
    if record.get("type") != "assistant" or is_answer(record):
        return None
    message = record.get("message")
    text = "\n".join(texts_of(message.get("content") if isinstance(message, dict) else None)).strip()
    error, flag = record.get("error"), record.get("isApiErrorMessage")
    if flag is not True and (flag is False or not (error or text.startswith("API Error"))):
        return None
    return ApiError(_code(error, record.get("apiErrorStatus"), text), text or "an error of the API, without words")


def ends_turn(record: Record) -> bool:
    """Return whether the model's answer says that its turn ended, and asks for no tool."""
    message = record.get("message")
    if not isinstance(message, dict) or not is_answer(record):
        return False
    content = message.get("content")
    blocks = content if isinstance(content, list) else []
    calls = any(isinstance(block, dict) and block.get("type") == "tool_use" for block in blocks)
    return not calls and bool(message.get("stop_reason") in ("end_turn", "stop_sequence"))


_STATUS = re.compile(r"(?:API Error:? ?\(?|Request rejected \()(?:Error: )?(\d{3})\b")
_SENTENCES: tuple[tuple[str, str], ...] = (
    ("usage limit reached", "rate_limit"),
    ("hit your session limit", "rate_limit"),
    ("hit your weekly limit", "rate_limit"),
    ("hit your limit", "rate_limit"),
    ("invalid api key", "authentication_failed"),
    ("please run /login", "authentication_failed"),
    ("oauth token", "authentication_failed"),
    ("credit balance is too low", "billing_error"),
    ("prompt is too long", "prompt_too_long"),
    ("request timed out", "timeout"),
    ("connection error", "connection_error"),
    ("connection closed", "connection_error"),
    ("unable to connect", "connection_error"),
    ("request was aborted", "aborted"),
)


def _code(error: Any, status: Any, text: str) -> str:
    """The code that is stated: by name, in the API's own JSON, as a status, or in the client's sentence."""
    for stated in (error, _json_in(text)):
        if isinstance(stated, str) and stated.strip():
            return stated.strip()[:200]
        if (named := _named(stated)) is not None:
            return named[:200]
    if isinstance(error, dict) and _is_status(error.get("status")):
        status = error["status"]
    if (found := _STATUS.search(text)) is not None:
        status = int(found[1])
    if _is_status(status):
        return "rate_limit" if status == 429 else f"http_{status}"
    lower = text.lower()
    return next((code for sentence, code in _SENTENCES if sentence in lower), "api_error")


def _named(error: Any, depth: int = 0) -> str | None:
    """The most inner type of an error as the API words it: `{"type": "error", "error": {"type": "overloaded_error"}}`."""
    if not isinstance(error, dict) or depth > 4:
        return None
    inner = _named(error.get("error"), depth + 1)
    kind = error.get("type")
    return inner or (kind if isinstance(kind, str) and kind and kind != "error" else None)


def _json_in(text: str) -> Any:
    start = text.find("{")
    if start < 0:
        return None
    try:
        return json.JSONDecoder().raw_decode(text, start)[0]
    except (ValueError, RecursionError):
        return None


def _is_status(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 100 <= value < 600
