"""Videos from the web: the yt-dlp client, its options, its failures, secrets and discovery. yt-dlp is imported here alone."""
