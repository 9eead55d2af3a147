"""The cases: what each loads a server with, and what ringrelay is wanted to reach in it."""

from dataclasses import dataclass

from peers import OURS, OURS_SPINNING


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


def _pub_sub(subscribers, window, size=64, publishers=1, rooms=1):
    return (
        "--subscribers", str(subscribers), "--publishers", str(publishers), "--rooms", str(rooms),
        "--size", str(size), "--window", str(window),
    )  # fmt: skip


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
]  # fmt: skip

# User memory per idle connection that ringrelay may take.
IDLE_BYTES_MAX = 1024
