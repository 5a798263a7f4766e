"""Request bodies: read within limits that hold while they arrive, unpacked, and parsed as strictly as the ledger parses JSON."""

import asyncio
import re
from codecs import BOM_UTF8
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema
from starlette.requests import ClientDisconnect, Request

from runfold.access.limits import SMALL_BODY, Hold, Limits
from runfold.domain.event import refusal
from runfold.domain.first_fault import failing_fast, require_known
from runfold.domain.json_text import parse_json
from runfold.errors import InvalidEvent, TooLarge, TooSlow, WrongMediaType, shortened
from runfold.gzipped import GrowsTooLarge, NotWhole, Unpacker
from runfold.http.scope import header, rest_of_body, whole_body

M = TypeVar("M", bound=BaseModel)

_INSIDE = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'
_REST_OF_STRING = re.compile(_INSIDE, re.DOTALL)
_STRING = re.compile(b'"%b"' % _INSIDE, re.DOTALL)
_WHOLE_STRINGS = re.compile(b'(?:[^"]*+"%b")*+' % _INSIDE, re.DOTALL)
"""These match JSON strings without backtracking, so that their time is proportional to the input."""
_PIECE = 64 * 1024
"""Bytes that are looked at in one call, during which no other thread runs."""


class Body(BaseModel):
    """The base of bodies: unknown fields are refused, and nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return failing_fast(handler(source))


async def read(request: Request, limits: Limits, hold: Hold) -> bytes:
    """Return the whole body, unpacked. Raises TooLarge as soon as it is, TooSlow, TooBusy where all bodies together are too much,
    WrongMediaType, InvalidEvent where packing is broken.
    """
    most = limits.body_bytes
    declared = header(request, "content-length", "")
    if declared.isdigit() and int(declared) > most:
        raise TooLarge("the body", most, "bytes")
    unpack = Unpacker(most) if _is_packed(request) else None
    if unpack is None and (body := whole_body(request.scope)) is not None:  # as mostly: there is nothing to wait for
        if len(body) > most:
            raise TooLarge("the body", most, "bytes")
        hold.add(len(body))
        return body
    parts: list[bytes] = []
    size = 0
    async for chunk in _in_time(_chunks(request), limits):
        part = _taken(unpack, chunk) if unpack else chunk
        size += len(part)
        if size > most:
            raise TooLarge("the body", most, "bytes")
        hold.add(len(part))
        parts.append(part)
    if unpack:
        try:
            unpack.finish()
        except NotWhole as error:
            raise InvalidEvent("body", str(error)) from None
    return b"".join(parts)


def _taken(unpack: Unpacker, chunk: bytes) -> bytes:
    try:
        return unpack.take(chunk)
    except GrowsTooLarge:
        raise TooLarge("the unpacked body", unpack.most, "bytes") from None
    except NotWhole as error:
        raise InvalidEvent("body", str(error)) from None


def require_few_values(raw: bytes, most: int) -> None:
    """Raise TooLarge for JSON of more values than are taken: many small ones take far more time and memory than their bytes."""
    if len(raw) <= most:
        return
    pieces = (raw[start : start + _PIECE] for start in range(0, len(raw), _PIECE))
    if _have_more_marks(pieces, most) and _have_more_marks(_outside_strings(raw), most):
        raise TooLarge("the body", most, "JSON values")


def _have_more_marks(pieces: Iterable[bytes], most: int) -> bool:
    """Return whether pieces of JSON have more separators than that."""
    found = 0
    for piece in pieces:
        found += sum(piece.count(mark) for mark in (b",", b"[", b"{", b":"))
        if found > most:
            return True
    return False


def _outside_strings(raw: bytes) -> Iterator[bytes]:
    """Yield what stands outside of the strings of JSON. A string that is not closed goes on to the end."""
    at = 0
    while at < len(raw):
        if end := _end(_WHOLE_STRINGS, raw, at) - at:
            yield _STRING.sub(b"", raw[at : at + end])
            at += end
        elif (quote := raw.find(b'"', at, at + _PIECE)) >= 0:
            yield raw[at:quote]
            at = quote + 1
            while (end := _end(_REST_OF_STRING, raw, at)) > at:  # the string is longer than a piece
                at = end
            at += 1
        else:
            yield raw[at : at + _PIECE]
            at += _PIECE


def _end(pattern: re.Pattern[bytes], raw: bytes, at: int) -> int:
    """Return where what matches from there on in one piece ends."""
    found = pattern.match(raw, at, at + _PIECE)
    return found.end() if found else at


def parsed(request: Request, raw: bytes, model: type[M]) -> M:
    """Return a body as a model; an empty body is an empty object. Raises InvalidEvent, WrongMediaType."""
    value: Any = {}
    raw = raw.removeprefix(BOM_UTF8)  # which programs of Windows write before text
    if raw:
        _require_json(request)
        value = parse_json(raw, "body")  # refuses what the model's own parser would let pass: equal keys, depth, NaN
    return checked(model, value, raw or b"{}", "body")


def checked(model: type[M], value: Any, raw: bytes, path: str) -> M:
    """Validate JSON, given as parsed and as text, with a model. Raises InvalidEvent, whose path begins with `path`."""
    if len(raw) > SMALL_BODY:  # else its model may list as many unknown fields as it has
        require_known(model, value, path)
    try:
        return model.__pydantic_validator__.validate_json(raw)  # type: ignore[no-any-return]
    except ValidationError as error:
        require_known(model, value, path)
        found = refusal(error, given=value)
        raise InvalidEvent(f"{path}.{found.path}".rstrip("."), found.reason) from None


def said(body: BaseModel) -> dict[str, Any]:
    """Return the fields that a body sets, as a method's arguments."""
    names, values = _names(type(body)), body.__dict__
    return {names[name]: values[name] for name in body.model_fields_set}


@cache
def _names(model: type[BaseModel]) -> Mapping[str, str]:
    """The fields of a model, and the name of each in JSON."""
    return {name: field.alias or name for name, field in model.model_fields.items()}


async def _in_time(chunks: AsyncIterator[bytes], limits: Limits) -> AsyncIterator[bytes]:
    """Pass chunks on as long as they arrive fast enough. Raises TooSlow."""
    loop = asyncio.get_running_loop()
    until = loop.time() + limits.body_seconds
    while True:
        try:
            async with asyncio.timeout_at(until):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise TooSlow(limits.body_seconds, limits.body_bytes_a_second) from None
        until += len(chunk) / limits.body_bytes_a_second
        yield chunk


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    """Yield the body as it arrives. Of a client that has hung up, what it sent before is still read."""
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect:
        rest = rest_of_body(request.scope)
        if rest is None:
            raise
        yield rest


def _require_json(request: Request) -> None:
    kind = header(request, "content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise WrongMediaType(f"the body is {kind}; send application/json")


def _is_packed(request: Request) -> bool:
    packing = header(request, "content-encoding", "identity").strip().lower()
    if packing not in {"gzip", "identity"}:
        raise WrongMediaType(f"the body has the encoding {shortened(packing)}; send it plain or with gzip")
    return packing == "gzip"
