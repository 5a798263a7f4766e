"""How a tool call ended, as its output or its end event says.

An exit code is what was stated: in the output's `metadata`, in the lines above `Output:`, or in `exec_command_end`. Where a
person, a policy or the reviewing agent did not let the call run, that is a refusal and no error of the tool.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from runfold.importers.codex.content import CLIENT, PERSON, texts_of
from runfold.importers.turns.values import mapping, text

GUARDIAN, POLICY = "agent:guardian", "service:policy"

_TOLD_WITHIN = 400
"""Characters at the beginning of an output in which a refusal stands."""
_EXIT = re.compile(r"^(?:Exit code:|Process exited with code) (-?\d+)\s*$", re.MULTILINE)
_HEADED = ("Exit code:", "Chunk ID:", "Wall time:", "Command:", "Process exited")
_ABORTED = re.compile(r"aborted(?: by user)?(?: after [\d.]+\s*s\w*)?[.\s]*", re.IGNORECASE)
_BY_PERSON = re.compile(
    r"\A(?:err(?:or)?: )?(?:(?:(?:exec|shell) )?command |(?:apply_)?patch |(?:tool )?call )?"
    r"(?:rejected|denied|declined) by (?:the )?user(?=[:.\s]*\Z|[:.] )",
    re.IGNORECASE,
)
"""The client's own sentence, and what may follow: a tool may tell of something else that a user rejected."""
_NOBODY_ASKED = re.compile(r"\Auser (?:rejected|cancelled) MCP tool call\Z")
"""What the client writes also where nobody was there to be asked."""
_BY_GUARDIAN = re.compile(r"\A.{0,80}(?:rejected due to unacceptable risk|automatic approval review)", re.IGNORECASE)
_BY_POLICY = re.compile(
    r"\A.{0,200}(?:approval policy is \W*never"
    r"|(?:rejected|forbidden|blocked|denied)[: ]+(?:\w+ ){0,2}by (?:\w+ ){0,2}policy"
    r"|rejected: (?:blocked|forbidden))",
    re.IGNORECASE | re.DOTALL,
)
_FAILED = re.compile(
    r"\A(?:Script failed|err(?:or)?:|execution error:|failed to parse (?:function|exec) arguments"
    r"|unsupported (?:custom tool )?call|request_user_input is unavailable"
    r"|apply_patch verification failed|failed in sandbox|tool call error:|MCP error|codex_core::)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Outcome:
    """How a call ended."""

    how: Literal["succeeded", "failed", "cancelled", "refused"]
    result: Any = None
    message: str = ""
    code: str = "tool_error"
    by: str = CLIENT
    """Who refused or cancelled it."""
    comment: str | None = None
    """What they said to it: the client's own sentence is not theirs."""


def of_output(output: Any) -> Outcome:
    """What a `…_output` item says."""
    held = mapping(output)
    content = held.get("content") if "content" in held else output
    words = "".join(texts_of(content))
    parsed = _parsed(words)
    if (code := _stated_code(parsed, words)) is not None:
        kept = parsed or words
        return Outcome("succeeded", kept) if code == 0 else _exited(code, text(parsed.get("output")) or words, kept)
    if not words.startswith(_HEADED) and (stopped := _stopped(words)) is not None:
        return stopped
    if held.get("success") is False or parsed.get("success") is False or _FAILED.match(words):
        return Outcome("failed", message=words, result=parsed or None)
    return Outcome("succeeded", parsed or (words if isinstance(content, str) else content))


def of_event(kind: str, event: dict[str, Any]) -> Outcome | None:
    """What an event at the end of a call says; None where it does not say it."""
    match kind:
        case "exec_command_end":
            return _of_command(event)
        case "patch_apply_end":
            words = "\n".join(filter(None, (text(event.get("stdout")), text(event.get("stderr")))))
            if event.get("status") == "declined":
                return _declined(words)
            if not isinstance(event.get("success"), bool):
                return None
            return Outcome("succeeded", words) if event["success"] else Outcome("failed", message=words or "the patch failed")
        case "mcp_tool_call_end":
            return _of_mcp(event.get("result"))
        case _:
            return None


def of_item(item: dict[str, Any]) -> Outcome | None:
    """What an item of a turn says of the end of its call, as it stands in newer files instead of an event of its own."""
    status = item.get("status")
    match item.get("type"):
        case "CommandExecution":
            return _of_command(item)
        case "FileChange":
            told = {"success": status == "completed"} if status in ("completed", "failed") else {}
            return of_event("patch_apply_end", {**item, **told})
        case "McpToolCall":
            error = mapping(item.get("error"))
            return _of_mcp({"Err": text(error.get("message")) or "the tool failed"} if error else item.get("result"))
        case "DynamicToolCall" if status == "failed":
            return Outcome("failed", message=text(item.get("error")) or "the tool failed")
        case _:
            return None


def _of_command(event: dict[str, Any]) -> Outcome | None:
    code, words = event.get("exit_code"), text(event.get("aggregated_output")) or text(event.get("formatted_output"))
    words = words or "".join(filter(None, (text(event.get("stdout")), text(event.get("stderr"))))) or ""
    if event.get("status") == "declined":
        return _declined(words)
    if not isinstance(code, int) or isinstance(code, bool):
        return None
    kept = {"exit_code": code, "output": words}
    return Outcome("succeeded", kept) if code == 0 else _exited(code, words, kept)


def _declined(words: str) -> Outcome:
    """A call that was declined: by whom its words say, else by whoever answers what the client asks."""
    stopped = _stopped(words)
    return stopped if stopped is not None and stopped.how == "refused" else Outcome("refused", message=words or "declined")


def _of_mcp(result: Any) -> Outcome | None:
    held = mapping(result)
    if "Err" in held:
        words = str(held["Err"])
        return Outcome("failed", message=words, code="denied" if _NOBODY_ASKED.match(words) else "mcp_error")
    if not isinstance(answer := held.get("Ok", result), dict):
        return None
    if answer.get("isError") is True or answer.get("is_error") is True:
        return Outcome("failed", message="".join(texts_of(answer.get("content"))) or "the tool failed", result=answer)
    return Outcome("succeeded", answer)


def _exited(code: int, words: str, kept: Any) -> Outcome:
    return Outcome("failed", kept, words or f"it exited with code {code}", f"exit_{code}")


def _parsed(words: str) -> dict[str, Any]:
    if not words.startswith("{"):
        return {}
    try:
        return mapping(json.loads(words))
    except (ValueError, RecursionError):
        return {}


def _stated_code(parsed: dict[str, Any], words: str) -> int | None:
    code = mapping(parsed.get("metadata")).get("exit_code", parsed.get("exit_code"))
    if isinstance(code, int) and not isinstance(code, bool):
        return code
    if not words.startswith(_HEADED):
        return None
    found = _EXIT.search(words.partition("\nOutput:")[0])
    return int(found[1]) if found else None


def _stopped(words: str) -> Outcome | None:
    """A call that did not run to its end because somebody or something did not let it."""
    whole, words = words, words[:_TOLD_WITHIN]
    if _ABORTED.fullmatch(words):
        return Outcome("cancelled", message=whole, by=PERSON if "by user" in words.lower() else CLIENT)
    if (rejected := _BY_PERSON.match(words)) is not None:
        return Outcome("refused", message=whole, by=PERSON, comment=whole[rejected.end() :].strip(" .:\n") or None)
    if _BY_GUARDIAN.match(words):
        return Outcome("refused", message=whole, by=GUARDIAN, comment=whole)
    if _BY_POLICY.match(words):
        return Outcome("refused", message=whole, by=POLICY, comment=whole)
    return None
