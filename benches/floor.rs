//! What does one send cost, whoever makes it? The CPU time of sending the same bytes to n loopback sockets that are
//! read as fast as they are filled, by `send(2)` and by a bare io_uring.
//!
//! A message to n idle subscribers cannot cost a server less than n of these; only carrying more than one message in a
//! send gets past it. So a comparison with window 1 reads as "x of the floor".
//!
//! A round sends once to every socket and then waits, outside the measured time, until all bytes have been read: as in
//! a closed loop of window 1, the reader is asleep when a round begins. Both ways take turns in slices of a quarter of
//! a second; the median of the slices counts.

#![allow(unsafe_code)] // Submission entries refer to memory; see `IoUringSender`.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use io_uring::{IoUring, opcode, types};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, Timespec, clock_gettime};

const SEND_CORE: usize = 0;
const DRAIN_CORE: usize = 1;

/// Receivers and bytes of the table.
const CELLS: [(usize, usize); 5] = [(10, 66), (100, 66), (1000, 66), (100, 1056), (100, 16_388)];

/// One submission holds a whole round.
const SOCKETS_MAX: usize = 4096;

const SLICE: Duration = Duration::from_millis(250);

fn main() -> ExitCode {
    match Options::parse().and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor: {error}");
            ExitCode::FAILURE
        }
    }
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

struct Options {
    cells: Vec<(usize, usize)>,
    /// Of each cell and way.
    seconds: f64,
    json: bool,
}

impl Options {
    fn parse() -> Outcome<Options> {
        let (mut sockets, mut bytes, mut seconds, mut json) = (None, None, 2.0, false);
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--sockets" => sockets = Some(value()?.parse()?),
                "--bytes" => bytes = Some(value()?.parse()?),
                "--seconds" => seconds = value()?.parse()?,
                "--json" => json = true,
                // What `cargo bench` passes to every bench.
                "--bench" => {}
                _ => return Err(format!("{argument}: none of --sockets N, --bytes N, --seconds S, --json").into()),
            }
        }
        let cells = match (sockets, bytes) {
            (None, None) => CELLS.to_vec(),
            (sockets, bytes) => vec![(sockets.unwrap_or(100), bytes.unwrap_or(66))],
        };
        if cells.iter().any(|(sockets, bytes)| !(1..=SOCKETS_MAX).contains(sockets) || *bytes == 0) {
            return Err(format!("--sockets: 1 to {SOCKETS_MAX}; --bytes: at least 1").into());
        }
        Ok(Options { cells, seconds, json })
    }
}

fn run(options: &Options) -> Outcome<()> {
    if !options.json {
        print_machine();
        println!(
            "| {:>7} | {:>6} | {:>10} | {:>11} | {:>19} |",
            "sockets", "bytes", "send(2) ns", "io_uring ns", "sends/s per CPU s"
        );
        println!("|{:-<8}:|{:-<7}:|{:-<11}:|{:-<12}:|{:-<20}:|", "", "", "", "", "");
    }
    for (sockets, bytes) in &options.cells {
        let [send_ns, io_uring_ns] = measure(*sockets, *bytes, options.seconds)?;
        if options.json {
            println!(
                "{{\"sockets\":{sockets},\"bytes\":{bytes},\"send_ns\":{send_ns:.1},\"io_uring_ns\":{io_uring_ns:.1}}}"
            );
        } else {
            println!(
                "| {sockets:>7} | {bytes:>6} | {send_ns:>10.0} | {io_uring_ns:>11.0} | {:>19.0} |",
                1e9 / io_uring_ns
            );
        }
    }
    Ok(())
}

/// CPU nanoseconds per send, by `send(2)` and by io_uring.
fn measure(sockets: usize, bytes: usize, seconds: f64) -> Outcome<[f64; 2]> {
    pin(SEND_CORE)?;
    let (mut senders, receivers) = connect(sockets)?;
    let drain = Drain::start(receivers)?;
    let payload = vec![0x55; bytes];
    let mut ring = IoUringSender::new()?;
    let mut slices = [Vec::new(), Vec::new()];
    let mut sent_bytes = 0;
    let mut slice = |way: usize, length: Duration| -> Outcome<f64> {
        let (end, mut cpu, mut rounds) = (Instant::now() + length, Duration::ZERO, 0);
        while Instant::now() < end {
            let before = thread_cpu();
            if way == 0 {
                senders.iter_mut().try_for_each(|sender| sender.write_all(&payload))?;
            } else {
                ring.send_to_all(&senders, &payload)?;
            }
            cpu += thread_cpu() - before;
            rounds += 1;
            sent_bytes += (sockets * bytes) as u64;
            drain.wait_for(sent_bytes)?;
        }
        Ok(cpu.as_nanos() as f64 / (rounds * sockets) as f64)
    };
    // The first rounds grow the sockets' buffers.
    slice(0, SLICE)?;
    slice(1, SLICE)?;
    for _ in 0..(seconds / SLICE.as_secs_f64()).ceil().max(1.0) as usize {
        for (way, slices) in slices.iter_mut().enumerate() {
            slices.push(slice(way, SLICE)?);
        }
    }
    Ok(slices.map(median))
}

