"""What every Fairlead service shares."""
