"""What is measured: speed as ratios side by side, quality on the benchmark sets."""
