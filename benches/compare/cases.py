"""The cases: what each loads a server with, and what ringrelay is wanted to reach in it."""

from dataclasses import dataclass

from peers import OURS, OURS_EPOLL, OURS_SPINNING, PUB_SUB, WITH_TLS


@dataclass(frozen=True)
class Wanted:
    """At least `ratio` times the figure of the best of `peers`, by `by`."""

    ratio: float
    peers: tuple = ("bun",)
    by: str = "per CPU second"
    # Which of the rows has to reach it.
    of: str = OURS


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    # Arguments of `ringrelay bench`.
    load: tuple
    # "rate", "latency", "idle" or "shards": which columns tell.
    kind: str = "rate"
    wanted: tuple = ()
    # (receivers, bytes of a frame): a window-1 case, in which each delivery costs a send of its own.
    floor: tuple = None
    wanted_of_floor: float = None
    # Rows of this case beside the peers.
    also: tuple = ()
    # What the rooms do, and which of the servers do that.
    pattern: str = "pub-sub"
    servers: tuple = (OURS, OURS_EPOLL, *PUB_SUB)
    tls: bool = False
    # User memory per idle connection that ringrelay may take.
    idle_bytes_max: int = 1024


# What holds for every case in which rates are compared.
OF_ALL = (Wanted(1, of=OURS_EPOLL),)


def _pub_sub(subscribers, window, size=64, publishers=1, rooms=1):
    return (
        "--subscribers", str(subscribers), "--publishers", str(publishers), "--rooms", str(rooms),
        "--size", str(size), "--window", str(window),
    )  # fmt: skip


def _in_turns(name, title, pattern, publishers, window):
    """A message goes to one of the others. All 10 subscribers and the publishers can be given one."""
    load = ("--pattern", pattern, *_pub_sub(10, window, publishers=publishers))
    peers = ("nats", "ws")
    return Case(name, title, load, wanted=(Wanted(1.5, peers),), pattern=pattern, servers=(OURS, OURS_EPOLL, *peers))


def _with_tls(name, title, load, **more):
    return Case(name, f"{title}, with TLS 1.3", load, servers=(OURS, OURS_EPOLL, *WITH_TLS), tls=True, **more)


CASES = [
    Case(
        "1000-w1", "64 B to 1 000 subscribers, window 1", _pub_sub(1000, 1),
        wanted=(Wanted(1.15),), floor=(1001, 66), wanted_of_floor=0.9,
    ),
    Case("1000-w16", "64 B to 1 000 subscribers, window 16", _pub_sub(1000, 16), wanted=(Wanted(1.25),)),
    Case("100-w16", "64 B to 100 subscribers, window 16", _pub_sub(100, 16), wanted=(Wanted(1.1),)),
    Case(
        "100-w64", "64 B to 100 subscribers, window 64", _pub_sub(100, 64),
        wanted=(Wanted(1.8), Wanted(20, ("nchan", "ws"), "wall")),
    ),
    Case(
        "100-w64-spin", "the same, with a generator that never sleeps, and ringrelay also with --spin 50",
        (*_pub_sub(100, 64), "--spin"), also=(OURS_SPINNING,),
        wanted=(Wanted(20, ("nchan", "ws"), "wall"), Wanted(20, ("nchan", "ws"), "wall", of=OURS_SPINNING)),
    ),
    Case(
        "100-w1", "64 B to 100 subscribers, window 1", _pub_sub(100, 1),
        floor=(101, 66), wanted_of_floor=0.9,
    ),
    Case("1k-w16", "1 KiB to 100 subscribers, window 16", _pub_sub(100, 16, size=1024), wanted=(Wanted(1.25),)),
    Case("16k-w16", "16 KiB to 100 subscribers, window 16", _pub_sub(100, 16, size=16384), wanted=(Wanted(1.8),)),
    Case(
        "100p-w16", "64 B from 100 publishers to all of them and 100 subscribers, window 16",
        _pub_sub(100, 16, publishers=100), wanted=(Wanted(5),),
    ),
    Case(
        "500-rooms", "64 B in 500 rooms of 1 publisher and 1 subscriber, window 1", _pub_sub(1, 1, rooms=500),
        wanted=(Wanted(1),),
    ),
    Case(
        "rate-1000", "64 B to 100 subscribers, 1 000 messages/s: latency",
        ("--subscribers", "100", "--publishers", "1", "--size", "64", "--rate", "1000"),
        kind="latency", wanted=(Wanted(1, by="p50"), Wanted(1, by="p99")),
    ),
    Case("idle-10000", "10 000 idle connections: user memory", ("--subscribers", "10000", "--publishers", "0", "--idle"), kind="idle"),
    Case(
        "two-shards", "two channels of 64 B to 100 subscribers, window 16: one on each of two shards, or both on one",
        _pub_sub(100, 16), kind="shards",
    ),
    _in_turns("push-pull-w16", "push-pull: 64 B from 1 publisher to one of 10 in turns, window 16", "push-pull", 1, 16),
    _in_turns("push-pull-w64", "push-pull: 64 B from 1 publisher to one of 10 in turns, window 64", "push-pull", 1, 64),
    _in_turns("push-pull-10p-w16", "push-pull: 64 B from 10 publishers to one of the others, 10 of them only receiving, in turns, window 16", "push-pull", 10, 16),
    _in_turns("fan-in-out-w16", "fan-in-out: requests of 64 B from 10 requesters, window 16, 10 others only answering; requests and replies", "fan-in-out", 10, 16),
    _with_tls("tls-1k-100-w1", "1 KiB to 100 subscribers, window 1", _pub_sub(100, 1, size=1024), wanted=(Wanted(1.5, WITH_TLS),)),
    _with_tls("tls-1k-100-w16", "1 KiB to 100 subscribers, window 16", _pub_sub(100, 16, size=1024), wanted=(Wanted(1.5, WITH_TLS),)),
    _with_tls(
        "tls-idle-3000", "3 000 idle connections: user memory",
        ("--subscribers", "3000", "--publishers", "0", "--idle"), kind="idle", idle_bytes_max=4096,
    ),
]  # fmt: skip
