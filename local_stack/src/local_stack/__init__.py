"""Runs the services on one machine as real processes."""
