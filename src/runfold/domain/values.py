"""The values that events are made of: text, ids, times, user JSON, money. Each refuses what could not be kept exactly."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import CoreSchema, PydanticCustomError

from runfold.domain.first_fault import failing_fast
from runfold.errors import InvalidEvent, UsageError, shortened

MAX_DEPTH = 64
INT_LIMIT = 2**63
_MOST_DIGITS = 18
"""As many as always fit below the limit."""

_ID = r"[A-Za-z0-9_](?:\.?[A-Za-z0-9_:@=+~-])*"
_ID_WORDS = "is not an id: up to 200 ASCII letters, digits and _ : @ = + ~ - or single dots, the first a letter, digit or _"

M = TypeVar("M", bound=BaseModel)
_fields_of, _given_of, _extra_of, _private_of = (
    vars(BaseModel)[name].__set__
    for name in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
)
"""What sets the four things that a model is made of: past the models, which are frozen."""

PATTERN_WORDS: dict[str, str] = {}
"""What to say of text that does not match a pattern of ours."""


def _pattern(pattern: str, words: str) -> Any:
    PATTERN_WORDS[pattern] = words
    return Field(pattern=pattern)


def _id_type(prefix: str = "") -> Any:
    words = f"{_ID_WORDS}, after {prefix}" if prefix else _ID_WORDS
    return _pattern(f"^{prefix}{_ID}$", words)  # in pydantic's own engine, where $ is the very end


class Value(BaseModel):
    """A frozen part of an event: strict types, no unknown field."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return failing_fast(handler(source))


def _text_fault(text: str) -> str | None:
    if "\0" in text:
        return "holds a NUL character, which cannot be stored; remove it"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            return f"holds a lone surrogate at index {error.start}, which is not a character; replace it"
    return None


