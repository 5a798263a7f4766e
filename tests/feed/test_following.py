"""The state machine of all who follow the log, alone: whatever sources do, what comes out is the log."""

from collections.abc import Sequence
from typing import NamedTuple

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runfold.errors import HistoryChanged, KeyRefused, LedgerError, LedgerUnavailable, OutOfOrder, TooManyRequests
from runfold.feed.following import (
    LATEST,
    Alive,
    CaughtUp,
    Complete,
    Confirm,
    Failed,
    FindEnd,
    Following,
    Read,
    Refused,
    Retries,
    Span,
    Step,
    Stopping,
    Wait,
)

AWAY = LedgerUnavailable("the database does not answer", "ask again")
BROKEN = LedgerUnavailable("the database is read-only", "ask the operator", retriable=False)
PATIENCE = 30.0


class Happened(NamedTuple):
    """An event of a made-up log: where it stands, and which it is."""

    position: int
    name: int
    is_wanted: bool


class Log:
    """A log with all the histories that it ever had."""

    def __init__(self) -> None:
        self.histories: list[list[Happened]] = [[]]
        self.shared: list[int] = []
        """Up to where each history is the one before it."""
        self._names = 0

    @property
    def present(self) -> int:
        return len(self.histories) - 1

    @property
    def head(self) -> int:
        return len(self.histories[-1])

    def append(self, wanted: Sequence[bool]) -> None:
        for is_wanted in wanted:
            self._names += 1
            self.histories[-1].append(Happened(self.head + 1, self._names, is_wanted))

    def put_back(self, position: int) -> None:
        self.shared.append(position)
        self.histories.append(self.histories[-1][:position])

    def bound(self, epoch: int) -> int:
        """Up to where a history is the present one."""
        return min(self.shared[epoch:], default=LATEST)

    def wanted(self, epoch: int, after: int, up_to: int) -> list[Happened]:
        return [each for each in self.histories[epoch][after:up_to] if each.is_wanted]

    def span(self, epoch: int, after: int, up_to: int) -> Span[Happened]:
        up_to = max(after, min(up_to, len(self.histories[epoch])))
        return Span(after, up_to, epoch, self.wanted(epoch, after, up_to))


