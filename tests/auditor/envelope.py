"""The signed envelope, and what stands in it: a second implementation, for an auditor to read.

    signed = "DSSEv1" SP len(type) SP type SP len(body) SP body
    wire   = [1, type, body:bin, [[keyid:bin8, sig:bin64]]]

Everything that a device sends and that a collector answers travels like this. The body is opened
only after its signature was found good, and it is the very bytes that were signed; nothing is
ever encoded again to be compared. The key id (the first 8 bytes of the key's SHA-256) only helps
to find the key. One good envelope has one form: a changed byte anywhere makes it a bad one.

The hash of a body is the link of a device's chain: each batch names the hash of the one before
(`prev`), and an acknowledgement names the hash of the newest batch that is on the collector's
disk. A device deletes a batch only for an acknowledgement with its own hash, signed by the
collector's acknowledgement key.

Needs Debian's python3-zstandard; Ed25519 and MessagePack are beside this file. Usage:

    python3 envelope.py show KEY-IN-HEX < ENVELOPE      says what is in it, or why it is refused
    python3 envelope.py verify < VECTORS                one JSON verdict for each JSON line
    python3 envelope.py make < PLANS                    one envelope in hex for each JSON line
"""

import hashlib
import json
import math
import struct
import sys

import ed25519
import zstandard
from msgpack import Refused, pack, unpack

BODY_BYTES_MAX = 256 * 1024
ENVELOPE_BYTES_MAX = BODY_BYTES_MAX + 4 * 1024
MESSAGE_BYTES_MAX = 64 * 1024
PLAIN_BYTES_MAX = 1024 * 1024
PLAIN_RATIO_MAX = 20
RECORD_BYTES_MAX = 8 * 1024 - 64
RECORDS_MAX, GAPS_MAX, QUANTITIES_MAX = 1000, 512, 128

TYPE = "application/vnd.tenken.{}.v1+msgpack"
BATCH = TYPE.format("batch") + "+zstd"
STUB, ACK, REJECT = TYPE.format("stub"), TYPE.format("ack"), TYPE.format("reject")


class Verdict(Exception):
    """Why an envelope is not believed: `outer`, `type`, `key`, `signature` or `content`."""


# --- the envelope -------------------------------------------------------------------------------


def key_id(key):
    return hashlib.sha256(key).digest()[:8]


def pre_authentication(kind, body):
    kind = kind.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)


def seal(kind, body, seed):
    signature = ed25519.sign(seed, pre_authentication(kind, body))
    return pack([1, kind, body, [[key_id(ed25519.public_key(seed)), signature]]])


def open_envelope(wire, kind, key):
    """The value inside, or a Verdict; the checks stand in the protocol's order."""
    try:
        outer = unpack(wire, ENVELOPE_BYTES_MAX)
        version, its_kind, body, signatures = shape(outer, int, str, bytes, list)
        if version != 1 or len(signatures) != 1:
            raise Refused("another version, or not one signature")
        its_key, signature = shape(signatures[0], bytes, bytes)
        if len(its_key) != 8 or len(signature) != 64:
            raise Refused("a key id has 8 bytes, a signature 64")
    except Refused as why:
        raise Verdict("outer") from why
    if its_kind != kind:
        raise Verdict("type")
    if its_key != key_id(key):
        raise Verdict("key")
    if not ed25519.verify(key, pre_authentication(kind, body), signature):
        raise Verdict("signature")
    try:
        return CONTENT[kind](body)
    except Refused as why:
        raise Verdict("content") from why


# --- shapes -------------------------------------------------------------------------------------


def shape(value, *kinds):
    """An array of just these kinds of values."""
    if not isinstance(value, list) or len(value) != len(kinds):
        raise Refused("an array of another length")
    if any(type(item) is not kind for item, kind in zip(value, kinds)):
        raise Refused("a value of another type")
    return value


