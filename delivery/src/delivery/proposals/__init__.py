"""An aborted rollout leaves git ahead of the cluster: the revert that mends it, proposed as a branch."""
