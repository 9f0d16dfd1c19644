"""Frames to visual words: S3D, clip features, the codebook."""