def unsigned(value, bits):
    if type(value) is not int or not 0 <= value < 1 << bits:
        raise Refused(f"no number of {bits} bits")
    return value


def signed(value):
    if type(value) is not int or not -(1 << 63) <= value < 1 << 63:
        raise Refused("no signed number of 64 bits")
    return value


def fixed(value, length):
    if type(value) is not bytes or len(value) != length:
        raise Refused(f"no {length} bytes")
    return value.hex()


def code(value, codes):
    if unsigned(value, 8) not in codes:
        raise Refused("a code that version 1 does not have")
    return value


def name(value):
    """1 to 64 characters without a blank: no free text fits in, and with it no patient's name."""
    allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/@-"
    if type(value) is not str or not 1 <= len(value) <= 64 or any(c not in allowed for c in value):
        raise Refused("no name")
    return value


def array(value, longest=None):
    if type(value) is not list or longest is not None and len(value) > longest:
        raise Refused("no array, or one that is too long")
    return value


# --- contents -----------------------------------------------------------------------------------


def ack(body):
    """Everything up to `acked_seq`, whose body has the hash, is on the collector's disk."""
    fields = array(unpack(body, MESSAGE_BYTES_MAX))
    if len(fields) != 10:
        raise Refused("an array of another length")
    device, epoch, seq, digest, server, nonce, position, root, retry, need = fields
    return {
        "device": fixed(device, 16),
        "epoch": unsigned(epoch, 32),
        "acked_seq": unsigned(seq, 64),
        "hash": fixed(digest, 32),
        "server": signed(server),
        "echo_nonce": fixed(nonce, 16),
        "position": unsigned(position, 64),
        "log_root": fixed(root, 32),
        "retry_after_s": unsigned(retry, 32),
        "need_seq": None if need is None else unsigned(need, 64),
    }


def reject(body):
    """The collector will never take this link; only this lets a device give it up."""
    fields = array(unpack(body, MESSAGE_BYTES_MAX))
    if len(fields) != 7:
        raise Refused("an array of another length")
    device, epoch, seq, digest, reason, server, nonce = fields
    return {
        "device": fixed(device, 16),
        "epoch": unsigned(epoch, 32),
        "seq": unsigned(seq, 64),
        "hash": fixed(digest, 32),
        "reason": unsigned(reason, 8),
        "server": signed(server),
        "echo_nonce": fixed(nonce, 16),
    }


def batch(body):
    """One link of a device's chain: records, and declared losses with their reasons."""
    if len(body) > BODY_BYTES_MAX:
        raise Refused("a body that is too long")
    fields = array(unpack(decompress(body), PLAIN_BYTES_MAX))
    if len(fields) != 12:
        raise Refused("an array of another length")
    device, epoch, seq, prev, boot, mono, wall, clock, version, klass, records, gaps = fields
    offset, uncertainty, source = shape(clock, int, int, int)
    head = {
        "device": fixed(device, 16),
        "epoch": unsigned(epoch, 32),
        "seq": unsigned(seq, 64),
        "prev": fixed(prev, 32),
        "at": moment(boot, mono, wall),
        "clock": [signed(offset), unsigned(uncertainty, 32), code(source, range(2))],
        "agent_version": name(version),
        "class": code(klass, range(2)),
        "gaps": [gap(item) for item in array(gaps, GAPS_MAX)],
    }
    known, unknown = [], []
    for item in array(records, RECORDS_MAX):
        record(item, known, unknown)
    return head | {"records": known, "unknown": unknown}


def moment(boot, mono, wall):
    """Three clocks' worth: which start of the system, milliseconds since, and the wall clock."""
    return [fixed(boot, 16), unsigned(mono, 64), signed(wall)]


def gap(value):
    first, last, reason = shape(value, int, int, int)
    if unsigned(first, 64) > unsigned(last, 64):
        raise Refused("a gap that ends before it begins")
    return [first, last, code(reason, GAP_REASONS)]


