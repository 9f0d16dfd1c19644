"""Finding ffmpeg."""

import shutil
import subprocess


def ffmpeg_binary() -> str:
    """The system's ffmpeg when there is one, else the one that comes with imageio-ffmpeg."""
    if system := shutil.which("ffmpeg"):
        return system
    import imageio_ffmpeg

    path: str = imageio_ffmpeg.get_ffmpeg_exe()
    return path


def ffmpeg_version() -> str:
    """The version of `ffmpeg_binary`, which shapes what it encodes."""
    output = subprocess.run([ffmpeg_binary(), "-version"], capture_output=True, text=True, check=True).stdout
    return output.split()[2]  # "ffmpeg version N ..."
