"""Records predictions and feedback, computes quality."""
