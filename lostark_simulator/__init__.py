"""Synthetic battle logs with known ground truth, and the mock servers that offer them."""
