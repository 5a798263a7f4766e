"""The words of a rollout as parts of messages, and whose words they are."""

import re
from collections.abc import Iterator
from typing import Any

from runfold.domain.parts import DataPart, FilePart, Part, ReasoningPart, TextPart
from runfold.importers.turns.values import listing, mapping, text

PERSON, AGENT, CLIENT = "human:user", "agent:codex", "service:codex"

_MACHINE_MADE = (
    "# AGENTS.md instructions for ",
    "# AGENTS.md instructions\n\n<INSTRUCTIONS>",
    "<user_instructions>",
    "<INSTRUCTIONS>",
    "<environment_context>",
    "<permissions instructions>",
    "<turn_aborted>",
    "<user_shell_command>",
    "<user_action>",
    "<skill>",
    "<hook_prompt",
    "<subagent_notification>",
    "<goal_context>",
    "<codex_internal_context",
    "<realtime_conversation>",
    "<collaboration_mode>",
    "<personality_spec>",
    "<apps_instructions>",
    "<skills_instructions>",
    "<plugins_instructions>",
    "<recommended_plugins>",
    "<model_switch>",
    "Warning: The maximum number of unified exec processes",
    "Warning: apply_patch was requested via ",
    "Another language model started to solve this problem",
)
"""How messages begin that the client puts under the role `user`."""
_WRAPPED = re.compile(r"<([a-z]+(?:[_-][a-z]+)+)(?:\s[^>]*)?>.*</\1>\s*", re.DOTALL)
"""A whole message between tags with an underscore or a hyphen: made by the client, whatever version calls it what."""

_KINDS_OF_PEOPLE = frozenset({"user", "images", "audio"})
"""How kinds of content begin that a person may have given, an image that could not be shown among them."""

_EDITOR, _TYPED = "# Context from my IDE setup:", "## My request for Codex:"
"""How the words of an editor begin that stand in one message with the person's, and where those begin."""

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,(.*)", re.DOTALL)


def is_machine_made(words: str) -> bool:
    """Return whether no person typed it, though it stands under the role `user`."""
    begins = words.lstrip()
    return begins.startswith(_MACHINE_MADE) or _WRAPPED.fullmatch(begins) is not None


def is_stated_machine_made(item: dict[str, Any]) -> bool:
    """Return whether an item states of each part of its content that it is of a kind that no person typed."""
    kinds = listing(mapping(item.get("internal_chat_message_metadata_passthrough")).get("content_item_kinds"))
    known = [kind.partition(".")[0] for kind in kinds if isinstance(kind, str) and kind != "unknown"]
    return bool(kinds) and len(known) == len(kinds) and _KINDS_OF_PEOPLE.isdisjoint(known)


def context_of(words: str) -> tuple[str | None, str]:
    """What an editor puts before a prompt, and the prompt as it was typed."""
    if words.lstrip().startswith(_EDITOR):
        context, found, typed = words.partition(_TYPED)
        if found and typed.strip():
            return context.rstrip(), typed.strip()
    return None, words


def texts_of(content: Any) -> list[str]:
    """The texts in a message's content."""
    if isinstance(content, str):
        return [content]
    return [block["text"] for block in listing(content) if isinstance(block, dict) and isinstance(block.get("text"), str)]


def parts_of(content: Any) -> Iterator[Part]:
    """A message's content, or a tool's output, as parts."""
    if isinstance(content, str):
        yield TextPart(text=content)
        return
    for block in listing(content):
        words, url = mapping(block).get("text"), mapping(block).get("image_url")
        if isinstance(words, str):
            yield TextPart(text=words)
        elif isinstance(url, str):
            yield image(url)
        else:
            yield DataPart(data=block, name=text(mapping(block).get("type")))


def image(url: str) -> Part:
    """An image, given as a URL that may hold it."""
    held = _DATA_URL.fullmatch(url)
    return FilePart(media_type=held[1], data=held[2]) if held else FilePart(media_type="image/*", url=url)


def reasoning_of(item: dict[str, Any]) -> ReasoningPart:
    """The model's reasoning: what it said of it, or its summary; the encrypted whole beside."""
    said = texts_of(item.get("content")) or texts_of(item.get("summary"))
    return ReasoningPart(text="\n\n".join(said), encrypted=text(item.get("encrypted_content")))
