"""The command `runfold`: which commands there are, and how each call ends.

Exit codes: 0 done, 1 refused or failed, 2 usage, 3 not found, 4 conflict, 5 a check found damage.
"""

import inspect
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import typer

from runfold.cli import keys, moments
from runfold.cli.approvals import approvals, approve, deny
from runfold.cli.attention import attention
from runfold.cli.backup import backup, restore
from runfold.cli.call import reflowed, shared_parameters, with_call
from runfold.cli.check import check
from runfold.cli.demo import demo
from runfold.cli.diff import diff
from runfold.cli.doctor import doctor
from runfold.cli.events import events
from runfold.cli.export import export
from runfold.cli.failures import failures
from runfold.cli.goals import goal, goals, patterns
from runfold.cli.heads import head, heads
from runfold.cli.importing import import_runs
from runfold.cli.migrate import migrate
from runfold.cli.problems import problems
from runfold.cli.projections import projections, work
from runfold.cli.rebuild import drop_schema, rebuild, schemas
from runfold.cli.rows import rows
from runfold.cli.run_list import runs
from runfold.cli.runs import run
from runfold.cli.serve import serve
from runfold.cli.summary import summary
from runfold.cli.threads import thread, threads, tree
from runfold.cli.usage import usage
from runfold.cli.version import version
from runfold.errors import LedgerError

INTERRUPTED, PIPE_CLOSED = 130, 141  # as shells report SIGINT and SIGPIPE

_FIRST, _LOOK, _DECIDE, _CARE = "Begin", "Look", "Decide", "Look after"

