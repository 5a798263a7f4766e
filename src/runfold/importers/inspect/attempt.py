"""One attempt at a sample: its events in their order, and the runs that they belong to."""

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Any

from runfold.domain.parts import DataPart, Part
from runfold.errors import shortened
from runfold.importers.acts.fields import Fields
from runfold.importers.acts.keeping import kept, kept_text
from runfold.importers.acts.kinds import Act, Began, Chose, Compacted, Ended, Name, Place, Reported, Said
from runfold.importers.inspect.answers import Answers
from runfold.importers.inspect.calls import Calls
from runfold.importers.inspect.content import Attachments
from runfold.importers.inspect.conversation import Conversation, Messages
from runfold.importers.inspect.outcome import ATTEMPT, Ending, Score, score_of, scores_of
from runfold.importers.inspect.spans import MAIN, Spans, flattened, in_steps
from runfold.importers.inspect.talk import Talk
from runfold.importers.tally import Note

LET_BY = frozenset(
    {
        "span_begin",
        "span_end",
        "step",
        "subtask",
        "sample_init",
        "sample_limit",
        "state",
        "store",
        "sandbox",
        "info",
        "logger",
        "error",
        "anchor",
        "branch",
        "checkpoint",
        "score_edit",
    }
)
"""Kinds of events that are told otherwise, or are about the harness."""

OPERATOR, HARNESS, SCORER = "human:operator", "service:inspect", "service:scorer"


