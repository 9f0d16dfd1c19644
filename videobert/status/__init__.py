"""How far a run is, read from its results folder alone: `videobert status`."""
