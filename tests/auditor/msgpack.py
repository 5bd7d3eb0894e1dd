"""MessagePack as this protocol uses it: https://github.com/msgpack/msgpack/blob/master/spec.md

Narrower than the specification, so that a value has exactly one encoding: numbers and lengths are
in their shortest form, a message is one value with nothing after it, at most 16 levels deep.
Structures are arrays, by position. `bytes` are `bin`, `str` is `str`, floats are 64 bits.
"""

import struct

DEPTH_MAX = 16


class Refused(Exception):
    """Bytes that are not what they should be."""


def unpack(data, max_bytes):
    """The one value in `data`."""
    if len(data) > max_bytes:
        raise Refused(f"{len(data)} bytes, at most {max_bytes} are allowed")
    reader = _Reader(data)
    value = reader.value(0)
    if reader.at != len(data):
        raise Refused(f"{len(data) - reader.at} bytes follow the message")
    return value


class _Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        part = self.data[self.at : self.at + count]
        if len(part) != count:
            raise Refused("the message ends in the middle of a value")
        self.at += count
        return part

    def number(self, width, least):
        n = int.from_bytes(self.take(width), "big")
        if n < least:
            raise Refused("not in its shortest encoding")
        return n

    def negative(self, width, below):
        n = int.from_bytes(self.take(width), "big", signed=True)
        if n >= below:
            raise Refused("not in its shortest encoding")
        return n

    def items(self, count, depth):
        if count and depth >= DEPTH_MAX:
            raise Refused("nested deeper than 16 levels")
        return [self.value(depth + 1) for _ in range(count)]

    def text(self, count):
        try:
            return self.take(count).decode()
        except UnicodeDecodeError:
            raise Refused("a text that is not UTF-8") from None

    def pairs(self, count, depth):
        items = self.items(2 * count, depth)
        return tuple(zip(items[::2], items[1::2]))

    def value(self, depth):
        m = self.take(1)[0]
        if m <= 0x7F:
            return m
        if m <= 0x8F:
            return self.pairs(m & 0x0F, depth)
        if m <= 0x9F:
            return self.items(m & 0x0F, depth)
        if m <= 0xBF:
            return self.text(m & 0x1F)
        if m >= 0xE0:
            return m - 0x100
        match m:
            case 0xC0:
                return None
            case 0xC2 | 0xC3:
                return m == 0xC3
            case 0xC4:
                return self.take(self.number(1, 0))
            case 0xC5:
                return self.take(self.number(2, 0x100))
            case 0xC6:
                return self.take(self.number(4, 0x10000))
            case 0xCB:
                return struct.unpack(">d", self.take(8))[0]
            case 0xCC:
                return self.number(1, 0x80)
            case 0xCD:
                return self.number(2, 0x100)
            case 0xCE:
                return self.number(4, 0x10000)
            case 0xCF:
                return self.number(8, 0x100000000)
            case 0xD0:
                return self.negative(1, -0x20)
            case 0xD1:
                return self.negative(2, -0x80)
            case 0xD2:
                return self.negative(4, -0x8000)
            case 0xD3:
                return self.negative(8, -0x80000000)
            case 0xD9:
                return self.text(self.number(1, 32))
            case 0xDA:
                return self.text(self.number(2, 0x100))
            case 0xDB:
                return self.text(self.number(4, 0x10000))
            case 0xDC:
                return self.items(self.number(2, 16), depth)
            case 0xDD:
                return self.items(self.number(4, 0x10000), depth)
        # 32-bit floats, extension types, long maps and 0xc1: no message of this protocol has them.
        raise Refused(f"byte {m:#x} stands in no message of this protocol")


def pack(value):
    """The shortest encoding."""
    match value:
        case None:
            return b"\xc0"
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int():
            return _pack_int(value)
        case float():
            return b"\xcb" + struct.pack(">d", value)
        case bytes():
            return _head(len(value), None, [(0xC4, 1), (0xC5, 2), (0xC6, 4)]) + value
        case str():
            data = value.encode()
            return _head(len(data), (0xA0, 32), [(0xD9, 1), (0xDA, 2), (0xDB, 4)]) + data
        case list():
            return _head(len(value), (0x90, 16), [(0xDC, 2), (0xDD, 4)]) + b"".join(map(pack, value))
    raise TypeError(type(value))


def _head(length, short, wide):
    if short and length < short[1]:
        return bytes([short[0] | length])
    for marker, width in wide:
        if length < 1 << 8 * width:
            return bytes([marker]) + length.to_bytes(width, "big")
    raise OverflowError(length)


def _pack_int(n):
    if -0x20 <= n <= 0x7F:
        return n.to_bytes(1, "big", signed=n < 0)
    if n > 0:
        for marker, width in [(0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8)]:
            if n < 1 << 8 * width:
                return bytes([marker]) + n.to_bytes(width, "big")
    for marker, width in [(0xD0, 1), (0xD1, 2), (0xD2, 4), (0xD3, 8)]:
        if n < 0 and n >= -(1 << 8 * width - 1):
            return bytes([marker]) + n.to_bytes(width, "big", signed=True)
    raise OverflowError(n)
