"""What must be said where the S3D of the built-in corpus looks at real videos: when a run starts and ends, on report and card."""


def kitchen_notice(weights: str, videos: int, kitchen_videos: int) -> str:
    """What must be said where S3D's weights know the drawn kitchen alone and videos are real; "" elsewhere."""
    if weights != "kitchen" or videos == kitchen_videos:
        return ""
    which = "the videos are" if not kitchen_videos else f"{videos - kitchen_videos} of {videos} videos are"
    return (
        f"features.weights is kitchen, an S3D that knows only the drawn built-in corpus, but {which} not of that corpus. "
        "This tries out the pipeline; the figures and answers mean nothing. For real videos set features.weights: kinetics400"
    )
