"""`runfold keys`: who may use the service, and what for."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runfold.cli.call import Call
from runfold.cli.identity import Who, whoever
from runfold.cli.pages import on_day

if TYPE_CHECKING:
    from runfold.handles.keys import KeyView
    from runfold.ledger import Ledger

HELP = """Make, list and revoke the keys that open the HTTP service, of the tenant that RUNFOLD_TENANT names.

A key acts as its owner, within its scopes. Its text is shown once, when it is made; only a digest of it is kept."""

_STYLES = {"active": "green", "revoked": "red", "expired": "yellow"}
_ALREADY = "that key was made before, and its text is not kept; nothing was added. If it is lost, revoke it and make another"


def create(
    call: Call,
    *,
    owner: Annotated[
        str, typer.Option("--owner", metavar="KIND:ID", help="Who acts where it is used, such as human:ada or agent:support.")
    ],
    scope: Annotated[
        list[str],
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help="What it is for (may be repeated): runs:write, runs:read, approvals:decide, events:read, "
            "moments:create, projections:rebuild, audit:read, or admin for everything.",
        ),
    ],
    label: Annotated[str | None, typer.Option("--label", metavar="TEXT", help="What lists call it; else its owner.")] = None,
    expires_in: Annotated[
        str | None, typer.Option("--expires-in", metavar="TIME", help="Good for so long: 90s, 15m, 1h, 7d; else until revoked.")
    ] = None,
    key_id: Annotated[
        str | None, typer.Option("--id", metavar="KEY", help="An id of your own, key_…; the same call again makes no other key.")
    ] = None,
    who: Who = None,
) -> None:
    """Make a key, and print its text: this once, and never again.

    Sent as `Authorization: Bearer KEY`, it acts as its owner in this tenant.
    """
    scopes: Any = scope
    with call.ledger() as ledger:
        made = ledger.create_key(
            owner=owner, scopes=scopes, label=label or owner, expires_in=expires_in, key_id=key_id, actor=whoever(call, who)
        )
        view = _view(ledger, made.id)
    if call.json:
        call.answer({"position": made.receipt.position, "text": made.text, "key": view.model_dump(mode="json")})
        return
    if made.text is None:
        call.note(f"{made.id}: {_ALREADY}.")
        return
    call.out.print(made.text, soft_wrap=True)
    until = f" until {on_day(view.expires_at)} (UTC)" if view.expires_at else ""
    call.note(f"{view.id} acts as {view.owner} for {', '.join(view.scopes)}{until}. It is not shown again.")


def list_keys(call: Call) -> None:
    """List all keys of this tenant, those made first before the others; revoked and expired ones too."""
    with call.ledger() as ledger:
        position, views = ledger.position(), ledger.keys()
    if call.json:
        call.answer({"as_of": position, "items": [view.model_dump(mode="json") for view in views]})
        return
    from runfold.cli.terminal import counted, print_whole, shown, table

    rows = [
        (
            view.id,
            shown(view.status, _STYLES[view.status]),
            view.label,
            view.owner,
            ", ".join(view.scopes),
            f"{on_day(view.created_at)} by {view.created_by}",
            on_day(view.expires_at),
            _ended(view),
        )
        for view in views
    ]
    print_whole(call.out, table(("id", "state", "label", "owner", "scopes", "made (UTC)", "expires", "revoked"), rows))
    call.out.print(f"{counted(len(rows), 'key')} as of position {position}", style="dim")


def revoke(
    call: Call,
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="The key's id, as `runfold keys list` shows it.")],
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why.")] = None,
    who: Who = None,
) -> None:
    """End a key. A service that runs lets it in for a second more at most. Revoking it again changes nothing."""
    with call.ledger() as ledger:
        receipt = ledger.revoke_key(key_id, reason, actor=whoever(call, who))
        view = _view(ledger, key_id)
    if call.json:
        answer = {"position": receipt.position, "appended": receipt.appended, "key": view.model_dump(mode="json")}
        call.answer(answer)
        return
    from runfold.cli.terminal import shown

    call.out.print(shown(f"{view.id} ({view.label}) is {view.status}"), soft_wrap=True)
    done = f"recorded at position {receipt.position}" if receipt.appended else "it was revoked already; nothing was added"
    call.out.print(done, style="dim")


def _view(ledger: "Ledger", key_id: str) -> "KeyView":
    listed = ledger.keys()
    return next(view for view in listed if view.id == key_id)


def _ended(view: "KeyView") -> str:
    return f"{on_day(view.revoked_at)} by {view.revoked_by}" if view.revoked_at else ""
