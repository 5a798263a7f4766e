"""Sessions of the GitHub Copilot CLI, as its event files hold them."""
