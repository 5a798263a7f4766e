"""The program `runfold`: how a call ends, with its exit code, and what it says about an error.

Exit codes: 0 done, 1 refused or failed, 2 usage, 3 not found, 4 conflict, 5 a check found damage.
"""

import gc
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from runfold.errors import LedgerError
from runfold.standard_streams import INTERRUPTED, PIPE_CLOSED, TERMINATED, OutputRefused, complaining, discard, prepare

_BEFORE_A_SEARCH = 200_000
"""How much is made before a search for cycles: to load what a command needs makes 100,000 to 135,000 objects, of which nothing is
given up, and to look through them is an eighth of what a list takes."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one call and return its exit code."""
    gc.set_threshold(_BEFORE_A_SEARCH)
    asked_to_end: list[int] = []

    def end(number: int, _: object) -> None:
        asked_to_end.append(number)
        raise KeyboardInterrupt  # so that it leaves what Ctrl-C leaves: nothing half done

    if arguments is None:
        prepare()
        signal.signal(signal.SIGTERM, end)
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(given)
    except BrokenPipeError:
        discard(sys.stdout)
        with complaining():  # what is left of standard error, which may be the one that nobody reads
            return PIPE_CLOSED
    return TERMINATED if asked_to_end and code == INTERRUPTED else code


def _run(given: list[str]) -> int:
    try:
        from runfold.cli.app import program  # what it loads takes a moment, in which people press Ctrl-C

        code = int(program(given).main(given, "runfold", standalone_mode=False) or 0)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as ended:  # typer exits by itself when it cannot write
        if isinstance(ended.__context__, BrokenPipeError):
            raise BrokenPipeError from None
        raise
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            return 2
        if isinstance(error, OutputRefused):
            discard(sys.stdout)
        explained = _explain(error)
        with complaining():
            _report(error, explained, as_json="--json" in given, verbose="--verbose" in given)
        return explained[2]
    return code


def _report(error: Exception, explained: tuple[str, dict[str, Any], int], *, as_json: bool, verbose: bool) -> None:
    """Print an error on stderr, as one line with the next step or as one JSON object."""
    message, facts, code = explained
    trace = "".join(traceback.format_exception(error)) if verbose else ""
    if as_json:
        from runfold.terminal.console import print_json

        said = {"type": type(error).__name__, "message": message, "facts": facts, "exit_code": code}
        print_json({**said, "trace": trace} if verbose else said, sys.stderr)
    else:
        from runfold.terminal.console import console
        from runfold.terminal.text import shown

        err = console(sys.stderr)
        err.print(shown(f"runfold: {message}", "red"), soft_wrap=True)
        if trace:
            err.print(shown(trace), soft_wrap=True)


def _explain(error: Exception) -> tuple[str, dict[str, Any], int]:
    """The message, the facts and the exit code of an error."""
    if isinstance(error, LedgerError):
        return str(error), error.facts, error.exit_code
    if callable(format_message := getattr(error, "format_message", None)):  # typer refused the arguments
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "runfold"
        message = format_message().replace(": Value error, ", ": ").rstrip(".")  # those are words of pydantic
        return f"{message}; see `{path} --help`", {}, int(getattr(error, "exit_code", 2))
    if _is_of_the_database(error):
        from runfold.store.datastore import unavailable

        return _explain(unavailable(error))
    if isinstance(error, OSError) and (found := _of_a_file(error)) is not None:
        return found
    what = f"{type(error).__name__}: {error}"
    return f"unexpected error: {what}; repeat the command with --verbose and report the trace", {}, 1


def _of_a_file(error: OSError) -> tuple[str, dict[str, Any], int] | None:
    from runfold.file_errors import is_of_a_disk, what_helps

    if isinstance(error, OutputRefused):
        return f"standard output cannot be written ({error.strerror}); {what_helps(error, 'send it elsewhere')}", {}, 1
    if is_of_a_disk(error) and error.filename is None:  # an open file, which the system does not name
        return f"a file cannot be written ({error.strerror}); {what_helps(error)}", {}, 1
    if not isinstance(error.filename, str) or not error.strerror:
        return None
    fact = f"{error.filename} cannot be read or written ({error.strerror})"
    return f"{fact}; {what_helps(error)}", {"file": error.filename}, 1


def _is_of_the_database(error: Exception) -> bool:
    return any(kind.__module__.startswith("psycopg") for kind in type(error).__mro__)


if __name__ == "__main__":
    sys.exit(main())
