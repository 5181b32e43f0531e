"""Releases move: to the next environment by a copied file, and back by a revert."""