def _text(text: str) -> str:
    if text.isascii() and "\0" not in text:
        return text  # as most is
    if fault := _text_fault(text):
        raise PydanticCustomError("text", fault)
    return text


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise PydanticCustomError("time", "has no time zone; give RFC 3339 with an offset, such as 2026-01-31T09:30:00Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("time", "is outside of the years 1 to 9999 in UTC") from None


def _written_out(amount: Decimal) -> str:
    return f"{amount:f}"  # never as 1E+3 or 1.5E-7


class _Fault(NamedTuple):
    """What is not JSON, and the keys and indexes that lead to it, the innermost first."""

    reason: str
    steps: list[str]

    def path(self, root: str) -> str:
        """Put together only here: a path for each value would take the square of the time."""
        return ".".join([*([root] if root else []), *reversed(self.steps)])


def _json_fault(value: Any, depth: int = 0) -> _Fault | None:
    """Return where and why `value` is not JSON that can be kept exactly, or None."""
    match value:
        case None | bool():
            fault = None
        case str():
            fault = _text_fault(value)
        case int():
            fault = None if -INT_LIMIT <= value < 2 * INT_LIMIT else "is an integer beyond 64 bits; send it as a string"
        case float():
            fault = None if value - value == 0 else f"is {value}, which JSON does not have; send null or a string"
        case dict() | list() if type(value) in {dict, list}:
            if depth == MAX_DEPTH:
                return _Fault(f"is nested more than {MAX_DEPTH} deep; store it as text", [])
            return _member_fault(value, depth + 1)
        case _:
            fault = f"is a {type(value).__name__}, which is not JSON; send an object, array, string, number, bool or null"
    return _Fault(fault, []) if fault else None


def is_plain(value: Any) -> bool:
    """Return whether it is text without fault at first sight, as most is: a shortcut for what is asked of every member."""
    return type(value) is str and value.isascii() and "\0" not in value


def known_valid(kind: type[M], fields: dict[str, Any], given: set[str]) -> M:
    """Return the model that validating would make, of values that it would take as they are: all its fields, in their order."""
    made = object.__new__(kind)
    _fields_of(made, fields)
    _given_of(made, given)
    _extra_of(made, None)
    _private_of(made, None)
    return made


def whole_number(text: str) -> int | None:
    """Plain digits as a number that can be kept; None for any other text."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else None


def json_fault(value: Any) -> str | None:
    """Return where and why `value` is not JSON that can be kept exactly; None when it is."""
    found = _json_fault(value)
    return f"{found.path('') or 'value'} {found.reason}" if found else None


def one_or_more(given: str | Iterable[str] | None) -> tuple[Any, ...]:
    """One value or several → all of them, in their order: a text is one, and not its characters."""
    if given is None:
        return ()
    return tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)


def texts(name: str, given: str | Iterable[str] | None) -> tuple[str, ...]:
    """One value or several → each once, in their order. Raises UsageError for what is no text that anything could have."""
    values = one_or_more(given)
    for value in values:
        if not isinstance(value, str):
            raise UsageError(f"{name} takes text, not {value!r}", name=name)
        if fault := json_fault(value):
            raise UsageError(f"{name}: {value!r}: the {fault}", name=name)
    return tuple(dict.fromkeys(values))


def narrowing(name: str, given: str | Iterable[str] | None) -> tuple[str, ...]:
    """The values that something is narrowed by; none where it is not narrowed.

    Raises UsageError for what is no text, and for an empty list: whoever made it means nobody, and would be given everybody's.
    """
    values = texts(name, given)
    if given is not None and not values:
        raise UsageError(f"{name} is empty, so it means none; leave it out, or give at least one", name=name)
    return values


def _member_fault(value: dict[Any, Any] | list[Any], depth: int) -> _Fault | None:
    is_object = isinstance(value, dict)
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for key, member in members:
        if is_object:
            if not isinstance(key, str):
                return _Fault(f"has the key {shortened(repr(key))}, a {type(key).__name__}; keys must be strings", [])
            if not is_plain(key) and (fault := _text_fault(key)):
                return _Fault(f"has a key that {fault}", [])
        if not is_plain(member) and (found := _json_fault(member, depth)):
            found.steps.append(shortened(str(key)))
            return found
    return None


def _json(value: Any, info: ValidationInfo) -> Any:
    if found := _json_fault(value):
        raise PydanticCustomError("json", "{fault}", {"fault": found.reason, "at": found.path("")})
    return value if info.mode == "json" else _copied(value)


def _copied(value: Any) -> Any:
    """A copy, so that an event stays as it was when its caller goes on to change what it gave."""
    if isinstance(value, dict):
        return {key: _copied(member) for key, member in value.items()}
    return [_copied(member) for member in value] if isinstance(value, list) else value


def require_json(value: Any, path: str) -> None:
    """Raise InvalidEvent for what is not JSON that can be kept exactly."""
    if found := _json_fault(value):
        raise InvalidEvent(found.path(path), found.reason)


def digest(text: str | bytes) -> str:
    """`sha256:…` over `text`, as UTF-8: what an approval binds to.

    Text that is no text (a lone surrogate) has a digest too: it is refused where it would be recorded, with its path.
    """
    raw = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def same(one: Any, other: Any) -> bool:
    """Whether two values say the same. Python takes true for 1, and 1 for 1.0; JSON does not."""
    return bool(one == other) and _same_kinds(one, other)


def _same_kinds(one: Any, other: Any) -> bool:
    """Return whether two values that are equal in Python also have the same JSON types."""
    match one:
        case dict():
            return all(_same_kinds(member, other[key]) for key, member in one.items())
        case list() | tuple():
            return all(map(_same_kinds, one, other))
        case BaseModel():
            return all(_same_kinds(getattr(one, name), getattr(other, name)) for name in type(one).model_fields)
        case bool() | int() | float():
            return isinstance(one, bool) == isinstance(other, bool) and isinstance(one, float) == isinstance(other, float)
        case _:
            return True


Text = Annotated[str, AfterValidator(_text)]
LABEL_LENGTH = 500
Label = Annotated[str, Field(min_length=1, max_length=LABEL_LENGTH), AfterValidator(_text)]
Id = Annotated[str, Field(max_length=200), _id_type()]
ThreadId = Annotated[str, Field(max_length=200), _id_type("thread_")]
RunId = Annotated[str, Field(max_length=200), _id_type("run_")]
ApprovalId = Annotated[str, Field(max_length=200), _id_type("approval_")]
SecurityId = Annotated[str, Field(max_length=200), _id_type("security_")]
WebhookId = Annotated[str, Field(max_length=200), _id_type("webhook_")]
CallbackId = Annotated[str, Field(max_length=200), _id_type("callback_")]
Digest = Annotated[str, _pattern("^sha256:[0-9a-f]{64}$", "is not sha256: and 64 hexadecimal digits")]
Time = Annotated[datetime, AfterValidator(_utc)]
Json = Annotated[Any, BeforeValidator(_json)]
JsonObject = Annotated[dict[str, Any], BeforeValidator(_json)]
Count = Annotated[int, Field(ge=0, lt=INT_LIMIT)]
Nanoseconds = Annotated[int, Field(ge=0, lt=INT_LIMIT)]
Version = Annotated[int, Field(ge=1, lt=INT_LIMIT)]
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[Decimal, Field(max_digits=38, decimal_places=18), PlainSerializer(_written_out, when_used="json")]
Currency = Annotated[str, _pattern("^[A-Z]{3}$", "is not an ISO 4217 code such as EUR")]


ActorKind = Literal["human", "agent", "service", "system"]


class Actor(Value):
    """Who did it. Written `kind:id`, as in `human:ada`."""

    kind: ActorKind
    id: Label
    on_behalf_of: Label | None = None

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"

    @classmethod
    def parse(cls, text: "str | Actor") -> "Actor":
        """`human:ada` → Actor. Raises InvalidEvent for another form."""
        return text if isinstance(text, Actor) else _parsed_actor(text)


@lru_cache(maxsize=1024)
def _parsed_actor(text: str) -> Actor:
    kind, _, name = text.partition(":")
    if kind not in get_args(ActorKind) or not name:
        raise InvalidEvent("actor", f"{shortened(text)!r} is not kind:id with kind human, agent, service or system")
    try:
        return Actor(kind=kind, id=name)  # type: ignore[arg-type]  # the kind was checked above
    except ValidationError as error:
        raise InvalidEvent("actor", f"{shortened(text)!r}: {error.errors(include_url=False)[0]['msg']}") from None
