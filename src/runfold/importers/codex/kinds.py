"""Which kinds of values are read of the lines of a rollout, by what a line is, and by the type of its item or event."""

from collections.abc import Mapping

from runfold.importers.codex.events import ASKING, BEGUN, CALL_ENDS, ITEM_ENDS
from runfold.importers.codex.lines import COMPACTED, CONTEXT, EVENT, ITEM, LETTER, META, Line
from runfold.importers.turns.values import Fault, mapping, tell_misfits, texts

_Kinds = Mapping[str, type]


_CALL, _OUTPUT = texts("call_id", "id", "name", "namespace"), texts("call_id")
OF_LINES: Mapping[str, _Kinds] = {
    META: texts(
        *("id", "session_id", "parent_thread_id", "forked_from_id", "agent_role", "agent_type", "model_provider"),
    ),
    CONTEXT: texts("turn_id", "model", "approvals_reviewer"),
    COMPACTED: texts("message"),
    LETTER: texts("author"),
}
OF_TYPES: Mapping[tuple[str, str], _Kinds] = {
    **{(EVENT, kind): texts("call_id") for kind in sorted(BEGUN | CALL_ENDS)},
    **{(EVENT, kind): texts("call_id", "approval_id", "id", "reason") for kind in sorted(ASKING)},
    (ITEM, "reasoning"): texts("id", "encrypted_content"),
    (ITEM, "function_call"): _CALL,
    (ITEM, "custom_tool_call"): _CALL,
    (ITEM, "local_shell_call"): texts("call_id", "id"),
    (ITEM, "web_search_call"): texts("id"),
    (ITEM, "function_call_output"): _OUTPUT,
    (ITEM, "custom_tool_call_output"): _OUTPUT,
    (ITEM, "local_shell_call_output"): _OUTPUT,
    (EVENT, "user_message"): {**texts("message"), "images": list},
    (EVENT, "agent_message"): texts("message"),
    (EVENT, "token_count"): {"info": dict},
    (EVENT, ITEM_ENDS): {"item": dict},
    (EVENT, "turn_aborted"): texts("turn_id", "reason"),
    (EVENT, "error"): texts("turn_id", "message"),
    (EVENT, "thread_name_updated"): texts("thread_name"),
    (EVENT, "exec_command_end"): texts("call_id", "stdout", "stderr", "aggregated_output", "formatted_output"),
    (EVENT, "collab_agent_spawn_end"): texts("call_id", "new_thread_id"),
}


def tell_misfits_of(line: Line, fault: Fault) -> None:
    """Tell of values of another kind than is read: they are read as absent, and the rest of the line goes in."""
    tell_misfits(line.payload, OF_LINES.get(line.kind) or OF_TYPES.get((line.kind, line.type), {}), fault)
    if line.kind == META:
        tell_misfits(mapping(line.payload.get("base_instructions")), texts("text"), fault, "base_instructions.")
