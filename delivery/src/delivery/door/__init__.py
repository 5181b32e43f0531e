"""What callers of local meet at the door, and what is not in git: its certificate and their tokens."""
