"""What must be said where an S3D that ships with the project looks at real videos: on screen, report and card."""

KNOWS = {"kitchen": "the drawn built-in corpus", "shapes": "drawn shapes"}  # by weights


def kitchen_notice(weights: str, videos: int, kitchen_videos: int) -> str:
    """What must be said where S3D's weights know drawn pictures alone and videos are real; "" elsewhere."""
    if weights not in KNOWS or videos == kitchen_videos:
        return ""
    which = "the videos are" if not kitchen_videos else f"{videos - kitchen_videos} of {videos} videos are"
    return (
        f"features.weights is {weights}, an S3D that knows only {KNOWS[weights]}, but {which} not of the built-in corpus. "
        "This tries out the pipeline; the figures and answers mean nothing. For real videos set features.weights: kinetics400"
    )
