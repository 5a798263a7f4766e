"""How methods of handles become commands, and who carries them out."""
