"""What runs a network: the compiled engine, or torch."""
