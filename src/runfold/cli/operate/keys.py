"""`runfold keys`: who may use the HTTP service, and for what."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.calling.call import Call, pinned
from runfold.cli.calling.identity import WhoOrActor, actor_for
from runfold.cli.calling.options import At, CommentOrReason

if TYPE_CHECKING:
    from runfold.handles.ledgers.keys import KeyView
    from runfold.ledger import Ledger

HELP = """Create, list and revoke API keys of the HTTP service, for the tenant that RUNFOLD_TENANT names.

A key acts as its owner, within its scopes. Its text is shown once, when it is created; only a digest of it is stored."""

_ALREADY = (
    "this key was created before, and its text is not stored; nothing was added. If it is lost, revoke it and create another"
)


def create(
    call: Call,
    *,
    owner: Annotated[
        str, typer.Option("--owner", metavar="KIND:ID", help="Whom the key acts as, such as human:ada or agent:support.")
    ],
    scope: Annotated[
        list[str],
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help="What the key allows (may be repeated): runs:write, runs:read, approvals:decide, import, "
            "events:read, moments:create, projections:rebuild, webhooks:manage, audit:read, or admin for everything.",
        ),
    ],
    label: Annotated[str | None, typer.Option("--label", metavar="TEXT", help="Label for lists; the owner if not given.")] = None,
    expires_in: Annotated[
        str | None,
        typer.Option("--expires-in", metavar="DURATION", help="Valid for 90s, 15m, 1h, 7d …; until revoked if not given."),
    ] = None,
    key_id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="Your own id, key_…; repeating the call then creates no other key."),
    ] = None,
    who: WhoOrActor = None,
) -> None:
    """Create a key, and print its text, which is not shown again.

    Sent as `Authorization: Bearer KEY`, it acts as its owner in this tenant.
    """
    scopes: Any = scope
    with call.ledger() as ledger:
        made = ledger.create_key(
            owner=owner, scopes=scopes, label=label or owner, expires_in=expires_in, key_id=key_id, actor=actor_for(call, who)
        )
        view = _view(ledger, made.id)
    if call.json:
        call.answer({"position": made.receipt.position, "text": made.text, "key": view.model_dump(mode="json")})
        return
    if made.text is None:
        call.note(f"{made.id}: {_ALREADY}.")
        return
    call.out.print(made.text, soft_wrap=True)
    from runfold.terminal.text import to_the_minute

    until = f" until {to_the_minute(view.expires_at)} (UTC)" if view.expires_at else ""
    call.note(f"{view.id} acts as {view.owner} for {', '.join(view.scopes)}{until}. It is not shown again.")


def list_keys(call: Call, *, at: At = None) -> None:
    """List all keys of this tenant, oldest first; revoked and expired ones too."""
    with call.ledger() as ledger:
        position, views = pinned(call, ledger, at).up_to, ledger.keys(None if at is None else call.moment(at))
    if call.json:
        call.answer({"as_of": position, "items": [view.model_dump(mode="json") for view in views]})
        return
    from runfold.terminal.console import print_whole
    from runfold.terminal.tables import key_table
    from runfold.terminal.text import counted

    print_whole(call.out, key_table(views))
    call.out.print(f"{counted(len(views), 'key')} as of position {position}", style="dim")


def revoke(
    call: Call,
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="The key's id, as `runfold keys list` shows it.")],
    comment: CommentOrReason = None,
    who: WhoOrActor = None,
) -> None:
    """Revoke a key. A running service accepts it for one more second at most. Revoking it again changes nothing."""
    with call.ledger() as ledger:
        receipt = ledger.revoke_key(key_id, comment, actor=actor_for(call, who))
        view = _view(ledger, key_id)
    if call.json:
        answer = {"position": receipt.position, "appended": receipt.appended, "key": view.model_dump(mode="json")}
        call.answer(answer)
        return
    from runfold.terminal.text import shown

    call.out.print(shown(f"{view.id} ({view.label}) is {view.status}"), soft_wrap=True)
    done = f"recorded at position {receipt.position}" if receipt.appended else "it was revoked already; nothing was added"
    call.out.print(done, style="dim")


def _view(ledger: "Ledger", key_id: str) -> "KeyView":
    listed = ledger.keys()
    return next(view for view in listed if view.id == key_id)
