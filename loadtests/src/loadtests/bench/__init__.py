"""Side-by-side measurements with generators that are not Python."""