class Attempt:
    """The events of an attempt on their way to acts."""

    def __init__(
        self, key: Name, run: Name, events: list[Fields], sample: Fields, attachments: Attachments, solver: str | None
    ) -> None:
        self.key, self.run = key, run
        self.sample = sample
        self.attachments = attachments
        told, steps = in_steps([event for event in flattened(iter(events)) if event])
        self.events = _approvals_first(told)
        self.spans = Spans.of(self.events, steps)
        agent = next((span.name for span in self.spans.by_id.values() if span.type == "agent"), None)
        self.agent = solver or (kept_text(agent, 400) if agent else "inspect")
        self.acts: list[Act] = []
        self.calls = Calls(attachments)
        self.messages = Messages()
        self.talks = {MAIN: Talk(run, self.agent, Conversation(), attachments, self.calls)}
        self.answers = Answers(sample, attachments, self.messages)
        self.scored: dict[str, datetime | None] = {}
        """When each scorer scored."""
        self.judged: set[str] = set()
        self._unknown: Counter[str] = Counter()
        self._open: list[str] = []
        """Spans with a run of their own that have not ended, in their order."""
        self._just_ended: defaultdict[str, set[str]] = defaultdict(set)
        """By the run that started them: spans that ended while nothing has followed in it."""
        self._went_on: set[str] = set()
        """Spans after whose end the run that started them went on."""
        self._ended_at: dict[str, tuple[datetime | None, Place]] = {}
        self._fallbacks: Counter[str] = Counter()
        moments = [moment for event in self.events if (moment := _silent_time(event)) is not None]
        self.first_at: datetime | None = moments[0] if moments else None
        self.last_at: datetime | None = moments[-1] if moments else None

    def read(self) -> None:
        """Take in all events. One that cannot be read is a problem."""
        handlers: dict[str, Callable[[Fields, Talk, Name], None]] = {
            "model": self._model,
            "tool": self._tool,
            "approval": self._approval,
            "score": self._score,
            "compaction": self._compaction,
            "input": self._input,
            "interrupt": self._interrupt,
        }
        for event in self.events:
            kind = event.text("event") or ""
            if kind == "approval" and event.raw("stage") == "result":  # the call has run, and no verdict undoes that
                self._unknown["approval of a result"] += 1
                continue
            try:
                self._spans(event, kind)
                if handler := handlers.get(kind):
                    handler(event, self._talk(event.word("span_id")), self._key(event, kind))
                elif kind not in LET_BY:
                    self._unknown[kind or "without a kind"] += 1
            except Exception as error:  # whatever one event holds, the others go in
                event.report(event.place.problem(f"cannot be read ({shortened(repr(error))}); the event is left out"))
        for kind, count in self._unknown.items():
            place = self.sample.place
            self.sample.report(
                Note(place.file, place.line, f"events of kind {shortened(kind, 40)!r}, which are not imported", count)
            )

    def finish(self, sample: Fields, about: Fields) -> None:
        """What the sample's own list of messages has beside its events, and its scores."""
        main = self.talks[MAIN]
        listed = list(sample.objects("messages")) or self._input_alone(sample)
        at = self.last_at or sample.time("started_at")
        self.acts += main.final(listed, self.messages, at)
        if not any(event.raw("event") == "model" for event in self.events):
            self.acts += self.answers.sums(main, sample, self.last_at or sample.time("completed_at"))
        for score in scores_of(sample):
            name = score.name.partition(".")[0]
            at = self.scored.get(score.name, self.scored.get(name, sample.time("completed_at")))
            words = f"solve sample {sample.word('id') or ''} of {about.text('task') or 'the task'}, scored by {score.name}"
            self._scored(score, (*self.run, "score", score.name), words, at, sample.place)

    def ends(self, ending: Ending | None, at: datetime | None, place: Place) -> list[Act]:
        """The ends of all its runs: of those whose spans ended, and the attempt's own."""
        acts: list[Act] = []
        for span in reversed(self._open):
            talk = self.talks[span]
            if span not in self._ended_at:
                if ending is not None and ending.how != "completed":
                    acts.append(_ended(talk, ending, at, place))
                continue
            ended_at, ended_place = self._ended_at[span]
            fine = ending is None or ending.how == "completed" or span in self._went_on
            acts.append(
                _ended(talk, Ending("completed", "end_turn") if fine or ending is None else ending, ended_at, ended_place)
            )
        if ending is None or ending.how != "completed":
            acts += self.calls.left_to_nobody()
        if ending is not None:
            acts.append(_ended(self.talks[MAIN], ending, at, place))
        return acts

    def afterwards(self, sample: Fields) -> list[Act]:
        """What was said of the sample when it was over."""
        invalid = sample.object("invalidation")
        if not invalid:
            return []
        author, reason = invalid.text("author") or "somebody", invalid.text("reason")
        words = f"the sample was invalidated by {author}{f': {reason}' if reason else ''}"
        name, at = (*self.run, "invalidation"), invalid.time("timestamp")
        return [Reported(place=invalid.place, run=self.run, actor=HARNESS, at=at, name=name, description=kept_text(words))]

    def _input_alone(self, sample: Fields) -> list[Fields]:
        """The task's words, where nothing else was said of a sample that is over."""
        if self.talks[MAIN].has_spoken or not sample.raw("completed_at"):
            return []
        if isinstance(sample.raw("input"), list):
            return list(sample.objects("input"))
        words = sample.text("input")
        place = sample.place.at("input")
        return [Fields({"role": "user", "content": words, "source": "input"}, place, sample.report)] if words else []

    def _key(self, event: Fields, kind: str) -> Name:
        """What names an event: its own id, or else when it was, and which of its kind at that moment."""
        if uuid := event.word("uuid"):
            return ("event", uuid)
        when = f"{kind} {event.raw('timestamp')}"
        self._fallbacks[when] += 1
        return ("event", kept_text(when), str(self._fallbacks[when]))

    def _spans(self, event: Fields, kind: str) -> None:
        at, span = event.time("timestamp"), event.word("id") or ""
        if kind == "span_begin" and self.spans.run_of(span) == span and span not in self.talks:
            self._talk(span, at, event.place)
        elif kind == "span_end" and span in self._open:
            self._ended_at[span] = (at, event.place)
            self._just_ended[self.spans.run_of(self.spans.by_id[span].parent)].add(span)
        elif kind in {"model", "tool"}:
            self._went_on |= self._just_ended.pop(self.spans.run_of(event.word("span_id")), set())

    def _talk(self, span_id: str | None, at: datetime | None = None, place: Place | None = None) -> Talk:
        """The run that a span is in, begun where it has not been."""
        span = self.spans.run_of(span_id)
        if span in self.talks:
            return self.talks[span]
        above = self._talk(self.spans.by_id[span].parent)
        run, agent = (*self.run, "span", span), kept_text(self.spans.by_id[span].name, 400)
        talk = Talk(run, agent, Conversation(above.conversation), self.attachments, self.calls)
        self.talks[span] = talk
        self._open.append(span)
        place = place or self.sample.place
        self.acts.append(Began(place=place, run=run, actor=f"agent:{above.agent}", at=at, agent=agent, parent=above.run))
        return talk

    def _model(self, event: Fields, talk: Talk, key: Name) -> None:
        self.acts += self.answers.event(event, talk, (*talk.run, *key))

    def _tool(self, event: Fields, talk: Talk, key: Name) -> None:
        self.acts += self.calls.event(talk.run, talk.agent, event, key)
        talk.note_result(event)

    def _approval(self, event: Fields, talk: Talk, key: Name) -> None:
        self.acts += self.calls.approval(talk.run, talk.agent, event, key)

    def _score(self, event: Fields, _: Talk, key: Name) -> None:
        scorer, at = event.text("scorer") or "", event.time("timestamp")
        if not event.flag("intermediate"):
            self.scored[scorer] = at
            return
        for score in score_of(scorer or "score", event.object("score")):
            words = f"be on the way to a solution, scored by {score.name}"
            self._scored(score, (*self.run, *key, score.name), words, at, event.place)

    def _scored(self, score: Score, name: Name, words: str, at: datetime | None, place: Place) -> None:
        self.acts.append(
            Chose(
                place=place,
                run=self.run,
                actor=f"agent:{self.agent}",
                at=at,
                name=name,
                intent=kept_text(words),
                options=ATTEMPT,
                chosen="attempt",
                decision_type="path_choice",
                context={} if score.success is not None else {"score": score.result},
                success=score.success,
                result=score.result,
                summary=score.summary,
                judge=f"service:{score.name}"[:400],
            )
        )

    def _compaction(self, event: Fields, talk: Talk, key: Name) -> None:
        metadata = event.object("metadata")
        self.acts.append(
            Compacted(
                place=event.place,
                run=talk.run,
                actor=HARNESS,
                at=event.time("timestamp"),
                name=(*talk.run, *key),
                trigger="manual" if metadata.raw("trigger") == "forced" else "auto",
                tokens_before=event.count("tokens_before"),
                tokens_after=event.count("tokens_after"),
            )
        )

    def _input(self, event: Fields, talk: Talk, key: Name) -> None:
        """What was asked and entered at the screen."""
        names = ("message", "outcome", "content", "input")
        data = {name: event.raw(name) for name in names if event.raw(name) is not None}
        actor = OPERATOR if event.raw("outcome") in {"accepted", "declined"} else HARNESS
        self.acts.append(self._activity(event, talk, key, actor, "input", data))

    def _interrupt(self, event: Fields, talk: Talk, key: Name) -> None:
        actor = OPERATOR if event.raw("source") == "user_cancel" else HARNESS
        names = ("source", "interrupted", "interrupted_tool_call_id")
        data = {name: event.raw(name) for name in names if event.raw(name) is not None}
        self.acts.append(self._activity(event, talk, key, actor, "interrupt", data))

    def _activity(self, event: Fields, talk: Talk, key: Name, actor: str, kind: str, data: dict[str, Any]) -> Said:
        parts: tuple[Part, ...] = (DataPart(data=kept(self.attachments.resolved(data)), name=kind),)
        return Said(
            place=event.place,
            run=talk.run,
            actor=actor,
            at=event.time("timestamp"),
            name=(*talk.run, *key),
            role="activity",
            activity_type=kind,
            parts=parts,
        )


