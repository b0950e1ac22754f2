"""What a network is, and where its file lies."""
