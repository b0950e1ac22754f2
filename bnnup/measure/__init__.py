"""How good a result is: scores, and pictures side by side."""
