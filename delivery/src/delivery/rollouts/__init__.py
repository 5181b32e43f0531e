"""make rollouts: what every rollout does now, and how its canary is judged."""
