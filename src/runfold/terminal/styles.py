"""The colours of states, severities and recommendations."""

RUN = {
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
    "waiting": "cyan",
    "running": "blue",
    "stuck": "magenta",
}
TOOL_CALL = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "started": "blue"}
APPROVAL = {"open": "cyan", "granted": "green", "denied": "red", "expired": "yellow", "withdrawn": "yellow"}
OUTCOME = {"success": "green", "failure": "red"}
SEVERITY = {"critical": "bold red", "warning": "yellow"}
RECOMMENDATION = {"continue": "yellow", "adjust": "bold red", "complete": "green"}
KEY = {"active": "green", "revoked": "red", "expired": "yellow"}
WEBHOOK = {"active": "green", "disabled": "yellow", "deleted": "red", "unreadable": "red"}
MOMENT = {"ready": "green", "running": "cyan", "waiting": "yellow", "failed": "red"}
REACTOR = {"running": "green", "not running": "yellow", "failing": "bold red"}
PROJECTION = {
    "up to date": "green",
    "catching up": "yellow",
    "being built": "yellow",
    "interrupted": "yellow",
    "retrying": "red",
    "stopped": "bold red",
}
