"""Pictures from a notebook: one cell, one form, or a table of prompts."""

__version__ = "0.1.0"
