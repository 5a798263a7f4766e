"""The stories that spans tell, and what they say, whichever convention they were told by."""

import json
from typing import Any

from runfold.domain.parts import TextPart
from runfold.importers.acts.kinds import Began, Called, CallEnded, Ended, ModelCalled, Place, Said, Story, Used
from runfold.importers.otlp.spans import LogRecord, Span, items
from runfold.importers.otlp.story import story_of
from runfold.importers.tally import Reports
from tests.importers.otlp.conventions import AGENT, QUESTION, RULES, Talk
from tests.importers.otlp.traces import logs, request


def told(
    *spans: dict[str, Any], records: tuple[dict[str, Any], ...] = (), conversation: str | None = None
) -> tuple[Story, Reports]:
    """The story of spans, and what was to be said of them."""
    reports = Reports()
    found = [
        *items(request(*spans), Place("t.jsonl", 1), reports.take),
        *items(logs(*records), Place("t.jsonl", 2), reports.take),
    ]
    of_spans = [item for item in found if isinstance(item, Span)]
    story = story_of(conversation, of_spans, [item for item in found if isinstance(item, LogRecord)], reports.take)
    assert story is not None
    return story, reports


def of(story: Story, kind: type) -> list[Any]:
    """The acts of a kind."""
    return [act for act in story.acts if isinstance(act, kind)]


def talk(story: Story) -> list[tuple[str, str]]:
    """Who said what."""
    return [(said.role, "".join(part.text for part in said.parts if isinstance(part, TextPart))) for said in of(story, Said)]


def _parsed(arguments: Any) -> Any:
    return json.loads(arguments) if isinstance(arguments, str) else arguments


def summary(story: Story) -> dict[str, Any]:
    """What a story says, whichever convention it was told by."""
    words = {said.name: (said.role, words) for said, (_, words) in zip(of(story, Said), talk(story), strict=True)}
    ended = {end.name: (end.how, None if end.how == "failed" else end.result) for end in of(story, CallEnded)}
    calls = [
        (call.provider_id, call.tool, _parsed(call.arguments), words.get(call.message), ended.get(call.name))
        for call in of(story, Called)
    ]
    return {
        "runs": [(run.agent, run.parent) for run in of(story, Began)],
        "ends": [run.how for run in of(story, Ended)],
        "talk": [said for said in talk(story) if said[0] != "tool"],
        "calls": sorted(calls, key=str),
        "used": [(used.tokens["input_tokens"], used.tokens["output_tokens"], used.model) for used in of(story, Used)],
        "asked": [(call.provider, call.model) for call in of(story, ModelCalled)],
    }


def expected(made: Talk) -> dict[str, Any]:
    """What a story says that tells a talk."""
    return {
        "runs": [(AGENT, None)],
        "ends": ["completed"],
        "talk": [("system", RULES), ("user", QUESTION), *(("assistant", step.text) for step in made.steps)],
        "calls": sorted(
            (
                (
                    call.id,
                    call.tool,
                    call.arguments,
                    ("assistant", step.text),
                    ("failed", None) if call.failed else ("succeeded", call.result),
                )
                for step in made.steps
                for call in step.calls
            ),
            key=str,
        ),
        "used": [(*step.tokens, "gpt-4o") for step in made.steps],
        "asked": [("openai", "gpt-4o") for _ in made.steps],
    }
