"""What a person sees in a browser: one file per screen, drawn on the server, and nothing loaded from elsewhere."""
