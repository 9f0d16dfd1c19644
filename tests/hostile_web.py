"""A server on 127.0.0.1 that behaves as the web does: `/KIND/NUMBER.mp4`, where the kind says what goes wrong.

Every video is one of its own (its bytes end in a box that players skip), so a hash tells whether the right one arrived.
`asked` holds (path, first byte asked for) of every request, in order.
"""

import functools
import http.server
import random
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np

PAGE = (
    "<html><title>{title}</title><body><video src='{video}'><track kind='subtitles' srclang='en' src='{track}'></video>"
)
CAPTIONS = "WEBVTT\n\n00:00.500 --> 00:01.500\nSlice the onion.\n"

# What comes to a good end, and of what has a class of its own.
GOOD = ["plain", "page", "no_captions", "no_range", "no_length", "moved", "slow_but_sure", "busy_once", "wait_once"]
GOOD += ["cut_once", "cut_once_no_range"]
BAD = {
    "not_found": "gone",
    "removed": "gone",
    "forbidden": "blocked",
    "too_many": "blocked",
    "busy": "transient",
    "cut": "transient",
    "hangs_up": "transient",
    "crawl": "transient",
    "html": "unusable",
    "text": "unusable",
    "noise": "unusable",
    "loop": "unusable",
    "endless": "unusable",
    "endless_page": "unusable",
    "to_file": "unusable",
    "file_playlist": "unusable",
    "file_manifest": "unusable",
    "file_page": "unusable",
    "two": "unusable",
}


def write_video(path: Path, seconds: float = 2.0, shade: int = 0) -> Path:
    """64x64 at 10 fps, without sound."""
    with av.open(str(path), "w", format="mpegts" if path.suffix == ".ts" else "mp4") as container:
        stream = container.add_stream("libx264", rate=10, width=64, height=64, pix_fmt="yuv420p")
        for number in range(round(seconds * 10)):
            picture = np.full((64, 64, 3), (shade + 10 * number) % 256, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode(None))
    return path


@functools.cache
def _base() -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return write_video(Path(folder) / "base.mp4").read_bytes()


def video(number: int, size: int = 40_000) -> bytes:
    """The bytes of one of the server's videos."""
    filler = random.Random(number).randbytes(size)
    return _base() + (len(filler) + 8).to_bytes(4, "big") + b"free" + filler


