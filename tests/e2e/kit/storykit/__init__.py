"""What stories on a cluster are told with."""
