"""The commands of `runfold`: their names, in which panel of the help they stand, and examples."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from runfold.cli.audit import seal, witness
from runfold.cli.audit.evidence import evidence, prove_absence
from runfold.cli.audit.receipts import verify_receipt
from runfold.cli.calling.lists import ListOption
from runfold.cli.decide.approvals import approvals, approve, deny
from runfold.cli.decide.cancel import cancel
from runfold.cli.decide.leases import claim, release, renew
from runfold.cli.demo import demo
from runfold.cli.operate import keys, moments, relay, subscriptions, webhooks
from runfold.cli.operate.backup import backup, restore
from runfold.cli.operate.database import check, migrate
from runfold.cli.operate.doctor import doctor, version
from runfold.cli.operate.moments import drop_schema, schemas
from runfold.cli.operate.rebuild import rebuild
from runfold.cli.operate.serve import serve
from runfold.cli.operate.sweep import reactors, sweep
from runfold.cli.operate.transfer import export, import_runs
from runfold.cli.operate.work import work
from runfold.cli.reading import samples
from runfold.cli.reading.agui_check import agui_check
from runfold.cli.reading.connect import psql, url
from runfold.cli.reading.events import OPTIONS as EVENT_OPTIONS
from runfold.cli.reading.events import events
from runfold.cli.reading.goals import goal, goals, patterns
from runfold.cli.reading.problems import attention, failures, problems
from runfold.cli.reading.read_models import projections, rows
from runfold.cli.reading.runs import decisions, diff, run, runs, summary, tool_calls
from runfold.cli.reading.search import search
from runfold.cli.reading.threads import head, heads, thread, threads, tree
from runfold.cli.reading.usage import usage

_START, _INSPECT, _DECIDE, _OPERATE = "Get started", "Inspect", "Decide", "Operate"


class Command(NamedTuple):
    """One command, as the help lists it."""

    name: str
    panel: str
    function: Callable[..., None]
    examples: tuple[str, ...]
    question: str | None = None
    """The question of `Reading` whose parameters are its options, if it is a list."""
    narrowed_by: str | None = None
    """The question whose parameters are options beside its own, if it is no list."""
    options: Sequence[ListOption] = ()
    """More options, which the function takes as `**…`."""


COMMANDS = [
    Command("demo", _START, demo, ("runfold demo", "runfold demo --seed 42", "runfold demo --json")),
    Command(
        "import",
        _START,
        import_runs,
        (
            "runfold import claude-code ~/.claude/projects",
            "runfold import tau2 results.json.gz --strict",
            "zcat events.jsonl.gz | runfold import ag-ui - --json",
        ),
    ),
    Command(
        "serve",
        _START,
        serve,
        (
            "runfold serve",
            "runfold serve --port 9000 --no-work",
            "runfold serve --projection my.module:MyProjection",
            "runfold serve --host 0.0.0.0 --json",
        ),
    ),
    Command(
        "threads",
        _INSPECT,
        threads,
        ("runfold threads --agent support --limit 20", "runfold threads --state archived --json"),
        question="threads",
    ),
    Command(
        "thread",
        _INSPECT,
        thread,
        (
            "runfold thread thread_demo7",
            "runfold thread thread_demo7 --at 27",
            "runfold thread thread_demo7 --head exchange",
            "runfold thread thread_demo7 --at 2026-10-01T09:30:00Z --json",
        ),
    ),
    Command("run", _INSPECT, run, ("runfold run run_demo7_claim", "runfold run run_demo7_claim --version 9 --json")),
    Command(
        "runs",
        _INSPECT,
        runs,
        (
            "runfold runs --agent support --status failed --from 2026-10-01T00:00:00Z",
            "runfold runs --active --fold --json",
            "runfold runs --goal settle-claim --tool refund --steps gte:1",
            "runfold runs --order-by duration --percentile 95",
            "runfold runs --status failed --from 2026-10-01 --count",
        ),
        question="runs",
    ),
    Command(
        "sample runs",
        _INSPECT,
        samples.sample_runs,
        (
            "runfold sample runs --seed 2026-Q3",
            "runfold sample runs --n 5 --seed 2026-Q3 --status failed --at 2026-10-01T00:00:00Z --output audit-2026-Q3",
        ),
        question="sample_runs",
    ),
    Command(
        "search",
        _INSPECT,
        search,
        ("runfold search refund postage", """runfold search '"tea set" OR teapot' --kind message --fold --json"""),
        question="search",
    ),
    Command(
        "tool-calls",
        _INSPECT,
        tool_calls,
        (
            "runfold tool-calls --tool refund --status failed --fold",
            "runfold tool-calls --run run_demo7_claim --json",
        ),
        question="tool_calls",
    ),
    Command(
        "decisions",
        _INSPECT,
        decisions,
        ("runfold decisions --goal settle-claim --outcome failure", "runfold decisions --run run_demo7_claim --json"),
        question="decisions",
    ),
    Command("summary", _INSPECT, summary, ("runfold summary run_demo7_claim", "runfold summary run_demo7_claim --json")),
    Command("tree", _INSPECT, tree, ("runfold tree thread_demo7", "runfold tree thread_demo7 --at 27")),
    Command(
        "diff",
        _INSPECT,
        diff,
        (
            "runfold diff run_demo7_claim run_demo7_exchange",
            "runfold diff run_demo7_claim run_demo7_policy --at 27 --json",
        ),
    ),
    Command("heads", _INSPECT, heads, ("runfold heads thread_demo7", "runfold heads thread_demo7 --at 64 --json")),
    Command(
        "events",
        _INSPECT,
        events,
        (
            "runfold events --thread thread_demo7 --type 'approval.*'",
            "runfold events --after 40 --limit 20 --json",
            "runfold events --after 40 --follow",
        ),
        options=EVENT_OPTIONS,
    ),
    Command(
        "export",
        _INSPECT,
        export,
        (
            "runfold export events",
            "runfold export run_summaries --fold --output /data/runfold",
            "runfold export events --format jsonl --after 20 --at 60",
            "runfold export run run_demo7_claim --format ag-ui",
        ),
    ),
    Command(
        "agui-check",
        _INSPECT,
        agui_check,
        (
            "runfold agui-check events.jsonl",
            "runfold export run run_demo7_claim --format ag-ui | runfold agui-check -",
            "runfold agui-check http://127.0.0.1:8000/agent --post input.json --json",
        ),
    ),
    Command(
        "problems",
        _INSPECT,
        problems,
        ("runfold problems --open", "runfold problems --severity warning --goal settle-claim --json"),
        question="problems",
    ),
    Command(
        "usage",
        _INSPECT,
        usage,
        (
            "runfold usage --by model,day --from 2026-10-01",
            "runfold usage --by agent --goal refunds --fold --json",
            "runfold usage --by run --run run_demo7_claim --scope tree",
        ),
        question="usage",
    ),
    Command(
        "attention",
        _INSPECT,
        attention,
        (
            "runfold attention --fold",
            "runfold attention --reason stuck --reason failed --json",
            "runfold attention --reason silent --silent-for 1d",
        ),
        question="attention",
    ),
    Command(
        "failures",
        _INSPECT,
        failures,
        ("runfold failures --limit 20", "runfold failures --goal settle-claim --json"),
        question="failures",
    ),
    Command("goals", _INSPECT, goals, ("runfold goals", "runfold goals --json"), question="goals"),
    Command("goal", _INSPECT, goal, ("runfold goal settle-claim", "runfold goal settle-claim --fold --json")),
    Command("patterns", _INSPECT, patterns, ("runfold patterns settle-claim", "runfold patterns settle-claim --json")),
    Command(
        "approvals",
        _DECIDE,
        approvals,
        (
            "runfold approvals --open",
            "runfold approvals --open --agent support --older-than 1h",
            "runfold approvals --decided-by human:ada --json",
        ),
        question="approvals",
    ),
    Command(
        "approve",
        _DECIDE,
        approve,
        (
            "runfold approve approval_demo7_refund --as human:ada",
            "runfold approve approval_demo7_refund --arguments '{\"amount\": \"9.90\"}' --comment 'half of it'",
        ),
    ),
    Command("deny", _DECIDE, deny, ("runfold deny approval_demo7_refund --comment 'ask the customer first' --as human:ada",)),
    Command(
        "cancel",
        _DECIDE,
        cancel,
        (
            "runfold cancel run_demo7_claim --comment 'asked twice'",
            "runfold cancel --agent support --status stuck --dry-run",
        ),
    ),
    Command(
        "rows",
        _INSPECT,
        rows,
        (
            "runfold rows tool_calls --where status=failed --fold",
            "runfold rows run_summaries --json",
        ),
    ),
    Command(
        "head",
        _DECIDE,
        head,
        (
            "runfold head thread_demo7 draft run_demo7_exchange",
            "runfold head thread_demo7 main run_demo7_claim --expected run_demo7_voucher --rewind",
        ),
    ),
    Command(
        "claim",
        _OPERATE,
        claim,
        ("runfold claim run_demo7_claim --worker shop-1 --for 15m", "runfold claim run_demo7_claim --take-over --json"),
    ),
    Command("renew", _OPERATE, renew, ("runfold renew run_demo7_claim exec_0198c0 --for 15m",)),
    Command("release", _OPERATE, release, ("runfold release run_demo7_claim exec_0198c0 --comment 'not for this machine'",)),
    Command(
        "work",
        _OPERATE,
        work,
        (
            "runfold work",
            "runfold work --once",
            "runfold work --projection run_summaries --projection my.module:MyProjection",
        ),
    ),
    Command(
        "sweep", _OPERATE, sweep, ("runfold sweep --dry-run", 'RUNFOLD_SWEEP=\'{"idle_after": "15m"}\' runfold sweep --json')
    ),
    Command("reactors", _OPERATE, reactors, ("runfold reactors", "runfold reactors --json")),
    Command(
        "projections",
        _OPERATE,
        projections,
        (
            "runfold projections --json",
            "runfold projections retry run_summaries",
            "runfold projections drop my_projection --yes",
        ),
    ),
    Command(
        "rebuild",
        _OPERATE,
        rebuild,
        (
            "runfold rebuild usage --diff",
            "runfold rebuild --all --workers 4",
            "runfold rebuild run_summaries --rollback",
            "runfold rebuild run_summaries usage --at 2026-10-01T00:00:00Z --into october",
            "runfold rebuild --all --branch run_demo7_exchange --into exchange",
        ),
    ),
    Command("schemas", _OPERATE, schemas, ("runfold schemas --json",)),
    Command("drop-schema", _OPERATE, drop_schema, ("runfold drop-schema october --yes",)),
    Command(
        "moments prepare",
        _OPERATE,
        moments.prepare,
        (
            "runfold moments prepare 2026-10-01T00:00:00Z",
            "runfold moments prepare 120000 --expires-in 1d --json",
        ),
    ),
    Command("moments list", _OPERATE, moments.list_moments, ("runfold moments list", "runfold moments list --json")),
    Command("moments drop", _OPERATE, moments.drop, ("runfold moments drop moment_120000_1f2e3d4c5b6a",)),
    Command(
        "subscriptions put",
        _OPERATE,
        subscriptions.put,
        (
            "runfold subscriptions put billing --type 'usage.*' --after now",
            "runfold subscriptions put audit-mirror --in-order-of thread --most-attempts 100 --json",
        ),
    ),
    Command(
        "subscriptions list",
        _OPERATE,
        subscriptions.list_subscriptions,
        ("runfold subscriptions list", "runfold subscriptions list --json"),
    ),
    Command("subscriptions show", _OPERATE, subscriptions.show, ("runfold subscriptions show billing --json",)),
    Command("subscriptions parked", _OPERATE, subscriptions.parked, ("runfold subscriptions parked billing",)),
    Command(
        "subscriptions replay",
        _OPERATE,
        subscriptions.replay,
        ("runfold subscriptions replay billing", "runfold subscriptions replay billing 1207 1311"),
    ),
    Command("subscriptions discard", _OPERATE, subscriptions.discard, ("runfold subscriptions discard billing 1207",)),
    Command("subscriptions reset", _OPERATE, subscriptions.reset, ("runfold subscriptions reset billing --after 1200",)),
    Command("subscriptions delete", _OPERATE, subscriptions.delete, ("runfold subscriptions delete billing",)),
    Command(
        "keys create",
        _OPERATE,
        keys.create,
        (
            "runfold keys create --owner human:ada --scope runs:read --scope approvals:decide --label 'Ada at work'",
            "runfold keys create --owner agent:support --scope runs:write --expires-in 90d --json",
        ),
    ),
    Command("keys list", _OPERATE, keys.list_keys, ("runfold keys list", "RUNFOLD_TENANT=acme runfold keys list --json")),
    Command(
        "webhooks create",
        _OPERATE,
        webhooks.create,
        (
            "runfold webhooks create https://hooks.example.com/runs --type 'run.*'",
            "runfold webhooks create https://hooks.example.com/all --format cloudevents --content whole --after 0",
        ),
    ),
    Command(
        "webhooks list", _OPERATE, webhooks.list_webhooks, ("runfold webhooks list", "runfold webhooks list --deleted --json")
    ),
    Command("webhooks show", _OPERATE, webhooks.show, ("runfold webhooks show webhook_0198c0",)),
    Command(
        "webhooks secret",
        _OPERATE,
        webhooks.secret,
        ("runfold webhooks secret callbacks",),
    ),
    Command("webhooks rotate", _OPERATE, webhooks.rotate, ("runfold webhooks rotate webhook_0198c0 --keep-for 7d",)),
    Command("webhooks test", _OPERATE, webhooks.send_test, ("runfold webhooks test webhook_0198c0",)),
    Command("webhooks replay", _OPERATE, webhooks.replay, ("runfold webhooks replay webhook_0198c0 --after 1200 --up-to 1300",)),
    Command("webhooks attempts", _OPERATE, webhooks.attempts, ("runfold webhooks attempts webhook_0198c0 --failed",)),
    Command("webhooks callback", _OPERATE, webhooks.callback, ("runfold webhooks callback run_0198c0",)),
    Command("webhooks disable", _OPERATE, webhooks.disable, ("runfold webhooks disable webhook_0198c0 --comment 'moving'",)),
    Command("webhooks enable", _OPERATE, webhooks.enable, ("runfold webhooks enable webhook_0198c0",)),
    Command("webhooks delete", _OPERATE, webhooks.delete, ("runfold webhooks delete webhook_0198c0",)),
    Command("keys revoke", _OPERATE, keys.revoke, ("runfold keys revoke key_0198c0 --comment 'laptop lost' --as human:ada",)),
    Command(
        "psql",
        _INSPECT,
        psql,
        (
            "runfold psql",
            "runfold psql -c 'SELECT * FROM runfold_read.run_summaries LIMIT 5'",
            "runfold psql --role app -- --csv --file report.sql",
        ),
    ),
    Command(
        "url", _INSPECT, url, ("runfold url", "runfold url --role projector", "duckdb -c \"ATTACH '$(runfold url)' AS ledger\"")
    ),
    Command(
        "verify",
        _OPERATE,
        seal.verify,
        ("runfold verify", "runfold verify --full --json", "runfold verify --against last-week.checkpoint --key NAME+HASH+KEY"),
    ),
    Command("seal now", _OPERATE, seal.now, ("runfold seal now",)),
    Command("seal keys", _OPERATE, seal.keys, ("runfold seal keys", "runfold seal keys --json")),
    Command("seal rotate", _OPERATE, seal.rotate, ("runfold seal rotate", "runfold seal rotate --finish")),
    Command("seal accept-loss", _OPERATE, seal.accept_loss, ("runfold seal accept-loss --comment 'restored after a fire'",)),
    Command(
        "relay nats",
        _OPERATE,
        relay.relay_to_nats,
        (
            "runfold relay nats --url nats://nats.internal:4222",
            "RUNFOLD_NATS_TOKEN=… runfold relay nats --url tls://nats.internal --type 'run.*' --format cloudevents",
            "runfold relay nats --url nats://nats.internal:4222 --once --json",
        ),
    ),
    Command(
        "evidence",
        _OPERATE,
        evidence,
        (
            "runfold evidence thread_demo7 --output case-17",
            "runfold evidence run_demo7_claim --leave-out 'message.*' --output case-18 --json",
            "runfold evidence --answer run_summaries --key run_demo7_claim --output case-19",
            "runfold evidence --receipt receipt.json --output case-20",
            "runfold evidence --sample --seed 2026-Q3 --n 2 --all --output sample-2026-Q3",
        ),
        narrowed_by="sample_runs",
    ),
    Command(
        "verify-receipt",
        _OPERATE,
        verify_receipt,
        ("runfold verify-receipt receipt.json", "runfold verify-receipt receipt.json --json"),
    ),
    Command(
        "prove-absence",
        _OPERATE,
        prove_absence,
        (
            "runfold prove-absence --thread thread_demo7 --type approval.granted --call call_demo7_express --output case-20",
            "runfold prove-absence --all --type run.failed --output case-21",
        ),
    ),
    Command("witness key", _OPERATE, witness.key, ("runfold witness key --name witness.example.com/one",)),
    Command(
        "witness serve",
        _OPERATE,
        witness.serve,
        ("runfold witness serve --name witness.example.com/one --policy policy --folder /var/lib/witness",),
    ),
    Command(
        "witness sign", _OPERATE, witness.sign, ("runfold witness sign request --name witness.example.com/one --policy policy",)
    ),
    Command("check", _OPERATE, check, ("runfold check", "runfold check --json")),
    Command(
        "backup", _OPERATE, backup, ("runfold backup /backups/ledger-2026-11-28.dump", "runfold backup ledger.dump --yes --json")
    ),
    Command(
        "restore",
        _OPERATE,
        restore,
        (
            "runfold restore /backups/ledger-2026-11-28.dump --home /var/lib/restored",
            "RUNFOLD_ADMIN_URL=postgresql://postgres@db/empty runfold restore ledger.dump --json",
        ),
    ),
    Command("migrate", _OPERATE, migrate, ("runfold migrate", "RUNFOLD_ADMIN_URL=postgresql://admin@db/ledger runfold migrate")),
    Command("doctor", _OPERATE, doctor, ("runfold doctor", "runfold doctor --json")),
    Command("version", _OPERATE, version, ("runfold version", "runfold version --json")),
]

GROUPS = {
    "sample": (_INSPECT, samples.HELP),
    "keys": (_OPERATE, keys.HELP),
    "seal": (_OPERATE, seal.HELP),
    "witness": (_OPERATE, witness.HELP),
    "moments": (_OPERATE, moments.HELP),
    "webhooks": (_OPERATE, webhooks.HELP),
    "subscriptions": (_OPERATE, subscriptions.HELP),
    "relay": (_OPERATE, relay.HELP),
}
"""Commands of two words by their first word: the panel and the help of the group."""
