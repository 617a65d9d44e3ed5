"""Erasure of a player name from everything that the platform keeps."""
