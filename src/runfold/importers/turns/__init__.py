"""Sessions of coding agents as turns: what woke the agent, and all that followed until its turn ended."""
