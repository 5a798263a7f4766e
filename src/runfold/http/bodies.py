"""Bodies: read within limits that hold while they stream in, unpacked, and parsed as strictly as the ledger parses JSON."""

import zlib
from collections.abc import AsyncIterator
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema
from starlette.requests import ClientDisconnect

from runfold.domain.event import refusal
from runfold.domain.first_fault import failing_fast, require_known
from runfold.domain.values import parse_json
from runfold.errors import InvalidEvent, TooLarge, WrongMediaType
from runfold.http.connections import rest_of_body

M = TypeVar("M", bound=BaseModel)

_GZIP = 16 + zlib.MAX_WBITS


class Body(BaseModel):
    """What a request may say: nothing unknown, nothing that must be guessed."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return failing_fast(handler(source))


async def read(request: Request, most: int) -> bytes:
    """The whole body, unpacked. Raises TooLarge as soon as it is, WrongMediaType, InvalidEvent where packing is broken."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        raise TooLarge("the body", most, "bytes")
    unpack = _unpacker(request)
    parts: list[bytes] = []
    size = 0
    async for chunk in _chunks(request):
        part = _unpacked(unpack, chunk, most - size) if unpack else chunk
        size += len(part)
        if size > most or (unpack and unpack.unconsumed_tail):
            raise TooLarge("the body", most, "bytes")
        parts.append(part)
    if unpack and not unpack.eof and size:
        raise InvalidEvent("body", "ends in the middle of its gzip stream")
    return b"".join(parts)


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


def _unpacker(request: Request) -> Any:
    packing = request.headers.get("content-encoding", "identity").strip().lower()
    if packing == "gzip":
        return zlib.decompressobj(_GZIP)
    if packing != "identity":
        raise WrongMediaType(f"the body is packed with {packing}; send it plain or with gzip")
    return None


def _unpacked(unpack: Any, chunk: bytes, room: int) -> bytes:
    try:
        return bytes(unpack.decompress(chunk, max(1, room + 1)))
    except zlib.error as error:
        raise InvalidEvent("body", f"is not gzip ({error})") from None