def _ended(talk: Talk, ending: Ending, at: datetime | None, place: Place) -> Ended:
    return Ended(
        place=place,
        run=talk.run,
        actor=f"agent:{talk.agent}" if ending.how == "completed" else HARNESS,
        at=at,
        how=ending.how,
        stop_reason=ending.stop_reason,
        reason=ending.reason,
        code=ending.code,
        error_type=ending.error_type,
    )


def _silent_time(event: Fields) -> datetime | None:
    """An event's time; what is wrong with it is told when the event is read."""
    return Fields(event.value, event.place, lambda _: None).time("timestamp")


def _approvals_first(events: list[Fields]) -> list[Fields]:
    """Events with a call's approvals before its own, which older logs have behind it."""
    calls: dict[tuple[str | None, str | None], int] = {}
    places: list[float] = []
    for number, event in enumerate(events):
        place: float = number
        if event.raw("event") == "tool":
            calls[_text(event, "span_id"), _text(event, "id")] = number
        elif event.raw("event") == "approval":
            call = event.value.get("call")
            asked = call.get("id") if isinstance(call, dict) else None
            before = calls.get((_text(event, "span_id"), asked if isinstance(asked, str) else None))
            if before is not None and str(event.raw("timestamp")) <= str(events[before].raw("completed") or ""):
                place = before - 0.5
        places.append(place)
    return [event for _, event in sorted(zip(places, events, strict=True), key=lambda pair: pair[0])]


def _text(event: Fields, name: str) -> str | None:
    value = event.raw(name)
    return value if isinstance(value, str) else None