_COMMANDS: list[tuple[str, str, Callable[..., None], tuple[str, ...]]] = [
    ("demo", _FIRST, demo, ("runfold demo", "runfold demo --seed 42", "runfold demo --json")),
    (
        "import",
        _FIRST,
        import_runs,
        (
            "runfold import claude-code ~/.claude/projects",
            "runfold import tau2 results.json.gz --strict",
            "zcat events.jsonl.gz | runfold import ag-ui - --json",
        ),
    ),
    (
        "serve",
        _FIRST,
        serve,
        (
            "runfold serve",
            "runfold serve --port 9000 --no-work",
            "runfold serve --projection my.module:MyProjection",
            "runfold serve --host 0.0.0.0 --json",
        ),
    ),
    ("threads", _LOOK, threads, ("runfold threads --limit 20", "runfold threads --before 1841 --json")),
    (
        "thread",
        _LOOK,
        thread,
        (
            "runfold thread thread_demo7",
            "runfold thread thread_demo7 --at 27",
            "runfold thread thread_demo7 --head exchange",
            "runfold thread thread_demo7 --at 2026-10-01T09:30:00Z --json",
        ),
    ),
    ("run", _LOOK, run, ("runfold run run_demo7_claim", "runfold run run_demo7_claim --version 9 --json")),
    (
        "runs",
        _LOOK,
        runs,
        (
            "runfold runs --agent support --status failed --from 2026-10-01T00:00:00Z",
            "runfold runs --active --fold --json",
            "runfold runs --goal settle-claim --tool refund --steps gte:1",
            "runfold runs --order-by duration --percentile 95",
        ),
    ),
    ("summary", _LOOK, summary, ("runfold summary run_demo7_claim", "runfold summary run_demo7_claim --json")),
    ("tree", _LOOK, tree, ("runfold tree thread_demo7", "runfold tree thread_demo7 --at 27")),
    (
        "diff",
        _LOOK,
        diff,
        (
            "runfold diff run_demo7_claim run_demo7_exchange",
            "runfold diff run_demo7_claim run_demo7_policy --at 27 --json",
        ),
    ),
    ("heads", _LOOK, heads, ("runfold heads thread_demo7", "runfold heads thread_demo7 --at 64 --json")),
    (
        "events",
        _LOOK,
        events,
        (
            "runfold events --thread thread_demo7 --type 'approval.*'",
            "runfold events --after 100 --limit 20 --json",
            "runfold events --after 100 --follow",
        ),
    ),
    (
        "export",
        _LOOK,
        export,
        (
            "runfold export events",
            "runfold export run_summaries --fold --to /data/runfold",
            "runfold export events --format jsonl --after 20 --up-to 60",
        ),
    ),
    ("problems", _LOOK, problems, ("runfold problems --open", "runfold problems --severity warning --goal settle-claim --json")),
    (
        "usage",
        _LOOK,
        usage,
        (
            "runfold usage --by model,day --since 2026-10-01",
            "runfold usage --by agent --goal refunds --fold --json",
            "runfold usage --by run --run run_demo7_claim --scope tree",
        ),
    ),
    ("attention", _LOOK, attention, ("runfold attention --fold", "runfold attention --reason stuck --reason failed --json")),
    ("failures", _LOOK, failures, ("runfold failures --limit 20", "runfold failures --goal settle-claim --json")),
    ("goals", _LOOK, goals, ("runfold goals", "runfold goals --json")),
    ("goal", _LOOK, goal, ("runfold goal settle-claim", "runfold goal settle-claim --fold --json")),
    ("patterns", _LOOK, patterns, ("runfold patterns settle-claim", "runfold patterns settle-claim --json")),
    (
        "approvals",
        _DECIDE,
        approvals,
        (
            "runfold approvals --open",
            "runfold approvals --open --agent support --older-than 1h",
            "runfold approvals --decided-by human:ada --json",
        ),
    ),
    (
        "approve",
        _DECIDE,
        approve,
        (
            "runfold approve approval_demo7_refund --as human:ada",
            "runfold approve approval_demo7_refund --arguments '{\"amount\": \"9.90\"}' --comment 'half of it'",
        ),
    ),
    ("deny", _DECIDE, deny, ("runfold deny approval_demo7_refund --reason 'ask the customer first' --as human:ada",)),
    (
        "rows",
        _LOOK,
        rows,
        (
            "runfold rows tool_calls --where status=failed --fold",
            "runfold rows run_summaries --json",
        ),
    ),
    (
        "head",
        _DECIDE,
        head,
        (
            "runfold head thread_demo7 draft run_demo7_exchange",
            "runfold head thread_demo7 main run_demo7_claim --expected run_demo7_voucher --rewind",
        ),
    ),
    (
        "work",
        _CARE,
        work,
        (
            "runfold work",
            "runfold work --once",
            "runfold work --projection run_summaries --projection my.module:MyProjection",
        ),
    ),
    ("projections", _CARE, projections, ("runfold projections --json", "runfold projections retry run_summaries")),
    (
        "rebuild",
        _CARE,
        rebuild,
        (
            "runfold rebuild usage --diff",
            "runfold rebuild --all --workers 4",
            "runfold rebuild run_summaries --rollback",
            "runfold rebuild run_summaries usage --as-of 2026-10-01T00:00:00Z --into october",
            "runfold rebuild --all --branch run_demo7_exchange --into exchange",
        ),
    ),
    ("schemas", _CARE, schemas, ("runfold schemas --json",)),
    ("drop-schema", _CARE, drop_schema, ("runfold drop-schema october --yes",)),
    (
        "moments prepare",
        _CARE,
        moments.prepare,
        (
            "runfold moments prepare 2026-10-01T00:00:00Z",
            "runfold moments prepare 120000 --expires-in 1d --json",
        ),
    ),
    ("moments list", _CARE, moments.list_moments, ("runfold moments list", "runfold moments list --json")),
    ("moments drop", _CARE, moments.drop, ("runfold moments drop moment_120000_1f2e3d4c5b6a",)),
    (
        "keys create",
        _CARE,
        keys.create,
        (
            "runfold keys create --owner human:ada --scope runs:read --scope approvals:decide --label 'Ada at work'",
            "runfold keys create --owner agent:support --scope runs:write --expires-in 90d --json",
        ),
    ),
    ("keys list", _CARE, keys.list_keys, ("runfold keys list", "RUNFOLD_TENANT=acme runfold keys list --json")),
    ("keys revoke", _CARE, keys.revoke, ("runfold keys revoke key_0198c0 --reason 'laptop lost' --as human:ada",)),
    ("check", _CARE, check, ("runfold check", "runfold check --json")),
    ("backup", _CARE, backup, ("runfold backup /backups/ledger-2026-11-28.dump", "runfold backup ledger.dump --yes --json")),
    (
        "restore",
        _CARE,
        restore,
        (
            "runfold restore /backups/ledger-2026-11-28.dump --home /var/lib/restored",
            "RUNFOLD_ADMIN_URL=postgresql://postgres@db/empty runfold restore ledger.dump --json",
        ),
    ),
    ("migrate", _CARE, migrate, ("runfold migrate", "RUNFOLD_ADMIN_URL=postgresql://admin@db/ledger runfold migrate")),
    ("doctor", _CARE, doctor, ("runfold doctor", "runfold doctor --json")),
    ("version", _CARE, version, ("runfold version", "runfold version --json")),
]

