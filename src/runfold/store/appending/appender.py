"""Group commit: all commands that wait at a moment go into one transaction, and each gets its own answer.

One append is one fsync, and the head row's lock makes appends queue; so a process appends over one connection, in one place at
a time. That takes what waits, up to a limit, and never lingers for more. A conflict in one command does not fail its neighbours.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from functools import partial
from weakref import WeakSet

import psycopg

from runfold.errors import LedgerError, LedgerUnavailable
from runfold.event_loops import running_loop
from runfold.store.appending.append_call import Conflicts
from runfold.store.appending.appends import Append, Ready, fail_all, ready
from runfold.store.appending.command_queue import CommandQueue
from runfold.store.appending.exchange import Exchange
from runfold.store.appending.loop_sender import LoopSender
from runfold.store.appending.tally import Tally
from runfold.store.appending.writer import Writer
from runfold.uncollected import seldom_collected

_WORTH_A_SWITCH = 24  # commands
_SWITCH_SECONDS = 20e-6
_LOOK_SECONDS = 0.02
"""How often the thread looks whether an event loop gets on with what it appends."""
_LULL_LOOKS = 10
"""Without a command for so long, others look for cycles as often as ever (see uncollected.py), and the thread sleeps."""


class Appender:
    """Appends what is queued, one batch after another. `settle` gets each batch's commands, answered, in the order they came.

    Who has the turn does it: an event loop whose callers append (loop_sender.py); a caller that is going to wait anyway
    (`help`), which spares two switches between threads; else a thread of its own.
    """

    def __init__(self, writer: Writer, settle: Callable[[list[Append]], None], queue_size: int) -> None:
        self.tally = Tally()
        self._writer = writer
        writer.turns.make_way = self._make_way
        self._settle = settle
        self.queue = CommandQueue(queue_size)
        self._turn = threading.Lock()
        self._wake = threading.Condition(threading.Lock())
        self._idle = self._roused = True
        self._is_parked = True
        self._on_its_way = threading.Event()
        self._thread: threading.Thread | None = None
        self._sender: LoopSender | None = None
        """Appends in an event loop; then it has the turn."""
        self._asking: asyncio.AbstractEventLoop | None = None
        """An event loop whose callers came while the thread was at it."""
        self._is_rescue_wanted = False
        self._seen: tuple[LoopSender | None, int] = (None, 0)
        self._unfit: WeakSet[asyncio.AbstractEventLoop] = WeakSet()
        """Event loops that cannot listen to a connection."""

    def wake(self) -> None:
        """Have appended what is queued. The thread says that it is idle before it looks a last time, so none is missed."""
        if (sender := self._sender) is not None and not sender.is_here:
            self._end_idle_sender()
        if (sender := self._sender) is not None:
            try:
                sender.wake()
            except RuntimeError:  # its loop was closed
                self.rescue()
            return
        loop = running_loop()
        if self._idle:
            if loop is None or not self._send_in(loop):
                self._rouse()
            return
        if loop is not None:
            self._asking = loop
        if self._roused and len(self.queue) >= _WORTH_A_SWITCH:
            self._roused = False
            time.sleep(_SWITCH_SECONDS)  # lets the thread take these while this one decides the next

    def send(self) -> None:
        """Have appended what is queued, and come back once it is on its way, or soon after.

        Who goes on at once with work of its own holds the interpreter for 5 ms at a time, and the thread would wait for it at
        each step of the sending: what is to be done meanwhile by the server, it did only afterwards.
        """
        self._on_its_way.clear()
        self._writer.when_sent = self._on_its_way.set
        self.wake()
        if running_loop() is None and self._sender is None:
            self._on_its_way.wait(_LOOK_SECONDS)

    def help(self) -> None:
        """Append one batch in this thread, unless another is at it."""
        self._end_idle_sender()
        if self._turn.acquire(blocking=False):
            try:
                self._serve()
            finally:
                self._turn.release()
        if self.queue:
            self.wake()

    def hurry(self) -> None:
        """Be called by who waits without letting their event loop go on: then it is not what their answer comes from."""
        if (sender := self._sender) is not None and sender.is_here:
            self.rescue()

    def close(self) -> None:
        """Append what waits, then stop."""
        with self._wake:
            self.queue.is_closed = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()
        if self._sender is not None:
            self._take_over(self._sender)
        with self._turn:
            while self.queue:
                self._serve()

    # What the thread does

    def _work(self) -> None:
        while not self.queue.is_closed or self.queue or self._sender is not None:
            self._wait(None)
            with seldom_collected():
                looks = 0
                while looks < _LULL_LOOKS and (not self.queue.is_closed or self.queue or self._sender is not None):
                    looks = 0 if self.queue or self._sender is not None else looks + 1
                    is_urgent, self._is_rescue_wanted = self._is_rescue_wanted, False
                    if (sender := self._sender) is not None:
                        self._look_after(sender, is_urgent=is_urgent)
                    else:
                        self._serve_all()
                    self._wait(_LOOK_SECONDS)

    def _wait(self, seconds: float | None) -> None:
        """Wait until there is something to do, or no more is to come; at most so long."""
        with self._wake:
            self._is_parked = seconds is None
            while True:
                self._idle = self._roused = True  # again after each wait: a helper may have taken what it was woken for
                if self.queue.is_closed or self._is_rescue_wanted or (self._sender is None and self.queue):
                    break
                if (self._is_parked and self._sender is not None) or not self._wake.wait(seconds):
                    break
            self._idle = self._roused = self._is_parked = False

    def _rouse(self) -> None:
        with self._wake:
            self._idle = False
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="runfold-appender", daemon=True)
                thread.start()
                self._thread = thread  # once it runs: an interrupt before that leaves nothing to be waited for
            self._wake.notify()

    def _serve_all(self) -> None:
        if not self._turn.acquire(timeout=_LOOK_SECONDS):
            return  # who has it may be a loop by now, which is to be looked after
        is_handed_over = False
        try:
            while self.queue and not is_handed_over:
                loop, self._asking = self._asking, None
                is_handed_over = loop is not None and self._hand_over(loop)
                if not is_handed_over:
                    self._serve()
        finally:
            if not is_handed_over:
                self._turn.release()

    def _serve(self) -> None:
        batch: list[Append] = []
        self.queue.take(batch)
        if batch:
            self._try(batch, partial(self._append, batch))
            self.finish(batch)

    def _try(self, batch: list[Append], append: Callable[[], None]) -> None:
        try:
            append()
        except LedgerError as error:
            fail_all(batch, error)
        except BaseException as error:  # whatever happens, every caller gets an answer
            fact = f"append failed ({error!r}); it is unknown whether the events were stored"
            unexpected = LedgerUnavailable(fact, "repeat the command with the same ids, and please report it if it fails again")
            unexpected.__cause__ = error
            fail_all(batch, unexpected)
            if not isinstance(error, Exception):
                self._settle(batch)
                raise

    def _append(
        self,
        batch: list[Append],
        sent: Ready | None = None,
        refused: Conflicts | psycopg.Error | None = None,
        *,
        is_sent: bool = False,
    ) -> None:
        """Append a batch, one try after another; where it was sent before, with what is known of that."""
        now = sent or ready(batch)
        while now is not None:
            if refused is None:
                answer = self._writer.append(now.rows, now.watched, now.salts, is_sent=is_sent)
            else:
                answer = self._writer.refusal(refused, now.rows) if isinstance(refused, psycopg.Error) else refused
            if now.take(answer):
                return
            now, refused, is_sent = ready(batch), None, False

    # What an event loop does

    def _send_in(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Have a loop append, in which this is called. False where that is not possible now."""
        if self.queue.is_closed or loop in self._unfit or not self._turn.acquire(blocking=False):
            return False
        sender = self._new_sender(loop)
        if sender is not None and not sender.begin():
            self._note(sender)
            self._writer.end_sending(is_lost=sender.exchange.is_lost)
            sender = None
        if sender is None:
            self._turn.release()
            return False
        self._sender = sender
        if self._is_parked:
            self._rouse()
        sender.wake()
        return True

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Have a loop go on, in the thread that has the turn. False where that is not possible."""
        if self.queue.is_closed or loop in self._unfit or (sender := self._new_sender(loop)) is None:
            return False
        self._sender = sender
        try:
            sender.wake()
        except RuntimeError:  # it was closed
            self._sender = None
            self._writer.end_sending()
            return False
        return True

    def _new_sender(self, loop: asyncio.AbstractEventLoop) -> LoopSender | None:
        call = self._writer.begin_sending()
        return None if call is None else LoopSender(self, Exchange(call, self._writer.told), loop)

    @property
    def is_wanted(self) -> bool:
        """Return whether others wait for the connection."""
        return self._writer.turns.are_wanted

    def is_worth_sending(self, exchange: Exchange) -> bool:
        """Return whether another batch is to be sent now; not where others wait for the connection."""
        return len(self.queue) >= exchange.enough and not self.is_wanted

    def release(self) -> None:
        """Go on without the sender, which has nothing on its way."""
        self._sender = None
        self._writer.end_sending()
        self._turn.release()
        if self.queue:
            self.wake()

    def rescue(self) -> None:
        """Have the thread take over what an event loop is at."""
        self._is_rescue_wanted = True
        self._rouse()

    def _look_after(self, sender: LoopSender, *, is_urgent: bool) -> None:
        """Take over from a loop that gives up, or is held up and does not get to it."""
        seen, self._seen = self._seen, (sender, sender.steps)
        if is_urgent or self.queue.is_closed or sender.is_over or (seen == self._seen and sender.is_late()):
            self._take_over(sender)

    def _end_idle_sender(self) -> None:
        """Spare who appends in a thread the way through an event loop that has nothing on its way."""
        if (sender := self._sender) is not None and sender.is_idle:
            self._take_over(sender, only_idle=True)

    def _make_way(self) -> None:
        self._end_idle_sender()
        if self.queue:
            self.wake()

    def _take_over(self, sender: LoopSender, *, only_idle: bool = False) -> None:
        with sender.hands:
            if self._sender is not sender or sender.is_taken_over or (only_idle and not sender.is_idle):
                return  # it has ended, another takes over, or there is something on its way by now
            sender.is_over = sender.is_taken_over = True
        sender.let_go()
        self._note(sender)
        exchange = sender.exchange
        exchange.finish(self.finish)
        self._writer.end_sending(is_lost=exchange.is_lost)
        self._sender = None
        try:
            self._resolve(exchange)
        finally:
            self._turn.release()

    def _note(self, sender: LoopSender) -> None:
        if sender.is_unfit:
            self._unfit.add(sender.loop)

    def _resolve(self, exchange: Exchange) -> None:
        """Find out what became of batches of which the first was not stored, or it is not known; and go on with them.

        What comes after a failed command is found by whoever settles that in the queue, as if it had never been sent.
        """
        refused = exchange.refused
        while exchange.sent:
            first = exchange.sent.popleft()
            self._try(first.batch, partial(self._append, first.batch, first.ready, refused, is_sent=exchange.is_lost))
            if any(append.error for append in first.batch):
                self.queue.put_back(each.batch for each in exchange.sent)
                exchange.sent.clear()
            refused = None
            self.finish(first.batch)

    # What whoever has the turn does

    def finish(self, batch: list[Append]) -> None:
        """Answer the commands of a batch."""
        self.tally.count(batch)
        self._settle(batch)
