"""What a change does to what the environments run."""