_GROUPS = {"keys": (_CARE, keys.HELP), "moments": (_CARE, moments.HELP)}
"""Commands of two words, by their first: in which panel, and what they are for."""

_STYLE: dict[str, Any] = {
    "no_args_is_help": True,
    "rich_markup_mode": "rich",
    "context_settings": {"help_option_names": ["-h", "--help"]},
}

app = typer.Typer(
    name="runfold",
    add_completion=False,
    pretty_exceptions_enable=False,
    **_STYLE,
)


def _everywhere(ctx: typer.Context, **given: Any) -> None:
    """The ledger of record for AI-agent runs.

    Every lifecycle change, message, tool call, decision and approval is an event in one append-only PostgreSQL log.
    Start with `runfold demo`.
    """
    ctx.obj = given


def _register() -> None:
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    signature = inspect.Signature([context, *shared_parameters()])
    _everywhere.__signature__ = signature  # type: ignore[attr-defined]
    _everywhere.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    app.callback(help=reflowed(_everywhere.__doc__ or ""))(_everywhere)
    groups = {name: typer.Typer(help=reflowed(text), **_STYLE) for name, (_, text) in _GROUPS.items()}
    for name, group in groups.items():
        app.add_typer(group, name=name, rich_help_panel=_GROUPS[name][0])
    for name, panel, function, examples in _COMMANDS:
        epilog = "\n".join(["Examples:", *(f"  {example}" for example in examples)]).replace("[", "\\[")
        first, _, second = name.partition(" ")
        if second:
            groups[first].command(second, epilog=epilog)(with_call(function))
        else:
            app.command(name, rich_help_panel=panel, epilog=epilog)(with_call(function))


_register()


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one call and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(given)
        sys.stdout.flush()
    except BrokenPipeError:
        _close_quietly()
        return PIPE_CLOSED
    return code


def _run(given: list[str]) -> int:
    try:
        return int(typer.main.get_command(app).main(given, "runfold", standalone_mode=False) or 0)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as ended:  # typer's own way out when it cannot write
        if isinstance(ended.__context__, BrokenPipeError):
            raise BrokenPipeError from None
        raise
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            return 2
        return _say(error, as_json="--json" in given, verbose="--verbose" in given)


def _say(error: Exception, *, as_json: bool, verbose: bool) -> int:
    """One line on stderr with the next step, or one JSON object; and the exit code."""
    message, facts, code = _explain(error)
    trace = "".join(traceback.format_exception(error)) if verbose else ""
    if as_json:
        from runfold.cli.terminal import print_json

        said = {"type": type(error).__name__, "message": message, "facts": facts, "exit_code": code}
        print_json({**said, "trace": trace} if verbose else said, sys.stderr)
    else:
        from runfold.cli.terminal import console, shown

        err = console(sys.stderr)
        err.print(shown(f"runfold: {message}", "red"), soft_wrap=True)
        if trace:
            err.print(shown(trace), soft_wrap=True)
    return code


def _explain(error: Exception) -> tuple[str, dict[str, Any], int]:
    if isinstance(error, LedgerError):
        return str(error), error.facts, error.exit_code
    if callable(format_message := getattr(error, "format_message", None)):  # typer's own, of a wrong call
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "runfold"
        return f"{format_message().rstrip('.')}; see `{path} --help`", {}, int(getattr(error, "exit_code", 2))
    if _is_of_the_database(error):
        from runfold.store.datastore import unavailable

        return _explain(unavailable(error))
    what = f"{type(error).__name__}: {error}"
    return f"this should not happen: {what}; give the command again with --verbose, and report the trace", {}, 1


def _is_of_the_database(error: Exception) -> bool:
    return any(kind.__module__.startswith("psycopg") for kind in type(error).__mro__)


def _close_quietly() -> None:
    """Whoever read us has gone: what is still to be written goes nowhere, at the interpreter's exit too."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
