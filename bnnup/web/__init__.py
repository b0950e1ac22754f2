"""The page that enlarges pictures in a browser: finding, copying and serving it."""
