"""Sessions of the Codex CLI, as its rollout files hold them."""
