"""Events of the Codex CLI that need no command of their own: what they tell stands in another line too, or is the client's."""

PASSED_BY = frozenset(
    {
        "agent_message_content_delta",
        "agent_message_delta",
        "agent_reasoning",
        "agent_reasoning_delta",
        "agent_reasoning_raw_content",
        "agent_reasoning_raw_content_delta",
        "agent_reasoning_section_break",
        "background_event",
        "collab_agent_interaction_begin",
        "collab_agent_interaction_end",
        "collab_agent_spawn_begin",
        "collab_close_begin",
        "collab_close_end",
        "collab_resume_begin",
        "collab_resume_end",
        "collab_waiting_begin",
        "collab_waiting_end",
        "context_compacted",
        "deprecation_notice",
        "dynamic_tool_call_request",
        "dynamic_tool_call_response",
        "elicitation_request",
        "entered_review_mode",
        "exec_command_output_delta",
        "exited_review_mode",
        "get_history_entry_response",
        "guardian_warning",
        "hook_completed",
        "hook_started",
        "image_generation_begin",
        "image_generation_end",
        "item_started",
        "mcp_list_tools_response",
        "mcp_startup_complete",
        "mcp_startup_update",
        "mcp_tool_call_begin",
        "model_reroute",
        "model_verification",
        "patch_apply_updated",
        "plan_delta",
        "plan_update",
        "raw_response_item",
        "reasoning_content_delta",
        "reasoning_raw_content_delta",
        "request_permissions",
        "request_user_input",
        "safety_buffering",
        "session_configured",
        "shutdown_complete",
        "skills_update_available",
        "stream_error",
        "sub_agent_activity",
        "terminal_interaction",
        "thread_goal_updated",
        "thread_settings_applied",
        "turn_diff",
        "turn_moderation_metadata",
        "undo_completed",
        "undo_started",
        "view_image_tool_call",
        "warning",
        "web_search_begin",
        "web_search_end",
    }
)

ITEMS_PASSED_BY = frozenset({"ghost_snapshot", "compaction_trigger", "additional_tools", "compaction", "context_compaction"})
"""Items that are no words, and no calls of a tool."""

BEGUN = frozenset({"exec_command_begin", "patch_apply_begin"})
"""Events that say that a call is carried out."""
ASKING = frozenset({"exec_approval_request", "apply_patch_approval_request"})
CALL_ENDS = frozenset({"exec_command_end", "patch_apply_end", "mcp_tool_call_end"})
ITEM_ENDS = "item_completed"
"""What newer files have instead of these. Of what else is completed so, an item of the provider tells."""
TURN_STARTS = frozenset({"task_started", "turn_started"})
TURN_ENDS = frozenset({"task_complete", "turn_complete"})