class Interleavings(RuleBasedStateMachine):
    """Somebody follows the log while it grows and is put back, by sources that are late, repeat themselves, skip and fail."""

    @initialize(before=st.lists(st.booleans(), max_size=12), start=st.integers(0, 12), goal=st.none() | st.integers(0, 20))
    def begin(self, before: list[bool], start: int, goal: int | None) -> None:
        self.log, self.now = Log(), 0.0
        self.log.append(before)
        self.start, self.goal, self.given, self.is_over = min(start, self.log.head), goal, list[Happened](), False
        self.begin_again(self.start, 0)

    def begin_again(self, position: int, epoch: int) -> None:
        """Connect, and go on after what was had."""
        retries = Retries(lambda failures: 2.0**failures, PATIENCE)
        self.head, self.newest, self.has_caught_up = self.log.head, LATEST, False
        self.follower = Following(position, epoch, retries, head=self.head, goal=self.goal, heartbeat_seconds=15, now=self.now)
        self.failing_since: float | None = None

    # The world

    @rule(wanted=st.lists(st.booleans(), min_size=1, max_size=6))
    def the_log_grows(self, wanted: list[bool]) -> None:
        self.log.append(wanted)

    @rule(lost=st.integers(0, 6))
    def the_log_is_put_back(self, lost: int) -> None:
        self.log.put_back(max(0, self.log.head - lost))

    @rule(seconds=st.floats(0, 20))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds

    # What sources bring, asked for or not

    @rule(data=st.data(), epoch=st.integers(0, 5), after=st.integers(0, 30), size=st.integers(0, 10))
    def a_part_of_the_log_comes(self, data: st.DataObject, epoch: int, after: int, size: int) -> None:
        """A page, a block of others, or what came live: early, late, twice, or of a history that is gone."""
        epoch = min(epoch, self.log.present)
        after = data.draw(st.sampled_from([after, self.follower.position, max(0, self.follower.position - 3)]))
        self.take(self.log.span(epoch, min(after, len(self.log.histories[epoch])), after + size))

    @rule(after=st.integers(0, 30), size=st.integers(2, 10))
    def a_source_gives_events_out_of_order(self, after: int, size: int) -> None:
        span = self.log.span(self.follower.epoch, min(after, self.follower.position), after + size)
        turned = Span(span.after, span.up_to, span.epoch, list(reversed(span.events)))
        position = self.follower.position
        if len(turned.events) < 2 or min(span.up_to, self.follower.bound) <= position or self.is_over:
            return
        with pytest.raises(OutOfOrder):
            self.follower.looked(turned)
        assert self.follower.position == position

    @rule(is_known=st.booleans())
    def a_source_says_how_far_it_goes(self, is_known: bool) -> None:
        self.goes_to(self.log.head if is_known else LATEST)

    @rule(error=st.sampled_from([AWAY, BROKEN, TooManyRequests(10, 3.0)]))
    @precondition(lambda self: not self.is_over)
    def a_source_fails(self, error: LedgerError) -> None:
        self.failing_since = self.now if self.failing_since is None else self.failing_since
        self.follower.failed(error, self.now)
        is_for_good = error is BROKEN or self.now - self.failing_since >= PATIENCE
        match self.follower.step(self.now):
            case Failed(told):
                assert told is error
                assert is_for_good
                self.connects_again()
            case _:
                assert not is_for_good
                assert self.follower.retry_at >= self.now + getattr(error, "retry_after", 0.0)

    @rule()
    def connects_again(self) -> None:
        """The connection broke, or a client that read too slowly was dropped."""
        if not self.is_over:
            self.begin_again(self.follower.position, self.follower.epoch)

    @rule()
    @precondition(lambda self: not self.is_over)
    def the_server_stops(self) -> None:
        self.follower.stop()
        assert self.follower.step(self.now) == Stopping()
        self.connects_again()

    @rule()
    @precondition(lambda self: not self.is_over)
    def its_key_is_revoked(self) -> None:
        error, position = KeyRefused("the key was revoked"), self.follower.position
        self.follower.refuse(error)
        assert self.follower.step(self.now) == Refused(error)
        assert self.follower.looked(self.log.span(self.follower.epoch, position, LATEST)) == []
        self.begin_again(position, self.follower.epoch)

    # What it is told to do

    @rule(size=st.integers(1, 8))
    def it_does_what_comes_next(self, size: int) -> None:
        self.do(self.follower.step(self.now), size)

    def do(self, step: Step, size: int) -> None:
        match step:
            case Read(after, up_to):
                assert (after, up_to) <= (self.follower.position, self.follower.bound)
                self.take(self.log.span(self.follower.epoch, after, min(up_to, after + size)))
                if self.follower.position == after:
                    self.goes_to(self.log.head)
            case Confirm(position, epoch):
                self.confirm(position, epoch)
            case CaughtUp():
                assert not self.has_caught_up
                assert self.follower.position == max(self.head, self.follower.position)
                self.has_caught_up = True
            case Complete():
                assert self.goal is not None
                assert self.follower.position >= self.goal
                self.is_over = True
            case Alive():
                assert self.now >= self.follower.alive_at
                self.follower.gave(self.now)
                assert self.now < self.follower.alive_at
            case Wait():
                assert self.follower.position >= min(self.newest, self.follower.bound)
            case FindEnd() | Failed() | Refused() | Stopping() as never:
                raise AssertionError(never)

    def goes_to(self, newest: int) -> None:
        self.newest = newest
        self.follower.goes_to(newest, self.log.present)

    def take(self, span: Span[Happened]) -> None:
        bound, before = self.follower.bound, self.follower.position
        self.given += self.follower.looked(span)
        assert before <= self.follower.position <= max(bound, before), "each mark comes at its place"

    def confirm(self, position: int, epoch: int) -> None:
        bound = min(self.log.bound(epoch), self.log.head)
        if position <= bound:
            self.follower.confirmed(self.log.present)
            self.failing_since = None
            return
        error = HistoryChanged(f"{position}@{epoch}", bound, str(self.log.present))
        self.follower.failed(error, self.now)
        while not isinstance(told := self.follower.step(self.now), Failed):
            assert isinstance(told, CaughtUp | Complete | Alive)
            if isinstance(told, Complete):
                self.is_over = True
                return
            self.follower.gave(self.now)
        assert told.error is error
        self.start = min(self.start, bound)
        self.given = [each for each in self.given if each.position <= bound]  # as the error says, what was derived is dropped
        self.begin_again(bound, self.log.present)

    # What holds

    @invariant()
    def nothing_is_missed_doubled_or_out_of_order(self) -> None:
        if hasattr(self, "follower"):
            follower = self.follower
            assert self.given == self.log.wanted(follower.epoch, self.start, follower.position)

    def teardown(self) -> None:
        """With sources that answer, it comes to the end."""
        if not hasattr(self, "follower"):
            return
        step: Step = Read(0, 0)
        for _ in range(200):
            self.goes_to(self.log.head)
            step = self.follower.step(self.now)
            if isinstance(step, Complete | Wait):
                break
            self.do(step, 8)
            self.nothing_is_missed_doubled_or_out_of_order()
        assert isinstance(step, Complete | Wait), "it does not come to the end"
        if isinstance(step, Wait):
            assert self.given == self.log.wanted(self.log.present, self.start, self.log.head)


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


TROUBLES = st.lists(st.tuples(st.sampled_from(["fails", "ends", "answers"]), st.floats(0, PATIENCE)), max_size=30)


@given(TROUBLES)
def test_a_source_is_given_up_when_it_failed_for_too_long_in_a_row_and_not_before(troubles: list[tuple[str, float]]) -> None:
    now, failing_since, failures = 0.0, None, 0
    follower = Following(0, 0, Retries(lambda failures: 2.0**failures, PATIENCE))
    for what, seconds in troubles:
        now += seconds
        if what == "answers":
            follower.confirmed(0)
            failing_since, failures = None, 0
            continue
        failing_since, failures = (now if failing_since is None else failing_since), failures + 1
        if what == "ends":
            follower.disconnected(now)
        else:
            follower.failed(AWAY, now)
        if what == "fails" and now - failing_since >= PATIENCE:
            assert follower.step(now) == Failed(AWAY)
            failing_since, failures = None, 0
        else:
            assert isinstance(follower.step(now), Read)
            assert follower.retry_at == now + 2.0**failures


def test_where_a_run_has_ended_it_asks_how_far_the_log_goes_and_ends_there() -> None:
    follower = Following(3, 0, Retries(lambda _: 1.0), head=3)
    assert follower.step(0) == CaughtUp()
    follower.ends_at_head()
    assert follower.step(0) == FindEnd()
    follower.ends_at(5)
    assert follower.step(0) == Read(3, 5)
    assert follower.looked(Span(3, 9, 0, [Happened(position, position, True) for position in (4, 5, 6)]))[-1].position == 5
    assert follower.step(0) == Complete()