class Web(http.server.ThreadingHTTPServer):
    """The server; `pace` are bytes a second of plain videos, 0 for as fast as it goes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.asked: list[tuple[str, int]] = []
        self.headers: list[dict[str, str]] = []
        self.times: Counter[str] = Counter()
        self.pages: dict[str, tuple[str, bytes]] = {}  # by path: content type and content
        self.answers: dict[str, str] = {}  # another kind of answer than the path says
        self.pace = 0
        self.size = 40_000
        self.ended = threading.Event()

    def handle_error(self, *_) -> None:
        pass  # clients hang up


class Handler(http.server.BaseHTTPRequestHandler):
    server: Web

    def do_GET(self) -> None:
        begin = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0]
        self.begin = int(begin or 0)
        self.server.asked.append((self.path, self.begin))
        self.server.headers.append(dict(self.headers))
        self.server.times[self.path] += 1
        if self.path in self.server.pages:
            type_, page = self.server.pages[self.path]
            return self.send(page, type_, ranges=False)
        kind, _, name = self.path.strip("/").partition("/")
        number = int("".join(filter(str.isdigit, name.partition(".")[0])) or 0)
        self.data = video(number, self.server.size)
        answer = getattr(self, f"answer_{self.server.answers.get(self.path, kind)}", None)
        return answer(number) if answer else self.send_error(404)

    do_HEAD = do_GET

    @property
    def nth(self) -> int:
        """Which request for this path it is; yt-dlp looks first, and fetches by the second."""
        return self.server.times[self.path]

    def send(self, data: bytes, type_: str = "video/mp4", ranges=True, length=True, cut=0, pace=0) -> None:
        """Sends the part asked for; `cut` is where the connection ends too early."""
        begin = self.begin if ranges else 0
        if begin >= len(data):
            return self.send_error(416)
        self.send_response(206 if begin else 200)
        self.send_header("Content-Type", type_)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        if ranges:
            self.send_header("Accept-Ranges", "bytes")
        if length:
            self.send_header("Content-Length", str(len(data) - begin))
        self.end_headers()
        body = data[begin : cut or None]
        pace = pace or self.server.pace
        step = max(1, pace // 20) if pace else len(body) or 1
        for start in range(0, len(body), step):
            self.wfile.write(body[start : start + step])
            if pace and self.server.ended.wait(step / pace):
                return None
        return None

    def fail(self, code: int, **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_) -> None:
        pass

    # --- good ---

    def answer_plain(self, number: int) -> None:
        self.send(self.data)

    def answer_page(self, number: int) -> None:
        page = PAGE.format(title=f"Onion {number}", video=f"/plain/{number}.mp4", track="/captions/en.vtt")
        self.send(page.encode(), "text/html")

    def answer_no_captions(self, number: int) -> None:
        page = PAGE.format(title="Onion", video=f"/plain/{number}.mp4", track="/nowhere.vtt")
        self.send(page.encode(), "text/html")

    def answer_captions(self, number: int) -> None:
        self.send(CAPTIONS.encode(), "text/vtt")

    def answer_no_range(self, number: int) -> None:
        self.send(self.data, ranges=False)

    def answer_no_length(self, number: int) -> None:
        self.send(self.data, ranges=False, length=False)

    def answer_moved(self, number: int) -> None:
        self.fail(302, Location=f"/plain/{number}.mp4")

    def answer_slow_but_sure(self, number: int) -> None:
        self.send(self.data, pace=40_000)

    def answer_busy_once(self, number: int) -> None:
        self.fail(503) if self.nth == 1 else self.send(self.data)

    def answer_wait_once(self, number: int) -> None:
        self.fail(429, Retry_After="1") if self.nth == 1 else self.send(self.data)

    def answer_cut_once(self, number: int) -> None:
        self.send(self.data, cut=len(self.data) // 2 if self.nth <= 2 else 0)

    def answer_cut_once_no_range(self, number: int) -> None:
        self.send(self.data, ranges=False, cut=len(self.data) // 2 if self.nth <= 2 else 0)

    # --- bad ---

    def answer_not_found(self, number: int) -> None:
        self.fail(404)

    def answer_removed(self, number: int) -> None:
        self.fail(410)

    def answer_forbidden(self, number: int) -> None:
        self.fail(403)

    def answer_too_many(self, number: int) -> None:
        self.fail(429, Retry_After="86400")

    def answer_busy(self, number: int) -> None:
        self.fail(503)

    def answer_cut(self, number: int) -> None:
        self.send(self.data, ranges=False, cut=len(self.data) // 2)

    def answer_hangs_up(self, number: int) -> None:
        self.connection.close()

    def answer_crawl(self, number: int) -> None:
        self.send(self.data, pace=100)

    def answer_html(self, number: int) -> None:
        self.send(b"<html><title>Onions</title>A text about onions.</html>", "text/html")

    def answer_text(self, number: int) -> None:
        self.send(b"This is no video.", "video/mp4")

    def answer_noise(self, number: int) -> None:
        self.send(self.data[:32] + random.Random(number).randbytes(20_000))

    def answer_loop(self, number: int) -> None:
        self.fail(302, Location=self.path)

    def _endless(self, type_: str, block: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", type_)
        self.end_headers()
        while not self.server.ended.is_set():
            self.wfile.write(block)

    def answer_endless(self, number: int) -> None:
        self._endless("video/mp4", self.data)

    def answer_endless_page(self, number: int) -> None:
        self._endless("text/html", b"<p>onion</p>" * 10_000)

    def answer_to_file(self, number: int) -> None:
        self.fail(302, Location="file:///etc/hostname")

    def answer_file_playlist(self, number: int) -> None:
        lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", "#EXTINF:2,", "file:///etc/hostname", "#EXT-X-ENDLIST"]
        self.send("\n".join(lines).encode(), "application/vnd.apple.mpegurl")

    def answer_file_manifest(self, number: int) -> None:
        piece = "<SegmentList duration='2'><SegmentURL media='file:///etc/hostname'/></SegmentList>"
        stream = f"<Representation id='1' bandwidth='1' mimeType='video/mp4' height='360'>{piece}</Representation>"
        sets = f"<Period duration='PT2S'><AdaptationSet mimeType='video/mp4'>{stream}</AdaptationSet></Period>"
        manifest = (
            f"<MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static' mediaPresentationDuration='PT2S'>{sets}</MPD>"
        )
        self.send(manifest.encode(), "application/dash+xml")

    def answer_file_page(self, number: int) -> None:
        self.send(PAGE.format(title="Onion", video="file:///etc/hostname", track="").encode(), "text/html")

    def answer_two(self, number: int) -> None:
        pages = [PAGE.format(title="Onion", video=f"/plain/{n}.mp4", track="") for n in (number, number + 1000)]
        self.send("".join(pages).encode(), "text/html")


@contextmanager
def web():
    """The server, for as long as the block lasts."""
    server = Web()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


def wait_for(condition, seconds: float = 60.0) -> None:
    """Returns when the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
