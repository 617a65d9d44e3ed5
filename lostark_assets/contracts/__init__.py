"""One contract per table of the lake."""