GAP_REASONS = range(1, 9)


def stub(body):
    """In the place of a batch whose body is not sent any more: the same link, its records lost."""
    fields = array(unpack(body, MESSAGE_BYTES_MAX))
    if len(fields) != 7:
        raise Refused("an array of another length")
    device, epoch, seq, prev, body_hash, runs, reason = fields
    return {
        "device": fixed(device, 16),
        "epoch": unsigned(epoch, 32),
        "seq": unsigned(seq, 64),
        "prev": fixed(prev, 32),
        "body_hash": fixed(body_hash, 32),
        "records": [run(item) for item in array(runs, RECORDS_MAX)],
        "reason": code(reason, GAP_REASONS),
    }


def run(value):
    first, last = shape(value, int, int)
    if unsigned(first, 64) > unsigned(last, 64):
        raise Refused("a run that ends before it begins")
    return [first, last]


def record(value, known, unknown):
    """A record of a later version, or one that makes no sense, does not spoil its batch."""
    number, kind, boot, mono, wall, data = shape(value, int, int, bytes, int, int, bytes)
    head = [unsigned(number, 64), unsigned(kind, 16), *moment(boot, mono, wall)]
    try:
        known.append([*head, *RECORD[kind](array(unpack(data, RECORD_BYTES_MAX)))])
    except (Refused, KeyError):
        unknown.append(head[:2])


def about(category, subject):
    return [code(category, range(1, 15)), name(subject)]


def sample(fields):
    category, subject, probe, quantities = of_length(fields, 4)
    return [*about(category, subject), name(probe), [quantity(q) for q in array(quantities, QUANTITIES_MAX)]]


def check_result(fields):
    category, subject, probe, state = of_length(fields, 4)
    return [*about(category, subject), name(probe), code(state, range(4))]


def self_report(fields):
    category, subject, quantities, runs = of_length(fields, 4)
    quantities = [quantity(q) for q in array(quantities, QUANTITIES_MAX)]
    return [*about(category, subject), quantities, [probe_run(run) for run in array(runs)]]


def of_length(fields, length):
    if len(fields) != length:
        raise Refused("an array of another length")
    return fields


def quantity(value):
    """A number has a unit and is one: neither infinite nor "not a number"."""
    its_name, unit, number = shape(value, str, int, float)
    return [name(its_name), code(unit, range(1, 10)), finite(number)]


def finite(number):
    if type(number) is not float or not math.isfinite(number):
        raise Refused("not a number")
    return struct.pack(">d", number).hex()


def probe_run(value):
    probe, state, duration = shape(value, str, int, int)
    return [name(probe), code(state, range(7)), unsigned(duration, 32)]


def known(value, read):
    """What the device could not find out is nil."""
    return None if value is None else read(value)


def patch_status(fields):
    category, subject, probe, source, state, pending, security, *rest = of_length(fields, 13)
    oldest, index, applied, reboot, system, build = rest
    if reboot is not None and type(reboot) is not bool:
        raise Refused("neither yes nor no")
    counts = [known(n, lambda n: unsigned(n, 32)) for n in (pending, security)]
    times = [known(t, signed) for t in (oldest, index, applied)]
    states = [name(probe), code(source, range(1, 5)), code(state, range(6))]
    return [*about(category, subject), *states, *counts, *times, reboot, name(system), known(build, name)]


def pattern_file_status(fields):
    category, subject, probe, source, state, engine, version, defined = of_length(fields, 8)
    states = [name(probe), code(source, range(1, 8)), code(state, range(3))]
    return [*about(category, subject), *states, known(engine, name), known(version, name), known(defined, signed)]


def revision(fields):
    category, subject, probe, version = of_length(fields, 4)
    return [*about(category, subject), name(probe), name(version)]


