"""Media files: probing, decoding, normalising and checking. PyAV and ffmpeg are used here."""
