"""Models to the Hugging Face Hub."""
