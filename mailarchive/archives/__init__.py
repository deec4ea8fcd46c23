"""Archives on disk: one module for each format, opened by path."""
