"""Read models folded anew beside the ones in use, compared with them, and switched to."""
