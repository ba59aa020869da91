"""Moves products from a failed region to the standby, and proves that they arrived."""