/// The sending ends, as a server has them after its accepts, and the receiving ones.
fn connect(sockets: usize) -> Outcome<(Vec<TcpStream>, Vec<TcpStream>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut pairs = (Vec::new(), Vec::new());
    for _ in 0..sockets {
        let receiver = TcpStream::connect(listener.local_addr()?)?;
        receiver.set_nonblocking(true)?;
        let (sender, _) = listener.accept()?;
        sender.set_nodelay(true)?;
        pairs.0.push(sender);
        pairs.1.push(receiver);
    }
    Ok(pairs)
}

/// A ring as the relay's shards have it, used for one send per socket and round.
struct IoUringSender {
    ring: IoUring,
}

impl IoUringSender {
    fn new() -> Outcome<IoUringSender> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_submit_all()
            .build(SOCKETS_MAX as u32)
            .map_err(|error| format!("io_uring cannot be used here: {error}"))?;
        Ok(IoUringSender { ring })
    }

    /// One submission for all; returns when the last is complete.
    fn send_to_all(&mut self, senders: &[TcpStream], payload: &[u8]) -> Outcome<()> {
        let mut submission = self.ring.submission();
        for sender in senders {
            // MSG_WAITALL: a full socket buffer is waited for instead of shortening the send.
            let send = opcode::Send::new(types::Fd(sender.as_raw_fd()), payload.as_ptr(), payload.len() as u32)
                .flags(MSG_WAITALL)
                .build();
            // SAFETY: `payload` and `senders` are borrowed for this call, which does not return, not even with an
            // error of a send, before all completions are there: the kernel is done with both.
            unsafe { submission.push(&send) }.expect("at most SOCKETS_MAX entries are pushed");
        }
        drop(submission);
        let (mut completed, mut short) = (0, None);
        while completed < senders.len() {
            match self.ring.submit_and_wait(senders.len() - completed) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                // To return while the kernel may still read `payload` would be unsound.
                Err(error) => panic!("io_uring_enter: {error}"),
            }
            for completion in self.ring.completion() {
                completed += 1;
                if completion.result() != payload.len() as i32 {
                    short = Some(completion.result());
                }
            }
        }
        match short {
            None => Ok(()),
            Some(result) => Err(format!("a send of {} bytes returned {result}", payload.len()).into()),
        }
    }
}

const MSG_WAITALL: i32 = 0x100;

/// The thread that reads everything, on its own core.
struct Drain {
    received_bytes: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drain {
    fn start(receivers: Vec<TcpStream>) -> Outcome<Drain> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (index, receiver) in receivers.iter().enumerate() {
            epoll::add(&epoll, receiver, EventData::new_u64(index as u64), EventFlags::IN | EventFlags::ET)?;
        }
        let (received_bytes, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, over) = (Arc::clone(&received_bytes), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || {
            pin(DRAIN_CORE).expect("pinning the drain");
            drain(&epoll, receivers, &counter, &over);
        });
        Ok(Drain { received_bytes, is_over, thread: Some(thread) })
    }

    /// Spins: the other core reads meanwhile, and a sleep would be part of the next round's cost.
    fn wait_for(&self, total_bytes: u64) -> Outcome<()> {
        let start = Instant::now();
        while self.received_bytes.load(Ordering::Acquire) < total_bytes {
            if start.elapsed() > Duration::from_secs(10) {
                return Err("the receiving side stalled".into());
            }
            std::hint::spin_loop();
        }
        Ok(())
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed; there is nothing to add.
            let _ = thread.join();
        }
    }
}

fn drain(epoll: &rustix::fd::OwnedFd, mut receivers: Vec<TcpStream>, counter: &AtomicU64, over: &AtomicBool) {
    let tick = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
    let mut buffer = vec![0; 256 << 10];
    let mut events = Vec::with_capacity(1024);
    while !over.load(Ordering::Acquire) {
        events.clear();
        // An interrupted wait is a wait without events.
        let _ = epoll::wait(epoll, spare_capacity(&mut events), Some(&tick));
        for event in &events {
            let index = event.data.u64() as usize;
            // Edge-triggered: a read that did not fill the buffer has emptied the socket.
            while let Ok(count) = receivers[index].read(&mut buffer) {
                counter.fetch_add(count as u64, Ordering::Release);
                if count < buffer.len() {
                    break;
                }
            }
        }
    }
}

fn pin(core: usize) -> rustix::io::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores)
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn print_machine() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("unknown processor");
    let commit = std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    let commit = commit.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let control = read("/proc/sys/net/ipv4/tcp_congestion_control");
    println!("{model}; Linux {}; {control}; commit {commit}", read("/proc/sys/kernel/osrelease"));
}
