"""Who calls: what they may, how often, and which arm of an experiment they are in."""
