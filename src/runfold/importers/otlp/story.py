"""A conversation's spans as a story: its runs, and in the order of time what was said, called, answered and used in them."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from runfold.importers.acts.fields import from_nanoseconds
from runfold.importers.acts.keeping import kept_text
from runfold.importers.acts.kinds import Act, Began, Ended, Name, Story
from runfold.importers.otlp.meaning import agent_of, is_by_others, is_read_anew, kind_of, label_of, tokens_of, word
from runfold.importers.otlp.outcomes import actor_of, failure_of, traceparent
from runfold.importers.otlp.spans import LogRecord, Span
from runfold.importers.otlp.telling import Telling
from runfold.importers.otlp.thread import Followed, SourceRun, Tree, began_at
from runfold.importers.otlp.words import unread
from runfold.importers.sources import Report
from runfold.importers.tally import Note

FORMAT = "otlp"
BY_OTHERS = "by other conventions"
"""Ends the keys of stories in which spans of OpenInference, the AI SDK or Pydantic AI are read, which were not at first."""
TOLD_OTHERWISE = "spans with the ids of another one that says otherwise, which is taken"
_BEGIN, _OVER, _GIVEN, _ASKED, _CALLED, _RETURNED, _GAVE, _END = range(8)
"""What comes first of what happens at one moment, where clocks are coarse: what was over by then goes before what begins."""


class _Step(NamedTuple):
    """Something to tell at its time."""

    at: int
    rank: int
    depth: int
    key: tuple[str, str]
    tell: Callable[[], list[Act]]


def story_of(conversation: str | None, spans: Iterable[Span], records: Iterable[LogRecord], report: Report) -> Story | None:
    """What the spans of a conversation say; None where none of them is of a run, a model or a tool."""
    tree = Tree(spans, records, conversation)
    for span in tree.others:
        report(Note(span.place.file, span.place.line, label_of(span)))
    for span in tree.by_key.values():
        for kind in unread(span):
            report(Note(span.place.file, span.place.line, kind))
    for span in tree.told_otherwise:
        report(Note(span.place.file, span.place.line, TOLD_OTHERWISE))
    if not tree.runs:
        return None
    first = min(tree.runs.values(), key=lambda run: (run.began, run.key))
    key: Name = ("conversation", conversation) if conversation is not None else ("trace", first.key[0])
    title = conversation or (first.span.name if first.span is not None else None)
    if any(is_read_anew(span) for span in tree.by_key.values()):
        key += (BY_OTHERS,)
    return Story(
        format=FORMAT,
        key=tuple(kept_text(text) for text in key),
        acts=tuple(_acts(tree, report)),
        title=kept_text(title)[:200] if title else None,
        external_ref=kept_text(key[1]),
        settled=True,
    )


def _acts(tree: Tree, report: Report) -> list[Act]:
    telling = Telling(tree, report)
    steps: list[_Step] = []
    before = Followed()
    for run in sorted(tree.runs.values(), key=lambda run: (run.began, tree.depth(run), run.key)):
        depth = tree.depth(run)
        began = _began(run, before)
        steps.append(_Step(run.began, _BEGIN, depth, run.key, lambda began=began: [began]))  # type: ignore[misc]
        if run.parent is None:
            before.add(run)
        if run.span is not None and kind_of(run.span) == "agent":
            steps += _steps(run.span, run, depth, telling.agent_given, telling.agent_gave, (_GIVEN, _GAVE))
        if run.span is not None and kind_of(run.span) in {"agent", "other"} and tokens_of(run.span)[0]:
            report(Note(run.span.place.file, run.span.place.line, "sums of usage on agents' spans, which are not counted"))
        for span in run.spans:
            if tree.inner(span):
                report(
                    Note(span.place.file, span.place.line, "spans within another of the same call, which are not counted again")
                )
            elif kind_of(span) == "model":
                given, gave = _steps(span, run, depth, telling.given, telling.gave, (_GIVEN, _GAVE))
                asked_at = telling.asked_at(span, run)
                steps += [given, gave if asked_at is None else gave._replace(at=asked_at, rank=_ASKED)]
            else:
                steps += _steps(span, run, depth, telling.called, telling.returned, (_CALLED, _RETURNED))
        if run.span is not None and run.span.end:
            ended = _ended(run, run.span)
            steps.append(_Step(run.over, _END, -depth, run.key, lambda ended=ended: [ended]))  # type: ignore[misc]
    acts: list[Act] = []
    for step in sorted(steps, key=lambda step: step[:4]):
        acts += step.tell()
    return acts


def _steps(
    span: Span,
    run: SourceRun,
    depth: int,
    start: Callable[[Span, SourceRun], list[Act]],
    end: Callable[[Span, SourceRun], list[Act]],
    ranks: tuple[int, int],
) -> list[_Step]:
    key, began, over = (span.trace, span.id), began_at(span), max(span.end, began_at(span))
    return [
        _Step(began, ranks[0], depth, key, lambda: start(span, run)),
        _Step(over, ranks[1] if over == began else _OVER, depth, key, lambda: end(span, run)),
    ]


def _began(run: SourceRun, before: Followed) -> Began:
    first = run.first
    about: dict[str, Any] = {"trace_id": run.key[0], "span_id": run.key[1], "service": first.service}
    if run.span is not None:
        about |= {"links": run.span.links, "agent_id": word(run.span.attributes, "gen_ai.agent.id")}
    if is_by_others(first):
        about["user_id"] = word(first.attributes, "user.id")
    parent = run.parent or before.last_over(run.began)
    return Began(
        place=first.place,
        run=run.key,
        actor=actor_of(first),
        at=from_nanoseconds(run.began) if run.began else None,
        traceparent=traceparent(run.key),
        agent=agent_of(first),
        parent=parent,
        kind="continues" if run.parent is None else "spawned_by",
        metadata={name: value for name, value in about.items() if value},
    )


def _ended(run: SourceRun, span: Span) -> Ended:
    how, code, reason = failure_of(span)
    return Ended(
        place=span.place,
        run=run.key,
        actor=f"agent:{agent_of(run.first)}" if how == "completed" else actor_of(span),
        at=from_nanoseconds(span.end),
        traceparent=traceparent(run.key),
        how=how,
        stop_reason={"completed": "end_turn", "failed": "error", "cancelled": "cancelled"}[how],
        reason=reason,
        code=code,
    )
