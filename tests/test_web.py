"""Real yt-dlp against a web on 127.0.0.1 that behaves as the real one does: nothing is lost, nothing lies."""

import errno
import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
import pytest
import yaml
from calls import download, only
from hostile_web import BAD, GOOD, video, wait_for, web, write_video
from yt_dlp.aes import aes_cbc_encrypt_bytes
from yt_dlp.utils import DownloadError, ExtractorError

from videobert.data.provenance import read_table
from videobert.errors import UserError
from videobert.layout import Layout
from videobert.stages.download import _Shard
from videobert.stages.retry import retried, retry
from videobert.web.failures import video_error
from videobert.web.fetch import Site
from videobert.web.options import DownloadExecution, DownloadSettings

ROOT = Path(__file__).parents[1]
DOWNLOAD = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))["download"]
SETTINGS = DOWNLOAD | {"retries": 1, "max_filesize": 5_000_000}


def classes(settings: dict[str, Any]) -> tuple[DownloadSettings, DownloadExecution]:
    return only(DownloadSettings, settings), only(DownloadExecution, settings)


@pytest.fixture
def site():
    with web() as server:
        yield server


def test_every_good_video_arrives_and_every_bad_one_has_its_class(tmp_path, site):
    """Good and bad in every way that there is. Two shards run side by side."""
    count, shards = len(GOOD) + len(BAD), 2
    kinds = dict(enumerate(random.Random(0).sample([*GOOD, *BAD], count)))
    size = -(-count // shards)
    videos = listed(tmp_path, {f"v{n}": f"{site.address}/{kind}/{n}.mp4" for n, kind in kinds.items()}, size)
    jobs = [start(videos, f"{shard:04d}", tmp_path, max_blocked=1) for shard in range(shards)]
    assert [job.wait() for job in jobs] == [0] * shards
    found = {}
    for shard in range(shards):
        folder = tmp_path / f"{shard:04d}"
        for row in read_table(folder / "ledger.parquet").to_pylist():
            number = int(row["video_id"][1:])
            found[number] = row["status"]
            if row["status"] == "ok":
                assert row["reason"] == "" or kinds[number] == "no_captions"
                assert digest((folder / row["path"]).read_bytes()) == digest(video(number)), kinds[number]
                assert bool(row["captions"]) == (kinds[number] == "page")
            else:
                assert len(row["reason"]) > 10 and " 0x" not in row["reason"] and "ERROR" not in row["reason"]
    assert found == {number: BAD.get(kind, "ok") for number, kind in kinds.items()}


def test_after_kills_at_random_moments_only_what_is_missing_is_fetched(tmp_path, site):
    """What a killed run had noted is not asked for again, and what it had of a file is gone on with."""
    site.pace, site.size = 200_000, 60_000  # a third of a second each
    names = [f"v{number}" for number in range(12)]
    videos = listed(tmp_path, {name: f"{site.address}/plain/{name[1:]}.mp4" for name in names})
    moments = random.Random(5)
    journal = tmp_path / "0000" / ".journal"

    def asked() -> set[str]:
        return {f"v{Path(path).stem}" for path, _ in site.asked}

    for kill in range(2):
        with_provenance = {path.stem for path in journal.glob("v*.json")}
        del site.asked[:]
        job = start(videos, "0000", tmp_path)
        wait_for(asked)
        if kill:  # on a slow machine, too, something has come
            wait_for(lambda: list(journal.glob("v*.json")))
        time.sleep(moments.uniform(0, 1.0))
        job.send_signal(signal.SIGKILL)
        assert job.wait() == -signal.SIGKILL
        assert not with_provenance & asked()
    with_provenance = {path.stem for path in journal.glob("v*.json")}
    assert with_provenance and len(with_provenance) < len(names)
    left = {path for path in (tmp_path / "0000" / ".part").rglob("media*.part") if path.stat().st_size}
    del site.asked[:]
    rows = run(tmp_path, videos)
    assert asked() == set(names) - with_provenance
    assert any(begin for _, begin in site.asked) or not left
    assert [rows[name]["status"] for name in names] == ["ok"] * 12
    for name in names:
        assert (tmp_path / "0000" / f"{name}.mp4").read_bytes() == video(int(name[1:]), site.size)
    del site.asked[:]
    assert run(tmp_path, videos) == rows and not site.asked
    assert not (tmp_path / "0000" / ".part").exists() and not journal.exists()


@pytest.mark.parametrize(
    "there", ["nothing", "half", "whole", "whole without .part", "wrong half", "wrong picture", "longer"]
)
def test_what_lies_there_is_gone_on_with_only_if_it_is_right(tmp_path, site, there):
    source = f"{site.address}/plain/7.mp4"
    whole = video(7)
    wrong = bytes(100) + random.Random(1).randbytes(len(whole) // 2)
    with av.open(io.BytesIO(whole)) as container:  # the length of a picture in the middle, made absurd
        place = [packet.pos for packet in container.demux(video=0) if packet.size and not packet.is_keyframe][5]
    picture = whole[:place] + b"\xff" * 4 + whole[place + 4 : len(whole) // 2]
    data = {
        "wrong picture": picture,
        "half": whole[: len(whole) // 2],
        "wrong half": wrong,
        "longer": whole + b"more",
    }.get(there, whole)
    if there != "nothing":
        part = _Shard(tmp_path / "0000", *classes(SETTINGS), None, [])._part(source)
        (part / ("media.mp4" if "without" in there else "media.mp4.part")).write_bytes(data)
    row = run(tmp_path, listed(tmp_path, {"v": source}), retries=0)["v"]
    assert (row["status"], row["reason"]) == ("ok", "")
    assert (tmp_path / "0000" / "v.mp4").read_bytes() == whole
    assert any(begin for _, begin in site.asked) == (there not in ("nothing", "whole without .part"))


def test_a_site_that_refuses_is_left_alone_until_it_is_asked_for_again(tmp_path, site, capfd):
    """The rest of its videos are not asked for; `retry` has them fetched, and nothing again that is there."""
    kinds = ["plain", "not_found", "forbidden", "plain", "forbidden", "too_many", "plain", "plain", "plain", "plain"]
    sources = {f"v{n}": f"{site.address}/{kind}/{n}.mp4" for n, kind in enumerate(kinds)}
    other = f"http://localhost:{site.server_port}/plain/99.mp4"
    videos = listed(tmp_path, sources | {"other": other})
    folder = tmp_path / "download"
    rows = run(folder, videos)
    statuses = ["ok", "gone", "blocked", "ok", "blocked", *["blocked"] * 5]
    assert [row["status"] for row in rows.values()] == [*statuses, "ok"]
    assert "not tried: 3 of this shard's 10 videos from 127.0.0.1 were refused" in rows["v9"]["reason"]
    assert "/plain/9.mp4" not in {path for path, _ in site.asked}
    assert "videobert retry RESULTS blocked" in capfd.readouterr().err
    # Another run changes nothing by itself.
    assert retried(Layout(tmp_path), "download", "0000") == "0"
    retry(tmp_path, ["blocked"])
    assert retried(Layout(tmp_path), "download", "0000") == "1"
    assert "7 blocked, in 1 of 1 shards" in capfd.readouterr().err
    for number in (2, 4, 5):
        site.answers[f"/{kinds[number]}/{number}.mp4"] = "plain"
    del site.asked[:]
    rows = run(folder, videos)
    assert [row["status"] for row in rows.values()] == ["ok", "gone", *["ok"] * 9]
    assert {path for path, _ in site.asked} == {f"/{kinds[n]}/{n}.mp4" for n in (2, 4, 5, 6, 7, 8, 9)}
    retry(tmp_path, ["gone"])
    del site.asked[:]
    run(folder, videos)
    assert {path for path, _ in site.asked} == {"/not_found/1.mp4"}


def test_retry_has_words_for_a_mistake(tmp_path):
    with pytest.raises(UserError, match="has no downloaded shards"):
        retry(tmp_path, ["blocked"])


def test_a_change_of_what_is_wanted_fetches_only_what_it_must(tmp_path, site):
    sources = {"page": f"{site.address}/page/1.mp4", "gone": f"{site.address}/not_found/2.mp4"}
    sources |= {"mine": f"{site.address}/plain/3.mp4"}
    videos = listed(tmp_path, sources, license={"mine": "CC BY 4.0"})
    assert [row["status"] for row in run(tmp_path, videos).values()] == ["ok", "gone", "ok"]

    def again(**settings: Any) -> tuple[list[str], set[str]]:
        del site.asked[:]
        return [row["status"] for row in run(tmp_path, videos, **settings).values()], {path for path, _ in site.asked}

    assert again(ratelimit=10**9, retries=0, cookies=None) == (["ok", "gone", "ok"], set())
    assert again(license="CC.BY") == (["unusable", "gone", "ok"], {"/not_found/2.mp4"})
    assert again(max_duration=1.5)[0] == ["unusable", "gone", "unusable"]
    statuses, asked = again(max_duration=2.5)
    assert statuses == ["ok", "gone", "ok"] and "/plain/1.mp4" in asked
    statuses, asked = again(max_duration=2.5, captions=["de"])
    assert statuses == ["ok", "gone", "ok"] and "/plain/1.mp4" not in asked
    statuses, asked = again(format="best", max_duration=2.5)
    assert statuses == ["ok", "gone", "ok"] and {"/plain/1.mp4", "/plain/3.mp4"} <= asked


def test_a_skip_in_silence_is_caught(tmp_path, site):
    """yt-dlp passes over a video of this kind without an error, and without a file."""
    row = run(tmp_path, listed(tmp_path, {"v": f"{site.address}/plain/1.mp4"}), options={"rejecttitle": "1"})["v"]
    assert row["status"] == "unusable"
    assert "gave no file" in row["reason"] or "reject" in row["reason"]


def test_settings_are_passed_on_in_yt_dlps_words(tmp_path, site, monkeypatch):
    cookies = tmp_path / "cookies.txt"
    cookies.write_text(
        "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t4102444800\tsession\tsecret-cookie-17\nnonsense\n",
        encoding="utf-8",
    )
    before = cookies.read_bytes()
    monkeypatch.setenv("API_TOKEN", "secret-token-23")
    options = {"http_headers": {"Authorization": "Bearer ${API_TOKEN}"}, "format_sort": ["res:64"]}
    videos = listed(
        tmp_path, {"v": f"{site.address}/plain/1.mp4", "w": f"{site.address}/forbidden/secret-token-23.mp4"}
    )
    job = start(videos, "0000", tmp_path, cookies=cookies, options=options, ratelimit=10**6, sleep_interval=0.1)
    seen = b"" if sys.platform != "linux" else Path(f"/proc/{job.pid}/cmdline").read_bytes()
    assert job.wait() == 0
    assert {headers.get("Cookie") for headers in site.headers} == {"session=secret-cookie-17"}
    assert {headers.get("Authorization") for headers in site.headers} == {"Bearer secret-token-23"}
    assert cookies.read_bytes() == before
    written = b"".join(path.read_bytes() for path in (tmp_path / "0000").glob("*") if path.is_file())
    log = (tmp_path / "0000.log").read_bytes()
    assert b"no cookies in line 3" in log and b"HTTP Error 403" in log
    assert b"secret-cookie-17" not in written + log + seen and b"secret-token" not in log + seen
    with web() as proxy:
        proxy.pages[f"{site.address}/plain/5.mp4"] = ("text/html", b"<html><title>By the proxy</title></html>")
        monkeypatch.setenv("PROXY_PASSWORD", "secret-proxy-42")
        address = proxy.address.replace("http://", "http://user:${PROXY_PASSWORD}@")
        row = run(tmp_path / "by", listed(tmp_path, {"v": f"{site.address}/plain/5.mp4"}), proxy=address)["v"]
        assert proxy.asked and row["status"] == "unusable"
        assert "Basic" in proxy.headers[0]["Proxy-Authorization"] and "secret" not in row["reason"]


def test_a_video_in_pieces_arrives_whole_or_not_at_all(tmp_path, site, monkeypatch):
    """An HLS playlist over http is followed; a piece that is missing costs the video, and leaves no hole in it."""
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2"]
    for number in range(2):
        site.pages[f"/{number}.ts"] = ("video/mp2t", write_video(tmp_path / f"{number}.ts").read_bytes())
        lines += ["#EXT-X-DISCONTINUITY", "#EXTINF:2,", f"/{number}.ts"]
    type_ = "application/vnd.apple.mpegurl"
    site.pages["/whole.m3u8"] = (type_, "\n".join([*lines, "#EXT-X-ENDLIST"]).encode())
    site.pages["/hole.m3u8"] = (type_, "\n".join([*lines, "#EXTINF:2,", "/2.ts", "#EXT-X-ENDLIST"]).encode())
    key = '#EXT-X-KEY:METHOD=AES-128,URI="ftp://127.0.0.1/key"'
    site.pages["/key.m3u8"] = (type_, "\n".join([lines[0], lines[1], key, *lines[2:], "#EXT-X-ENDLIST"]).encode())
    # Encrypted in the usual way, which yt-dlp would leave to ffmpeg where there is one.
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    locked = aes_cbc_encrypt_bytes(site.pages["/0.ts"][1], b"k" * 16, bytes(16), padding_mode="pkcs7")
    site.pages |= {"/locked.ts": ("video/mp2t", locked), "/k": ("binary/octet-stream", b"k" * 16)}
    locked_lines = [*lines[:2], '#EXT-X-KEY:METHOD=AES-128,URI="/k"', "#EXTINF:2,", "/locked.ts", "#EXT-X-ENDLIST"]
    site.pages["/locked.m3u8"] = (type_, "\n".join(locked_lines).encode())
    names = ["whole", "hole", "key", "locked"]
    rows = run(tmp_path, listed(tmp_path, {name: f"{site.address}/{name}.m3u8" for name in names}), max_blocked=1)
    assert [rows[name]["status"] for name in names] == ["ok", "gone", "unusable", "ok"]
    assert rows["whole"]["duration"] > 3.5 and "only http and https are followed" in rows["key"]["reason"]


@pytest.mark.parametrize("honest", [True, False])
def test_pictures_and_sound_that_come_apart_are_joined(tmp_path, site, honest):
    """By ffmpeg, which reads what has come, and no playlist that poses as sound and names other files."""
    sound = tmp_path / "sound.m4a"
    with av.open(str(sound), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        for _ in range(30):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 16000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (tmp_path / "secret.m4a").write_bytes(sound.read_bytes())
    posing = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{tmp_path}/secret.m4a\n#EXT-X-ENDLIST\n".encode()
    site.pages["/sound.m4a"] = ("audio/mp4", sound.read_bytes() if honest else posing)
    sets = ""
    for kind, codec, url in (("video", "avc1.42E01E", "/plain/1.mp4"), ("audio", "mp4a.40.2", "/sound.m4a")):
        stream = f"<Representation id='{kind}' bandwidth='9' codecs='{codec}' height='360'><BaseURL>{url}</BaseURL>"
        sets += f"<AdaptationSet mimeType='{kind}/mp4'>{stream}</Representation></AdaptationSet>"
    manifest = "<MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static' mediaPresentationDuration='PT2S'>"
    site.pages["/apart"] = ("application/dash+xml", f"{manifest}<Period>{sets}</Period></MPD>".encode())
    row = run(tmp_path, listed(tmp_path, {"v": f"{site.address}/apart"}))["v"]
    if honest:
        assert (row["status"], row["reason"], row["has_audio"], row["width"]) == ("ok", "", True, 64)
    else:
        assert row["status"] == "unusable", row


def test_other_ways_than_http_are_not_followed(tmp_path, site):
    """Neither by yt-dlp itself nor by the programs that it would start: rtmpdump, ffmpeg, mplayer."""
    for way in ("rtmp", "mms", "ftp", "file"):
        page = f"<title>Onion</title><video src='{way}://127.0.0.1/etc/hostname.mp4'></video>"
        site.pages[f"/{way}"] = ("text/html", page.encode())
    key = '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="/key"'
    playlist = "\n".join(["#EXTM3U", "#EXT-X-TARGETDURATION:2", key, "#EXTINF:2,", "/0.ts", "#EXT-X-ENDLIST"])
    site.pages["/ffmpeg"] = ("application/vnd.apple.mpegurl", playlist.encode())
    names = ["rtmp", "mms", "ftp", "file", "ffmpeg"]
    rows = run(tmp_path, listed(tmp_path, {name: f"{site.address}/{name}" for name in names}), retries=0)
    assert {row["status"] for row in rows.values()} == {"unusable"}
    assert all("only http" in row["reason"] or "only ffmpeg" in row["reason"] for row in rows.values()), rows
    assert not any(path in ("/key", "/0.ts") for path, _ in site.asked)


def test_captions_are_chosen_by_language_and_author(tmp_path, site):
    tracks = "".join(f"<track kind='subtitles' srclang='{tag}' src='/captions/{tag}.vtt'>" for tag in ("de", "en-GB"))
    site.pages["/talk"] = ("text/html", f"<title>T</title><video src='/plain/1.mp4'>{tracks}</video>".encode())
    videos = listed(tmp_path, {"v": f"{site.address}/talk"})
    assert run(tmp_path, videos, captions=["en"])["v"]["captions"] == ""
    assert run(tmp_path, videos, captions=["en.*", "de"])["v"]["captions"] == "v.en-GB.vtt"
    assert run(tmp_path, videos, captions=[])["v"]["captions"] == ""
    # Of a site that says which are a machine's: people's first, then the machine's if that is wanted.
    forms = [{"ext": "json3", "url": "x"}, {"ext": "vtt", "url": "y"}]
    info = {"subtitles": {"de": forms}, "automatic_captions": {"en": forms, "de": forms}}
    for automatic, expected in {True: ("en", True), False: ("de", False)}.items():
        settings = SETTINGS | {"captions": ["en", "de"], "automatic_captions": automatic}
        site_ = Site(*classes(settings), [])
        tag, form, by_machine = site_._chosen(info)
        site_.close()
        assert (tag, by_machine, form["ext"]) == (*expected, "vtt")


def test_waits_and_limits_are_kept(tmp_path, site):
    def took(kind: str, **settings: Any) -> tuple[str, float, int]:
        del site.asked[:]
        began = time.monotonic()
        (row,) = run(tmp_path / kind, listed(tmp_path, {"v": f"{site.address}/{kind}/1.mp4"}), **settings).values()
        return row["status"], time.monotonic() - began, len(site.asked)

    assert took("busy", retries=0)[::2] == ("transient", 1)
    status, seconds, asked = took("busy", retries=2)  # after 1 and 2 seconds
    assert (status, asked) == ("transient", 3) and seconds > 3
    status, seconds, asked = took("wait_once", retries=1)  # the server says 1 second
    assert status == "ok" and seconds > 1
    assert took("too_many", retries=3)[::2] == ("blocked", 1)  # the server says a day
    status, seconds, _ = took("plain", ratelimit=40_000)
    assert status == "ok" and seconds > 0.8
    assert took("no_range", sleep_interval=1.2)[1] > 1.2
    status, *_ = took("slow_but_sure", time_limit=0.4)  # takes a second
    assert status == "transient"


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("[youtube] abc: Private video. Sign in if you've been granted access to this video", "gone"),
        ("[youtube] abc: Video unavailable. This video has been removed by the uploader", "gone"),
        ("[youtube] abc: This video is no longer available because the YouTube account was terminated", "gone"),
        (
            "[youtube] abc: Video unavailable. It contains content from UMG, who has blocked it on copyright grounds",
            "gone",
        ),
        ("[youtube] abc: Sign in to confirm you’re not a bot. Use --cookies-from-browser or --cookies", "blocked"),
        ("[youtube] abc: Sign in to confirm your age. This video may be inappropriate for some users", "blocked"),
        ("[youtube] abc: The uploader has not made this video available in your country", "blocked"),
        ("[youtube] abc: Join this channel to get access to members-only content", "blocked"),
        ("[youtube] abc: This content isn't available, try again later. Your account has been rate-limited", "blocked"),
        ("[vimeo] 1: This video is protected by a password, use the --video-password option", "blocked"),
        ("[youtube] abc: Premieres in 3 hours", "transient"),
        ("[youtube] abc: This live event will begin in 2 days.", "transient"),
        ("[generic] a: Unable to download webpage: timed out", "transient"),
        ("[youtube] abc: Requested format is not available. Use --list-formats", "unusable"),
        ("[nebula] a: This video is DRM protected", "unusable"),
    ],
)
def test_what_sites_say_has_its_class(said, status):
    assert video_error(ExtractorError(said, expected=True)).status == status


def test_a_full_disk_is_one_line_and_no_class():
    """It would be the same for every video that follows."""
    with pytest.raises(UserError, match="make room"):
        video_error(
            DownloadError("unable to write data", (OSError, OSError(errno.ENOSPC, "No space left on device"), None))
        )


def test_youtube_without_javascript_says_what_to_install(monkeypatch, capfd):
    monkeypatch.setenv("PATH", "")
    Site(*classes(SETTINGS), ["https://www.youtube.com/watch?v=abc"]).close()
    assert "pip install 'yt-dlp[default,deno]'" in capfd.readouterr().err
    Site(*classes(SETTINGS), ["https://vimeo.com/1"]).close()
    assert not capfd.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"options": {"sleepinterval_requests": 1}}, "did you mean sleep_interval_requests"),
        ({"options": {"nonsense": 1}}, "is not an option of yt-dlp"),
        ({"options": {"outtmpl": "/etc/x"}}, "cannot be set"),
        ({"options": {"cookiefile": "x"}}, "has a setting of its own: download.cookies"),
        ({"options": {"password": "hunter2"}}, "download.options.password holds a secret"),
        ({"options": {"http_headers": {"Cookie": "hunter2"}}}, "holds a secret"),
        ({"proxy": "http://me:hunter2@host:1"}, "download.proxy holds a secret"),
        ({"proxy": "http://${NO_SUCH_NAME}@host:1"}, "the environment has no variable NO_SUCH_NAME"),
        ({"cookies": Path("/no/such/cookies.txt")}, "there is no such file"),
        ({"cookies": Path(__file__)}, "holds no cookies"),
        ({"license": "(cc"}, "is no regular expression"),
        ({"format": "best[height>"}, "yt-dlp does not take these settings"),
    ],
)
def test_a_mistake_in_the_settings_is_one_line_without_secrets(tmp_path, site, settings, message):
    with pytest.raises(UserError) as error:
        run(tmp_path, listed(tmp_path, {"v": f"{site.address}/plain/1.mp4"}), **settings)
    assert message in str(error.value) and "hunter2" not in str(error.value) and "\n" not in str(error.value)
    assert not site.asked


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def listed(tmp_path: Path, sources: dict[str, str], shard_size: int = 100, **columns: dict[str, str]) -> dict[str, Any]:
    """Writes the list of videos; gives the arguments that name it."""
    rows = ["\t".join(["id", "source", *columns])]
    rows += [
        "\t".join([key, source, *(column.get(key, "") for column in columns.values())])
        for key, source in sources.items()
    ]
    path = tmp_path / "videos.tsv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return {"videos": path, "register": tmp_path / "register.parquet", "shard_size": shard_size}


