"""What leaves by itself."""
