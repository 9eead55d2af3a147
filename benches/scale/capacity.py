"""`docs/capacity.md`: what the figures of one connection mean for many."""

import statistics

OURS = "ringrelay"
BARE = "bare"
COUNTS = (10_000, 100_000, 1_000_000)
# Most connections of one address of a proxy to one port: the kernel's default range of ports, and the widest that is sensible.
PORTS, PORTS_MAX = 60_999 - 32_768 + 1, 65_535 - 1_024 + 1


def document(table, raw, n):
    """`table` is what was printed, `raw` the figures of each start, with `n` connections."""

    def middle(server, key):
        return statistics.median(figures[key] for figures in raw if figures["server"] == server)

    user, pair, bare = middle(OURS, "user_bytes"), middle(OURS, "kernel_bytes"), middle(BARE, "kernel_bytes")
    caches = next(figures["caches"] for figures in raw if figures["server"] == BARE)
    # The clients wait with an epoll, and nobody does at the other end.
    epoll = sum(grown for cache, grown in caches.items() if cache.startswith("eventpoll"))
    # The bare halves are alike, and what the relay adds is at its own end.
    end = (bare - epoll) / 2 + pair - bare
    per = user + end
    rate, cpu = middle(OURS, "connections_per_s"), middle(OURS, "cpu_per_connection_s")
    all_s = statistics.median(seconds for figures in raw if figures["server"] == OURS for seconds in figures["broadcast_s"])
    each_s, send_s = all_s / n, middle(OURS, "cpu_per_broadcast_s") / n

    def line(name, of):
        return f"| {name} | {' | '.join(of(count) for count in COUNTS)} |"

    def addresses(count, ports):
        return -(-count // ports)

    return f"""# How far one relay goes

What 10,000, 100,000 and 1,000,000 connections take. Written by `benches/scale/run --write`, which measures one connection and one
message, and multiplies: what is measured says so, and everything else says what it was computed from.

## Measured
{table.strip()}

## One connection
| | bytes | from |
| --- | --- | --- |
| the relay's own memory | {user:,.0f} | measured, without TLS |
| the kernel's, at the relay's end | {end:,.0f} | both ends of `ringrelay`, {pair:,.0f}, less the client's: a half of `bare`, {bare:,.0f}, of which {epoll:,.0f} are the clients' epoll and no half |
| **together** | **{per:,.0f}** | |
| with TLS | 2,800 more | 3.5 KB instead of 0.7, measured with 3 000 connections ([ARCHITECTURE.md](../ARCHITECTURE.md)) |

An idle connection has nothing in the buffers of its socket. One that reads slowly has up to `--max-lag` (4 MiB) in the relay, which all
of a shard share as long as they are at the same messages, and what `net.ipv4.tcp_wmem` allows in the kernel.

## What that means, by arithmetic
| | {' | '.join(f'{c:,}' for c in COUNTS)} |
| --- | --- | --- | --- |
{line('memory, idle', lambda c: size(c * per))}
{line('of it the relay’s own', lambda c: size(c * user))}
{line(f'all come at once, at {rate:,.0f}/s on one core', lambda c: time(c / rate))}
{line(f'CPU time of the relay for that, {1e6 * cpu:.0f} µs each', lambda c: time(c * cpu))}
{line(f'one message to all of one channel, {1e6 * each_s:.1f} µs each', lambda c: time(c * each_s))}
{line('pings, every 30 s', lambda c: f'{c / 30:,.0f}/s')}
{line(f'CPU for sending them, {1e6 * send_s:.1f} µs each as for a message, without the answers', lambda c: f'{100 * c / 30 * send_s:.1f} % of a core')}
{line('open files, with a tenth to spare', lambda c: f'{c * 11 // 10:,}')}

Each row is the measured figure of one connection, times the connections. It holds for one core: a channel is on one shard, so a
message to all of *one* channel does not become faster with more cores, and everything else does: connections of many channels are
spread over all shards. At a million nothing was measured here, and the caches of the CPU hold less of each connection than they do at
{n:,}.

## Settings
| | default | 10,000 | 100,000 | 1,000,000 |
| --- | --- | --- | --- | --- |
| open files of the relay (`LimitNOFILE`, hard `ulimit -n`: it takes all of them) | the service manager's | 11 000 | 110 000 | 1 100 000 |
| `fs.nr_open`, the most that may be asked for | 1 048 576 | enough | enough | 1 200 000 |
| `--max-connections` | as many as open files allow, less the relay's own | enough | enough | enough, with these files |
| `net.core.somaxconn`, `net.ipv4.tcp_max_syn_backlog` | 4096, 2048 here | enough | 4096, 8192 | 4096, 8192 |
| `net.netfilter.nf_conntrack_max`, where there is a stateful firewall | by memory | enough | 131 072 | 1 179 648 |
| `net.ipv4.tcp_mem` | by memory; here 575 802 pages, 2.2 GiB, at most | enough | enough | see below |

- **Ports.** A connection is its four numbers: two addresses, two ports. The relay's address and port are always the same, so one client
  address has as many connections as ports, at most 65 535. That bounds nobody but proxies: one proxy with one address has, with the
  default `net.ipv4.ip_local_port_range` (32768 to 60999), 28 232 connections to one port of the relay. {COUNTS[1]:,} are {addresses(COUNTS[1], PORTS)} of its addresses,
  or {addresses(COUNTS[1], PORTS_MAX)} with the range 1024 to 65535 (64 512 ports); {COUNTS[2]:,} are {addresses(COUNTS[2], PORTS)} or {addresses(COUNTS[2], PORTS_MAX)}. Another address of the relay counts as much as one
  of the proxy.
- **`tcp_mem`** is about what lies in sockets' buffers. Idle connections have nothing there. A message to all puts at least a page there for each
  client until it is acknowledged: at a million {size(4096 * COUNTS[2])}, more than the third number here allows, above which the kernel holds
  senders up and drops. Set all three in proportion to memory.
- **conntrack.** One entry of 256 bytes (this kernel's) for each connection: {size(CONNTRACK_LEN * COUNTS[0])}, {size(CONNTRACK_LEN * COUNTS[1])}, {size(CONNTRACK_LEN * COUNTS[2])}. When the
  table is full, new connections are dropped without a word. Without rules that need it, leave the relay's port out of it.
- **A restart** brings everyone back at once. `--drain` spreads that: all are closed over so many seconds, and come back over about as
  many. To stay below the rate above, on one core, drain at least {time(COUNTS[0] / rate)}, {time(COUNTS[1] / rate)} and {time(COUNTS[2] / rate)}.
- **One address, many clients**: behind a proxy, name it in `--trusted-proxies`, or `--request-rate` and the bounds per address take it
  for one client.
- **Cores.** {rate:,.0f} connections per second is what one core did, front and shard together. Each further core adds a front and a shard.
"""


def size(length):
    return f"{length / 2**30:.1f} GiB" if length >= 2**30 else f"{length / 2**20:.0f} MiB"


def time(seconds):
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


# Of one entry, as /proc/slabinfo has it.
CONNTRACK_LEN = 256