def wear_counter(fields):
    category, subject, probe, value, life, direction = of_length(fields, 6)
    return [*about(category, subject), name(probe), quantity(value), known(life, finite), code(direction, (1, 2))]


def inventory(fields):
    category, subject, probe, items = of_length(fields, 4)
    pairs = [shape(item, int, str) for item in array(items)]
    return [*about(category, subject), name(probe), [[code(item, range(1, 9)), name(value)] for item, value in pairs]]


RECORD = {
    1: sample,
    2: check_result,
    3: self_report,
    4: patch_status,
    5: pattern_file_status,
    6: revision,
    7: wear_counter,
    8: inventory,
}
CONTENT = {BATCH: batch, STUB: stub, ACK: ack, REJECT: reject}


# --- compression --------------------------------------------------------------------------------


def decompress(body):
    """zstd frames one after another, at most 20 times as long and 1 MiB.

    A skippable frame (RFC 8878, 3.1.2) holds nothing: a device pads with it what shrinks so well
    that it would look like a bomb.
    """
    most = min(len(body) * PLAIN_RATIO_MAX, PLAIN_BYTES_MAX)
    plain, rest = bytearray(), body
    while rest:
        if int.from_bytes(rest[:4], "little") & 0xFFFFFFF0 == 0x184D2A50 and len(rest) >= 8:
            length = 8 + int.from_bytes(rest[4:8], "little")
            if length > len(rest):
                raise Refused("a frame that is cut off")
            rest = rest[length:]
        else:
            rest = _frame(rest, plain, most)
    return bytes(plain)


def _frame(data, plain, most):
    frame = zstandard.ZstdDecompressor().decompressobj()
    try:
        # A little at a time, so that a bomb is noticed before it has gone off.
        for at in range(0, len(data), 1024):
            plain += frame.decompress(data[at : at + 1024])
            if len(plain) > most:
                raise Refused("decompressed beyond the cap")
            if frame.eof:
                return frame.unused_data + data[at + 1024 :]
    except zstandard.ZstdError as why:
        raise Refused("no zstd") from why
    raise Refused("a frame that is cut off")


def compress(plain):
    body = zstandard.ZstdCompressor().compress(plain)
    padding = -(-len(plain) // PLAIN_RATIO_MAX) - len(body)
    if padding > 0:
        body += (0x184D2A50).to_bytes(4, "little") + padding.to_bytes(4, "little") + bytes(padding)
    return body


# --- the command line ---------------------------------------------------------------------------


def verdict(wire, kind, key):
    try:
        return {"verdict": "good", "value": open_envelope(wire, kind, key)}
    except Verdict as why:
        return {"verdict": str(why)}


def main(command, *args):
    match command:
        case "show":
            wire = sys.stdin.buffer.read()
            kind = unpack(wire, ENVELOPE_BYTES_MAX)[1]
            print(json.dumps(verdict(wire, kind, bytes.fromhex(args[0])), indent=2))
        case "verify":
            for line in sys.stdin:
                vector = json.loads(line)
                wire, key = bytes.fromhex(vector["envelope"]), bytes.fromhex(vector["key"])
                print(json.dumps(verdict(wire, vector["type"], key)))
        case "make":
            for line in sys.stdin:
                plan = json.loads(line)
                plain = pack(_from_json(plan["content"]))
                body = compress(plain) if plan["type"] == BATCH else plain
                print(seal(plan["type"], body, bytes.fromhex(plan["seed"])).hex())


def _from_json(value):
    """JSON has no bytes: {"bin": hex} stands for them, {"pack": x} for x packed into bytes."""
    match value:
        case {"bin": digits}:
            return bytes.fromhex(digits)
        case {"pack": inner}:
            return pack(_from_json(inner))
        case {"f64": digits}:
            return struct.unpack(">d", bytes.fromhex(digits))[0]
        case list():
            return [_from_json(item) for item in value]
    return value


if __name__ == "__main__":
    main(*sys.argv[1:])
