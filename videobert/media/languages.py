"""Languages as files name them, and as Whisper does.

Containers tag a stream with three letters (ISO 639-2, which for some languages has two spellings: `ger` and `deu`), newer
ones also with `en-US`; Whisper and the settings say `en`.
"""

# Two letters and all that stands for them, of the languages that Whisper knows.
_CODES = """
af:afr am:amh ar:ara as:asm az:aze ba:bak be:bel bg:bul bn:ben bo:bod,tib br:bre bs:bos ca:cat cs:ces,cze cy:cym,wel da:dan
de:deu,ger el:ell,gre en:eng es:spa et:est eu:eus,baq fa:fas,per fi:fin fo:fao fr:fra,fre gl:glg gu:guj ha:hau he:heb hi:hin
hr:hrv ht:hat hu:hun hy:hye,arm id:ind is:isl,ice it:ita ja:jpn jw:jv,jav ka:kat,geo kk:kaz km:khm kn:kan ko:kor la:lat lb:ltz
ln:lin lo:lao lt:lit lv:lav mg:mlg mi:mri,mao mk:mkd,mac ml:mal mn:mon mr:mar ms:msa,may mt:mlt my:mya,bur ne:nep nl:nld,dut
nn:nno no:nor,nb,nob oc:oci pa:pan pl:pol ps:pus pt:por ro:ron,rum ru:rus sa:san sd:snd si:sin sk:slk,slo sl:slv sn:sna so:som
sq:sqi,alb sr:srp su:sun sv:swe sw:swa ta:tam te:tel tg:tgk th:tha tk:tuk tl:tgl,fil tr:tur tt:tat uk:ukr ur:urd uz:uzb vi:vie
yi:yid yo:yor zh:zho,chi,cmn
"""
_SHORT = {long: short for short, longs in (entry.split(":") for entry in _CODES.split()) for long in longs.split(",")}
# Tags that name no language: undetermined, several, none, not coded.
_UNKNOWN = ("", "und", "mul", "zxx", "mis", "unk")


def language_code(tag: str) -> str:
    """A stream's tag (`ger`, `de-AT`) as Whisper's code (`de`); "" when it names no language, the tag itself if unknown."""
    main = tag.strip().lower().replace("_", "-").split("-")[0]
    return "" if main in _UNKNOWN else _SHORT.get(main, main)
