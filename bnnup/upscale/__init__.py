"""One picture, enlarged."""
