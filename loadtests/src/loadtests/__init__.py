"""Locust users, load profiles, SLO thresholds and benchmarks."""
