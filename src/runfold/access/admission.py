"""The connections of a server: how many, whose, and which of them makes room when there are too many."""

import time
from collections import Counter, OrderedDict
from typing import Protocol

from runfold.access.limits import Limits


class Member(Protocol):
    """A connection, as the others know it."""

    address: str

    def evict(self) -> None:
        """Make room for others."""


class _Group:
    """Connections of one address, or all: how many, and those without a request, the longest first."""

    def __init__(self) -> None:
        self.members: set[Member] = set()
        self.silent: OrderedDict[Member, float] = OrderedDict()
        self.idle: OrderedDict[Member, float] = OrderedDict()
        """Each with the time since when it rests."""

    def rest(self, member: Member) -> None:
        self.silent.pop(member, None)
        self.idle.pop(member, None)

    @property
    def first_to_go(self) -> Member | None:
        """One that has asked nothing yet, or else one that has been answered."""
        return next(iter(self.silent or self.idle), None)

    @property
    def first_rests(self) -> tuple[bool, float] | None:
        """Return whether that has been answered, and since when it rests: what is less goes first."""
        return next(((bool(not self.silent), since) for since in (self.silent or self.idle).values()), None)


class Connections:
    """All connections of one application."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.refused: Counter[str] = Counter()
        self._most, self._most_of_one = limits.all_connections, limits.of_one_address
        self._all = _Group()
        self._by_address: dict[str, _Group] = {}

    def __len__(self) -> int:
        return len(self._all.members)

    def admit(self, member: Member) -> bool:
        """Return whether there is room for one more; where there is none, one without a request makes it."""
        own = self._by_address.setdefault(member.address, _Group())
        has_room = self._make_room(own, self._most_of_one) and self._make_room(self._all, self._most)
        self._by_address.setdefault(member.address, own)
        if has_room:
            now = time.monotonic()
            for group in (self._all, own):
                group.members.add(member)
                group.silent[member] = now
        elif not own.members:
            self._by_address.pop(member.address, None)
        return has_room

    def _make_room(self, group: _Group, most: int) -> bool:
        if len(group.members) < most:
            return True
        if (oldest := group.first_to_go) is None:
            return False
        self._end(oldest)
        return True

    def first_rests(self, address: str | None) -> tuple[bool, float] | None:
        """Return how long the first to go of an address rests, or of all: what is less goes first. None where there is none."""
        group = self._group(address)
        return None if group is None else group.first_rests

    def end_first(self, address: str | None) -> Member | None:
        """End the first to go of an address, or of all, and return it; None where there is none."""
        group = self._group(address)
        first = None if group is None else group.first_to_go
        if first is not None:
            self._end(first)
        return first

    def _group(self, address: str | None) -> _Group | None:
        return self._all if address is None else self._by_address.get(address)

    def _end(self, member: Member) -> None:
        self.leave(member)
        self.refused["MadeRoom"] += 1
        member.evict()

    def is_busy(self, member: Member) -> None:
        """It has a request."""
        for group in self._groups(member):
            group.rest(member)

    def is_idle(self, member: Member, *, silent: bool = False) -> None:
        """Its request was answered; `silent` where no other will come."""
        now = time.monotonic()
        for group in self._groups(member):
            group.rest(member)
            (group.silent if silent else group.idle)[member] = now

    def leave(self, member: Member) -> None:
        """It has ended, or is about to."""
        for group in self._groups(member):
            group.rest(member)
            group.members.discard(member)
        own = self._by_address.get(member.address)
        if own is not None and not own.members:
            del self._by_address[member.address]

    def _groups(self, member: Member) -> tuple[_Group, ...]:
        own = self._by_address.get(member.address)
        return (self._all, own) if own is not None and member in own.members else ()
