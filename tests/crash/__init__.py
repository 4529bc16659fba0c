"""Processes that end in the middle of a call, and what the next one finds."""
