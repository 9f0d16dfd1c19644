"""A list of videos from what a user names: pages with several videos, feeds, searches; a table that can be run."""

import csv
import io

import pytest
from hostile_web import web

from videobert.data.manifest import read_list
from videobert.errors import UserError
from videobert.web.discover import _videos, discover


def table(capsys: pytest.CaptureFixture) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out), delimiter="\t", strict=True))


def test_a_feed_and_a_page_with_several_videos_become_a_list(tmp_path, capsys):
    with web() as site:
        items = [f"<item><title>Onions {n}</title><link>{site.address}/page/{n}.mp4</link></item>" for n in range(3)]
        items += [
            '<item><title>\u202eA "tab"\t and a line\nbreak</title><link>' + f"{site.address}/page/9.mp4</link></item>"
        ]
        items += ["<item><title>secret</title><link>file:///etc/passwd</link></item>", items[0]]
        feed = f"<rss version='2.0'><channel><title>All</title>{''.join(items)}</channel></rss>"
        site.pages["/feed"] = ("application/rss+xml", feed.encode())
        discover([f"{site.address}/feed", f"{site.address}/two/5.mp4", f"{site.address}/page/7.mp4"])
        rows = table(capsys)
        asked = {path for path, _ in site.asked}
    assert [row["source"].removeprefix(site.address) for row in rows] == [
        *(f"/page/{number}.mp4" for number in (0, 1, 2, 9)),
        "/plain/5.mp4",
        "/plain/1005.mp4",
        "/page/7.mp4",
    ]
    assert rows[0]["title"] == "Onions 0" and "tab" in rows[3]["title"] and "\u202e" not in rows[3]["title"]
    assert asked == {"/feed", "/two/5.mp4", "/page/7.mp4"}, "the videos' own pages are not asked for"
    with open(tmp_path / "videos.tsv", "w", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)
    assert [row["source"] for row in read_list(tmp_path / "videos.tsv")] == [row["source"] for row in rows]


def test_a_query_that_fails_costs_only_itself(capsys):
    with web() as site:
        queries = [
            "how to slice",
            f"{site.address}/forbidden/1.mp4",
            "file:///etc/passwd",
            f"{site.address}/page/1.mp4",
        ]
        with pytest.raises(UserError) as error:
            discover(queries)
        assert [row["source"] for row in table(capsys)] == [queries[-1]]
    for message in ("how to slice: unusable: it is neither a URL nor a search", "blocked", "file:///etc/passwd"):
        assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_tabs_and_playlists_of_a_channel_are_followed(monkeypatch):
    """As YouTube's extractor gives them: videos, lost videos, and playlists by their address."""

    class Extractor:
        def __init__(self, kind):
            self._RETURN_TYPE = kind

    class YtDlp:
        def get_info_extractor(self, key):
            return Extractor({"Youtube": "video", "YoutubeTab": "any"}[key])

        def extract_info(self, url, download):
            return {"_type": "playlist", "entries": [link("c", "Third"), link("", "a loop", "YoutubeTab", url)]}

    def link(video, title, key="Youtube", url=None):
        url = url or f"https://www.youtube.com/watch?v={video}"
        return {"_type": "url", "url": url, "ie_key": key, "title": title, "duration": 61.4}

    tab = {"_type": "playlist", "entries": [link("a", "First"), link("x", "[Private video]")]}
    playlist = link("", "A list", "YoutubeTab", "https://www.youtube.com/playlist?list=PL")
    channel = {"_type": "playlist", "entries": [tab, {"_type": "playlist", "entries": [playlist]}, None]}
    found = list(_videos(YtDlp(), channel))
    assert [row[1] for row in found[:2]] == ["First", "Third"]
    assert {row[0][-1] for row in found} == {"a", "c"} and found[0][2] == "61"
