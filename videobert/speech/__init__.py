"""Speech to sentences with times: Whisper engines, their weights, captions."""
