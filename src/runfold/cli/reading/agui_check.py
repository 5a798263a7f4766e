"""`runfold agui-check`: the first rule that a stream of AG-UI breaks."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.calling.call import Call

if TYPE_CHECKING:
    from runfold.agui.checker import Checker

_CHUNK = 65536


def agui_check(
    call: Call,
    source: Annotated[
        str, typer.Argument(metavar="FILE|URL", help="A file (.gz too), the URL of a stream, or - for standard input.")
    ],
    post: Annotated[
        str | None,
        typer.Option("--post", metavar="FILE", help="With a URL: send this RunAgentInput, as a client does."),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option("--header", metavar="'NAME: VALUE'", help="With a URL: a header of the request; may be repeated."),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", min=0.1, max=86_400, metavar="SECONDS", help="With a URL: how long to wait for each next piece."
        ),
    ] = 60,
) -> None:
    """Check a stream of AG-UI 1.0, and name the first rule that it breaks, the event's index and what would be right.

    The stream is a JSON array of events, one event a line, or server-sent events as they were captured or as a URL sends them.
    The rules are those of AG-UI's own client and some that it only misreads, such as a stream without an end. Types of events
    that AG-UI does not have pass. Exit code 0: none is broken; 5: one is; 2: it cannot be read. Needs the extra `agui`.
    """
    from runfold.errors import UsageError

    is_url = source.startswith(("http://", "https://"))
    if not is_url and (post or header):
        raise UsageError("--post and --header are for a URL; leave them out, or name one")
    checker = _checker()
    _check(checker, _from_url(source, post, header or (), timeout) if is_url else _from_file(source), is_stream=is_url)
    found = checker.violation
    if call.json:
        passed = {"unknown_types": checker.unknown} if checker.unknown else {}
        call.answer({"valid": found is None, "events": checker.events, **passed, "violation": found and found.as_json()})
    else:
        _print(call, checker)
    if found is not None:
        raise typer.Exit(5)


def _checker() -> "Checker":
    from runfold.errors import UsageError

    try:
        from runfold.agui.checker import Checker
    except ModuleNotFoundError as error:
        raise UsageError(f"checking AG-UI needs {error.name}; install it with `pip install 'runfold[agui]'`") from None
    return Checker()


def _check(checker: "Checker", chunks: Any, *, is_stream: bool) -> None:
    from runfold.agui.reading import events_in
    from runfold.agui.rules import Broken

    try:
        with chunks as texts:
            for event in events_in(texts, is_stream=is_stream):
                if checker.take(event) is not None:
                    return
        checker.end()
    except Broken as broken:
        checker.break_off(broken)


@contextmanager
def _from_file(source: str) -> Iterator[Iterator[str]]:
    import codecs
    import gzip
    import zlib

    from runfold.errors import UsageError
    from runfold.file_errors import why

    try:
        with sys.stdin.buffer if source == "-" else Path(source).open("rb") as file:
            raw = gzip.open(file) if source.endswith(".gz") else file  # noqa: SIM115  closed with its file
            yield codecs.iterdecode(iter(lambda: raw.read(_CHUNK), b""), "utf-8", "replace")
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{source} cannot be read: {why(error)}; name a file of AG-UI's events", file=source) from None


@contextmanager
def _from_url(url: str, post: str | None, header: Any, timeout: float) -> Iterator[Iterator[str]]:
    import codecs

    import httpx2

    from runfold.agui.rules import Broken
    from runfold.errors import UsageError

    headers = {"accept": "text/event-stream", **dict(_header(line) for line in header)}
    try:
        body = None if post is None else Path(post).read_bytes()
    except OSError as error:
        raise UsageError(f"{post} cannot be read: {error.strerror}; name a file with a RunAgentInput", file=post) from None
    if body is not None:
        headers["content-type"] = "application/json"
    try:
        address = httpx2.URL(url)
    except (httpx2.InvalidURL, UnicodeError) as error:  # names of files may be no text, and so may what stands for one
        raise UsageError(f"{url!r} is no URL ({error}); write one such as http://127.0.0.1:8000/agent", url=url) from None
    try:
        with httpx2.stream(
            "POST" if body is not None else "GET", address, headers=headers, timeout=timeout, content=body
        ) as answer:
            if answer.status_code != httpx2.codes.OK:
                raise UsageError(f"{url} answered {answer.status_code}, not 200 with a stream; see what it asks for", url=url)
            kind = answer.headers.get("content-type", "")
            if not kind.startswith("text/event-stream"):
                raise Broken("content-type", f"it is {kind or 'not said'}")
            yield codecs.iterdecode(answer.iter_bytes(), "utf-8", "replace")
    except httpx2.HTTPError as error:
        raise UsageError(f"{url} could not be read to its end: {error or type(error).__name__}", url=url) from None


def _header(line: str) -> tuple[str, str]:
    from runfold.errors import UsageError

    name, colon, value = line.partition(":")
    if not colon or not name.strip() or not line.isascii() or not line.isprintable():
        raise UsageError(f"{line!r} is no header; write it as 'Authorization: Bearer …', in ASCII alone")
    return name.strip(), value.strip()


def _print(call: Call, checker: "Checker") -> None:
    from runfold.terminal.text import counted, shown

    found = checker.violation
    for kind, count in checker.unknown.items():
        call.err.print(shown(f"note: {counted(count, 'event')} of type {kind}, which AG-UI 1.0 does not have", "dim"))
    if found is None:
        call.out.print(f"{counted(checker.events, 'event')}, no rule broken")
        return
    named = f" ({found.event_type})" if found.event_type else ""
    call.out.print(shown(f"event {found.index}{named} breaks {found.rule}: {found.fact}", "red"), soft_wrap=True)
    call.out.print(shown(f"right: {found.right}"), soft_wrap=True)
