"""Transport streams, byte by byte."""


def restamped(stream: bytes, kind: bytes, number: int, seconds: int) -> bytes:
    """A transport stream in which the n-th packet of sound (kind c0) or pictures (e0) has a time so much later."""
    data, place = bytearray(stream), -1
    for _ in range(number):
        place = data.index(b"\0\0\1" + kind, place + 1)
    a, b, c, d, e = data[place + 9 : place + 14]  # 33 bits among others
    time = (a >> 1 & 7) << 30 | b << 22 | c >> 1 << 15 | d << 7 | e >> 1
    time = (time + 90_000 * seconds) % (1 << 33)
    data[place + 9] = a & 0xF1 | time >> 30 << 1
    data[place + 10 : place + 12] = (time >> 14 & 0xFFFE | 1).to_bytes(2, "big")
    data[place + 12 : place + 14] = ((time << 1) & 0xFFFE | 1).to_bytes(2, "big")
    return bytes(data)
