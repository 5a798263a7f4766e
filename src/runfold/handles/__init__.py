"""The SDK that people hold: threads, runs, messages, tool calls, decisions, steps, usage, approvals, keys."""
