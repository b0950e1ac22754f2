"""Films, enlarged with their sound, subtitles and timing."""
