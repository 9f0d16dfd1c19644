"""The encoding of captions that strangers wrote: UTF-8, UTF-16, or an old one that can be told by the letters.

WebVTT has to be UTF-8; SubRip has no rule but old programs, which wrote in the code page of their language. charset-normalizer
measures how much of a text is noise in each (`chaos`) and how far its letters are those of a language (`coherence`). The
captions' own language decides between readings that are as good. What cannot be told is refused: letters of another
alphabet would be learnt as words.
"""

import codecs
from typing import TYPE_CHECKING

from videobert.errors import Status, VideoError

if TYPE_CHECKING:
    from charset_normalizer import CharsetMatch

MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16's, with which it begins
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
WESTERN = ("cp1252",)
CODE_PAGES = {
    **dict.fromkeys(("be", "bg", "kk", "mk", "mn", "ru", "sr", "uk"), ("cp1251", "koi8_r")),
    **dict.fromkeys(("bs", "cs", "hr", "hu", "pl", "ro", "sk", "sl", "sq"), ("cp1250",)),
    **dict.fromkeys(("et", "lt", "lv"), ("cp1257",)),
    **dict.fromkeys(("ar", "fa", "ur"), ("cp1256",)),
    **dict.fromkeys(("az", "tr"), ("cp1254",)),
    **dict.fromkeys(("he", "iw", "yi"), ("cp1255",)),
    "el": ("cp1253",),
    "ja": ("cp932", "euc_jp"),
    "ko": ("cp949",),
    "th": ("cp874",),
    "vi": ("cp1258",),
    "zh": ("gb18030", "big5"),
}
KNOWN = sorted({page for pages in CODE_PAGES.values() for page in pages} | set(WESTERN))
SAMPLE = 200_000  # bytes of lines with other letters than ASCII's; a tenth of it is enough
NOISE, BETTER = 0.1, 0.01  # chaos that is too much; and a difference that counts
LANGUAGE, NEARLY = 0.2, 0.05  # coherence of what is a language; and a difference that is none
DAMAGE = 3  # so many broken bytes are damage, and no encoding can be told by them


def encoding_of(data: bytes, language: str) -> str:
    """The encoding of a caption file; `language` is the code of its language, und when unknown.

    Raises VideoError("unusable") when it cannot be told.
    """
    if marked := next((name for mark, name in MARKS.items() if data.startswith(mark)), ""):
        return marked
    if wide := _unmarked_utf16(data[:4000]):
        return wide
    try:
        data.decode()
    except UnicodeDecodeError:
        return _old(data, language)
    return "utf-8-sig"


def _unmarked_utf16(data: bytes) -> str:
    """UTF-16 without a mark, by the zeros of its ASCII: every second byte, for the times are ASCII."""
    even, odd = data[::2].count(0), data[1::2].count(0)
    if min(even, odd) * 10 > max(even, odd) or max(even, odd) * 5 < len(data):
        return ""
    return "utf-16-be" if even > odd else "utf-16-le"


def _old(data: bytes, language: str) -> str:
    text = data.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    right = sum(character > "\x7f" for character in text) - broken
    if b"-->" not in data or right >= 10 * broken:  # no captions; or UTF-8 with some damage
        return "utf-8-sig"
    lines = b"\n".join(line for line in data.splitlines() if not line.isascii())
    if found := _told(lines[:SAMPLE].rsplit(b"\n", 1)[0] if len(lines) > SAMPLE else lines, language):
        return found
    if broken <= DAMAGE:
        return "utf-8-sig"
    raise VideoError(
        Status.UNUSABLE, "its captions are in an encoding that cannot be told for sure: save them as UTF-8"
    )


def _told(lines: bytes, language: str) -> str:
    """The encoding of lines that are not UTF-8, "" when there is more than one that it may be."""
    from charset_normalizer import from_bytes

    matches = list(from_bytes(lines, cp_isolation=KNOWN))
    for page in CODE_PAGES.get(language, WESTERN):
        own = from_bytes(lines, cp_isolation=[page]).best()
        if own and own.chaos <= NOISE and (language in CODE_PAGES or not any(_clearly(it, own) for it in matches)):
            return page
    if not matches:
        return ""
    best = min(matches, key=lambda match: (match.chaos, -match.coherence))
    as_good = [match for match in matches if match is not best and match.chaos <= best.chaos + BETTER]
    sure = best.chaos <= NOISE and best.coherence >= LANGUAGE
    return best.encoding if sure and all(match.coherence < best.coherence - NEARLY for match in as_good) else ""


def _clearly(other: "CharsetMatch", own: "CharsetMatch") -> bool:
    """Whether another reading is better: less noise in no less of a language, or no more noise in more of one."""
    less_noise = other.chaos < own.chaos - BETTER and other.coherence >= own.coherence
    return less_noise or (other.chaos <= own.chaos and other.coherence >= own.coherence + NEARLY - 1e-9)
