"""Image bytes to tensors, versioned by a feature-spec digest."""
