"""What a command wants done, and one command's way through the executor."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import ValidationError

from runfold.commands.caller import Caller, Envelope
from runfold.commands.session import Session
from runfold.commands.submitted import Receipt, Submitted
from runfold.domain.event import refusal
from runfold.errors import InvalidEvent
from runfold.method_call import MethodCall
from runfold.store.codec import StreamKey

T = TypeVar("T")


class HeadName(NamedTuple):
    """Names a head of which a command expects that it is at a certain run."""

    thread_id: str
    name: str


@dataclass(slots=True)
class Plan(Generic[T]):
    """Says what a command decides, and what the caller gets for it. Commands on one stream keep their order."""

    stream: str
    decide: Callable[[Session], None]
    answer: Callable[[Receipt], T]
    envelope: Envelope
    caller: Caller | None = None
    """Who asks; else the ledger itself."""
    expects: HeadName | None = None
    """Then it depends on more than the streams it looks at, and is decided while nobody else appends."""

    def with_receipt(self) -> "Plan[tuple[T, Receipt]]":
        """Return the same plan, where the caller gets the receipt too."""
        return Plan(
            self.stream, self.decide, lambda receipt: (self.answer(receipt), receipt), self.envelope, self.caller, self.expects
        )


def planned(call: MethodCall[Plan[T]]) -> Plan[T]:
    """Return what a call of a command's method wants done. Raises InvalidEvent for arguments that no event may hold."""
    if found := call.unknown():  # what was meant by it would be lost
        name, known = found
        raise InvalidEvent(name, f"is not a known argument; {call.method.__name__} takes {', '.join(sorted(known))}")
    if single := call.not_many():
        raise InvalidEvent(single, "is no list; give one, which may be empty for none")
    try:
        return call.method(call.owner, *call.args, **call.kwargs)
    except ValidationError as error:
        raise refusal(error) from None


def itself(receipt: Any) -> Any:
    """Return the receipt, as the answer of a command that has nothing better to give."""
    return receipt


@dataclass(slots=True)
class Attempt:
    """Follows one command on its way through the executor."""

    plan: Plan[Any]
    submitted: Submitted[Any]
    number: int
    key: StreamKey
    """The stream on which commands keep their order."""
    tries: int = 0
    session: Session | None = None
    looked_up: bool = False
    """Whether the log was asked if something was recorded under the command's key before."""
    floor: dict[str, int] | None = None
    """The versions that streams are known to have reached since the command came: what is decided on those is up to date."""

    @property
    def tenant_id(self) -> str:
        """Return the tenant of who asks."""
        return self.key[0]
