"""What the screen shows while the workflow runs."""
