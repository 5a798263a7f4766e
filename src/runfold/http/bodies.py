"""Bodies: read within limits that hold while they stream in, unpacked, and parsed as strictly as the ledger parses JSON."""

import asyncio
import re
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema
from starlette.requests import ClientDisconnect

from runfold.domain.event import refusal
from runfold.domain.first_fault import failing_fast, require_known
from runfold.domain.values import parse_json
from runfold.errors import InvalidEvent, TooLarge, TooSlow, WrongMediaType, shortened
from runfold.http.connections import rest_of_body
from runfold.http.limits import Hold, Limits

M = TypeVar("M", bound=BaseModel)

_GZIP = 16 + zlib.MAX_WBITS
_MOST_MEMBERS = 10_000
_PIECE = 4096
"""What is left behind the end of a member is copied for each of them."""
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
"""A string of JSON. It takes nothing back, so that it takes time in proportion."""


class Body(BaseModel):
    """What a request may say: nothing unknown, nothing that must be guessed."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return failing_fast(handler(source))


async def read(request: Request, limits: Limits, hold: Hold) -> bytes:
    """The whole body, unpacked. Raises TooLarge as soon as it is, TooSlow, TooBusy where all bodies together are too much,
    WrongMediaType, InvalidEvent where packing is broken.
    """
    most = limits.body_bytes
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        raise TooLarge("the body", most, "bytes")
    unpack = Unpacker(most) if _is_packed(request) else None
    parts: list[bytes] = []
    size = 0
    async for chunk in _in_time(_chunks(request), limits):
        part = unpack.take(chunk) if unpack else chunk
        size += len(part)
        if size > most:
            raise TooLarge("the body", most, "bytes")
        hold.add(len(part))
        parts.append(part)
    if unpack:
        unpack.finish()
    return b"".join(parts)


def require_few_values(raw: bytes, most: int) -> None:
    """Raise TooLarge for JSON of more values than are taken: many small ones take far more time and memory than their bytes."""
    if _marks(raw) > most and _marks(_STRING.sub(b"", raw)) > most:
        raise TooLarge("the body", most, "JSON values")


def _marks(raw: bytes) -> int:
    """No fewer than there are values, but for the first."""
    return raw.count(b",") + raw.count(b"[") + raw.count(b"{") + raw.count(b":")


def parsed(request: Request, raw: bytes, model: type[M]) -> M:
    """A body as a model; an empty one is an empty object. Raises InvalidEvent, WrongMediaType."""
    value: Any = {}
    if raw:
        _require_json(request)
        value = parse_json(raw, "body")  # refuses what the model's own parser would let pass: equal keys, depth, NaN
    return checked(model, value, raw or b"{}", "body")


def checked(model: type[M], value: Any, raw: bytes, path: str) -> M:
    """JSON, as it was parsed and as text, as a model. Raises InvalidEvent, with the path from `path` on."""
    require_known(model, value, path)
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        found = refusal(error)
        raise InvalidEvent(f"{path}.{found.path}".rstrip("."), found.reason) from None


def said(body: BaseModel) -> dict[str, Any]:
    """What was said in a body, as a method's arguments: without what was left out."""
    fields = type(body).model_fields
    return {fields[name].alias or name: getattr(body, name) for name in body.model_fields_set}


async def _in_time(chunks: AsyncIterator[bytes], limits: Limits) -> AsyncIterator[bytes]:
    """The same, as long as they come fast enough. Raises TooSlow."""
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
    """The body as it comes. Who hangs up when all of it is sent has sent it, though we come to it only then."""
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect:
        rest = rest_of_body(request.scope)
        if rest is None:
            raise
        yield rest


def _require_json(request: Request) -> None:
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise WrongMediaType(f"the body is {kind}; send application/json")


def _is_packed(request: Request) -> bool:
    packing = request.headers.get("content-encoding", "identity").strip().lower()
    if packing not in {"gzip", "identity"}:
        raise WrongMediaType(f"the body is packed with {shortened(packing)}; send it plain or with gzip")
    return packing == "gzip"


class Unpacker:
    """Unpacks gzip of any number of members, and no more than is taken."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._member = zlib.decompressobj(_GZIP)
        self._size = self._members = 0
        self._is_between = True

    def take(self, chunk: bytes) -> bytes:
        """What comes of some more bytes. Raises TooLarge, InvalidEvent."""
        pieces = (chunk[at : at + _PIECE] for at in range(0, len(chunk), _PIECE))
        return b"".join(part for piece in pieces for part in self._parts(piece))

    def _parts(self, piece: bytes) -> Iterator[bytes]:
        while piece:
            if self._member.eof:
                self._begin()
            part = self._unpacked(piece)
            self._size += len(part)
            if self._size > self._most or self._member.unconsumed_tail:
                raise TooLarge("the unpacked body", self._most, "bytes")
            yield part
            self._is_between = self._member.eof
            piece = self._member.unused_data

    def finish(self) -> None:
        """That was all of it. Raises InvalidEvent where it breaks off."""
        if not self._is_between:
            raise InvalidEvent("body", "ends in the middle of its gzip stream")

    def _begin(self) -> None:
        self._members += 1
        if self._members > _MOST_MEMBERS:
            raise InvalidEvent("body", f"has more than {_MOST_MEMBERS:,} gzip members; pack it as one")
        self._member = zlib.decompressobj(_GZIP)

    def _unpacked(self, chunk: bytes) -> bytes:
        try:
            return self._member.decompress(chunk, max(1, self._most - self._size + 1))
        except zlib.error as error:
            raise InvalidEvent("body", f"is not gzip ({error})") from None
