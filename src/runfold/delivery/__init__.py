"""What leaves by itself and what happens by itself. Each is a reactor: it acts through the same commands as anybody."""
