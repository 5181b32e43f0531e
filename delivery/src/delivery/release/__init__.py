"""From a commit on main to signed images that dev runs."""