def run(tmp_path: Path, videos: dict[str, Any], **settings: Any) -> dict[str, dict[str, Any]]:
    """Downloads the first shard; gives the ledger's rows by id."""
    output = tmp_path / "0000" / "ledger.parquet"
    output.unlink(missing_ok=True)  # as Snakemake does
    download(**videos, shard="0000", output=output, **{**SETTINGS, **settings})
    return {row["video_id"]: row for row in read_table(output).to_pylist()}


def start(videos: dict[str, Any], shard: str, tmp_path: Path, **settings: Any) -> subprocess.Popen:
    """Downloads a shard as the workflow does, in a process of its own."""
    folder = tmp_path / shard
    given = {**videos, "shard": shard, "ledger": folder / "ledger.parquet", "steps": folder / "steps.tsv"}
    given |= {**SETTINGS, **settings}
    given["id_register"] = given.pop("register")
    texts = {key: value if isinstance(value, str) else json.dumps(value, default=str) for key, value in given.items()}
    flags = [f"--{key}={text.strip(chr(34)) if isinstance(given[key], Path) else text}" for key, text in texts.items()]
    with open(tmp_path / f"{shard}.log", "w", encoding="utf-8") as log:
        return subprocess.Popen([sys.executable, "-m", "videobert", "download", *flags], cwd=ROOT, stderr=log)
