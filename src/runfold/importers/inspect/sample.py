"""A sample of a log as a story: what its events say, one after another, and what its list of messages has in the end."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from runfold.ids import stable_id
from runfold.importers.acts.fields import Fields
from runfold.importers.acts.keeping import kept, kept_text
from runfold.importers.acts.kinds import Act, Began, Name, Place, Story
from runfold.importers.inspect.attempt import Attempt
from runfold.importers.inspect.content import Attachments
from runfold.importers.inspect.log_file import SampleSource
from runfold.importers.inspect.outcome import ending_of, failure
from runfold.importers.sources import Report
from runfold.importers.tally import Note, Problem

FORMAT = "inspect"
_PLAIN = re.compile(r"[A-Za-z0-9_:-]{1,200}")


def story_of(source: SampleSource, report: Report) -> Story:
    """What a sample says."""
    told = set[Problem]()

    def once(problem: Problem | Note) -> None:
        if isinstance(problem, Note):
            report(problem)
        elif problem not in told:
            told.add(problem)
            report(problem)

    return _Sample(source, once).story()


def key_of(sample: Fields, about: Fields) -> Name:
    """What names a sample wherever it stands: its own id, or else the evaluation's with the sample's and its epoch."""
    if uuid := sample.word("uuid"):
        return (kept_text(uuid),)
    evaluation = about.word("eval_id") or "/".join(about.word(name) or "" for name in ("run_id", "task_id", "created"))
    if not evaluation.strip("/"):
        evaluation = sample.place.file
    return tuple(kept_text(word) for word in (evaluation, sample.word("id") or "", sample.word("epoch") or "1"))


class _Sample:
    def __init__(self, source: SampleSource, report: Report) -> None:
        self.header = source.header
        self.sample = Fields.of(source.value, source.place, report)
        self.report = report
        self.about = source.header.eval
        self.key = key_of(self.sample, self.about)
        self.attachments = Attachments(self.sample)
        self.acts: list[Act] = []

    def story(self) -> Story:
        sample_id, epoch = self.sample.word("id") or "", self.sample.word("epoch")
        task = self.about.text("task") or ""
        self._attempts()
        return Story(
            format=FORMAT,
            key=self.key,
            acts=tuple(self.acts),
            title=kept_text(f"{task} {sample_id}{f' epoch {epoch}' if epoch not in {None, '1'} else ''}".strip()) or None,
            external_ref="/".join(self.key),
            agent=None,
            metadata=self._metadata(),
        )

    def _metadata(self) -> dict[str, Any]:
        about = {name: self.about.raw(name) for name in ("task", "task_id", "eval_id", "run_id", "model", "tags")}
        of_sample = {"sample_id": self.sample.raw("id"), "epoch": self.sample.raw("epoch"), "target": self.sample.raw("target")}
        dataset = {"dataset": self.about.object("dataset").raw("name"), "metadata": self.sample.raw("metadata")}
        every = {**about, **of_sample, **dataset}
        return {name: kept(self.attachments.resolved(value)) for name, value in every.items() if value not in (None, {}, [], "")}

    def _attempts(self) -> None:
        """Attempts that failed and were made again, and the one that counts."""
        parent: Name | None = None
        for number, tried in enumerate(self.sample.objects("error_retries"), 1):
            run = (*self.key, "attempt", str(number))
            attempt = self._attempt(run, list(tried.objects("events")))
            at = attempt.first_at
            self.acts.append(self._began(run, attempt.agent, at, tried.place, parent))
            attempt.read()
            self.acts += attempt.acts
            self.acts += attempt.ends(failure(tried.text("message") or ""), attempt.last_at, tried.place)
            parent = run
        events = self.sample.objects("events") if self.sample.raw("events") else self._first_form()
        attempt = self._attempt(self.key, list(events))
        started = self.sample.time("started_at") or attempt.first_at
        self.acts.append(self._began(self.key, attempt.agent, started, self.sample.place, parent))
        attempt.read()
        attempt.finish(self.sample, self.about)
        self.acts += attempt.acts
        ending = ending_of(self.sample, self.header.status)
        completed = self.sample.time("completed_at") or attempt.last_at
        self.acts += attempt.ends(ending, completed, self.sample.place)
        self.acts += attempt.afterwards(self.sample)

    def _first_form(self) -> Iterator[Fields]:
        return self.sample.object("transcript").objects("events")

    def _attempt(self, run: Name, events: list[Fields]) -> Attempt:
        agent = self.header.agent
        return Attempt(self.key, run, events, self.sample, self.attachments, None if agent is None else kept_text(agent, 400))

    def _began(self, run: Name, agent: str, at: datetime | None, place: Place, parent: Name | None) -> Began:
        goal = ":".join(("task", self.about.text("task") or "", self.sample.word("id") or ""))
        words = self.sample.text("description") or ""
        return Began(
            place=place,
            run=run,
            actor=f"service:{FORMAT}",
            at=at,
            agent=agent,
            parent=parent,
            kind="retries",
            goal={"id": _goal_id(goal), "description": kept_text(words)},
            metadata={"model": kept_text(model)} if (model := self.about.text("model")) else {},
        )


def _goal_id(words: str) -> str:
    """The task and the sample as a goal: their own words where they can be an id."""
    return words if _PLAIN.fullmatch(words) else stable_id("task", FORMAT, words)
