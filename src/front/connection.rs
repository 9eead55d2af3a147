//! One HTTP connection: a request is read, answered, and the next one read, until it closes or becomes a WebSocket.

use std::future::{Future, poll_fn};
use std::mem;
use std::ops::Range;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use monoio::net::TcpStream;
use monoio::time::{Instant, sleep_until, timeout};

use super::Front;
use super::entrance::{Visitor, both};
use super::exchange::{Answer, Request, answer};
use super::listing::Listing;
use super::live::Place;
use super::stream::{AcceptError, Stream, drain};
use crate::budget::Permit;
use crate::handoff::{Seat, Terms, Upgraded};
use crate::http::{
    CONTINUE, ChunkedDecoder, ChunkedError, Delimiter, Ending, Framing, Grant, Head, HeadLimits, HeadReader,
    LAST_CHUNK, Method, Response, Status, Version, push_chunk,
};
use crate::metrics::{Refusal, Route};
use crate::peer::{self, HEADER_LEN_MAX, ProxyHeaderError};
use crate::rest::ApiError;

pub(super) struct Connection {
    stream: Stream,
    front: Rc<Front>,
    /// Where it comes from.
    visitor: Visitor,
    /// What was received and not yet used up: it begins with the request being served. Its length is at most that of a
    /// head and a body, by their bounds.
    received: Vec<u8>,
    /// Which page of another origin may read the answer to the request being served.
    grant: Grant,
    /// Where the front counts it; `None` = it is only told something.
    place: Option<Place>,
}

/// A request that becomes a WebSocket.
struct Upgrade {
    seat: Seat,
    terms: Terms,
    response: Vec<u8>,
    /// Among the connections of its client's address, if it comes from behind a proxy and they are counted.
    place: Option<Permit>,
    head_len: usize,
}

/// Why a connection ends without a further request.
enum End {
    /// There is nothing to say, or nobody to say it to.
    Silent,
    /// The request is refused; what follows it in the stream cannot be trusted to be a request.
    Refused(ApiError),
    /// The last answer was sent, and said that it is the last.
    Answered,
}

impl From<ApiError> for End {
    fn from(error: ApiError) -> End {
        End::Refused(error)
    }
}

impl Connection {
    /// One that is told something and ends.
    pub(super) fn new(stream: Stream, front: Rc<Front>, visitor: Visitor) -> Connection {
        let grant = front.settings.cors.grant(None);
        Connection { stream, front, visitor, received: Vec::new(), grant, place: None }
    }

    /// Serves a client that has just connected: the header of a proxy comes first, then TLS, then requests.
    pub(super) async fn open(socket: TcpStream, front: Rc<Front>, visitor: Visitor, mut permit: Permit, place: Place) {
        let mut connection = Connection::new(Stream::Plain(socket), front, visitor);
        connection.place = Some(place);
        if connection.front.settings.proxy_protocol {
            match connection.read_proxy_header().await {
                Ok(place) => permit = both(permit, place),
                Err(end) => return connection.end(end).await,
            }
        }
        // Boxed: it would make the future of every connection larger.
        if let Some(connection) = Box::pin(connection.shake_hands()).await {
            connection.serve(permit).await;
        }
    }

    /// Has TLS below what follows, if the front speaks it.
    async fn shake_hands(self) -> Option<Connection> {
        let Connection { stream, front, visitor, received, grant, place } = self;
        let (socket, acceptor) = match (stream, &front.settings.tls) {
            (Stream::Plain(socket), Some(acceptor)) => (socket, acceptor),
            (stream, _) => return Some(Connection { stream, front, visitor, received, grant, place }),
        };
        match Stream::accept(socket, acceptor, received, front.settings.handshake_timeout, &front.metrics).await {
            Ok(stream) => Some(Connection { stream, front, visitor, received: Vec::new(), grant, place }),
            Err(AcceptError::NotTls(socket)) => {
                let stream = Stream::Plain(socket);
                Connection { stream, front, visitor, received: Vec::new(), grant, place }
                    .refuse(&ApiError::NotTls)
                    .await;
                None
            }
            Err(AcceptError::Refused(socket)) => {
                let stream = Stream::Plain(socket);
                Connection { stream, front, visitor, received: Vec::new(), grant, place }.linger().await;
                None
            }
            Err(AcceptError::Failed) => None,
        }
    }

    /// Serves requests until the connection ends or is handed over.
    async fn serve(mut self, permit: Permit) {
        let mut served: u32 = 0;
        let end = loop {
            match self.serve_one().await {
                Ok(Some(upgrade)) => return self.hand_over(upgrade, permit),
                Ok(None) => {}
                Err(end) => break end,
            }
            // On epoll neither a read nor a write waits while there are bytes and room: a client that never stops
            // sending would keep all others waiting.
            served = served.wrapping_add(1);
            if served.is_multiple_of(SERVED_IN_A_ROW_MAX) {
                let_others_run().await;
            }
        };
        self.end(end).await;
    }

    /// Does not give way to who comes until the next request is waited for.
    fn stay(&self) {
        if let Some(place) = self.place {
            self.front.live.serve(place);
        }
    }

    async fn end(self, end: End) {
        match end {
            End::Silent => {}
            End::Answered => self.linger().await,
            End::Refused(error) => self.refuse(&error).await,
        }
    }

    /// Says why the connection is not served.
    pub(super) async fn turn_away(self, error: &ApiError) {
        self.refuse(error).await;
    }

    /// Reads what a trusted proxy begins the connection with. From then on it comes from whom the proxy names: the place
    /// among the connections of that address.
    async fn read_proxy_header(&mut self) -> Result<Option<Permit>, End> {
        let deadline = Instant::now() + self.front.settings.head_timeout;
        let header = loop {
            match peer::proxy_header(&self.received) {
                Ok(Some(header)) => break header,
                Ok(None) => {}
                Err(ProxyHeaderError::Malformed | ProxyHeaderError::TooLong) => {
                    self.front.metrics.refused(Refusal::ProxyHeader);
                    return Err(End::Silent);
                }
            }
            self.make_room(HEADER_LEN_MAX);
            match self.receive(HEADER_LEN_MAX, deadline, true).await {
                Received::Bytes => {}
                Received::TimedOut | Received::Closed => {
                    self.front.metrics.refused(Refusal::ProxyHeader);
                    return Err(End::Silent);
                }
                Received::Stopped => return Err(End::Silent),
            }
        };
        self.received.drain(..header.len);
        let Some(source) = header.source else { return Ok(None) };
        match self.front.visit(source) {
            Ok((visitor, place)) => {
                self.visitor = visitor;
                Ok(place)
            }
            Err(error) if self.front.settings.speaks_tls => {
                self.front.note_refusal(&error);
                Err(End::Silent)
            }
            Err(error) => Err(End::Refused(error)),
        }
    }

    /// Reads one request and answers it, unless it becomes a WebSocket.
    async fn serve_one(&mut self) -> Result<Option<Upgrade>, End> {
        self.grant = self.front.settings.cors.grant(None);
        if let Some(place) = self.place {
            self.front.live.wait(place);
        }
        let head = self.read_head().await?;
        self.grant = self.front.settings.cors.grant(head.fields(&self.received).only("origin"));
        let body = self.read_body(&head).await?;
        self.stay();
        let request =
            Request { head: &head, received: &self.received, body: body.bytes(&self.received), visitor: &self.visitor };
        let answer = answer(&self.front, request).await;
        let ends = !head.keeps_alive || self.front.live.is_draining();
        let ending = if ends { Ending::Close } else { Ending::KeepAlive };
        match answer {
            Answer::Response(response) => self.respond(response, ending, head.method == Method::Head).await?,
            // Boxed: few connections ever need the room for it.
            Answer::Listing { listing, text } => Box::pin(self.tell(listing, text, &head, ending)).await?,
            Answer::Join { seat, terms, response, place } => {
                return Ok(Some(Upgrade { seat, terms, response, place, head_len: head.len }));
            }
        }
        if ends {
            return Err(End::Answered);
        }
        self.use_up(body.end(&head));
        Ok(None)
    }

    /// Sends a list that is longer than what is to be in memory of it, piece by piece. If a shard fails on the way, the
    /// list ends without its end, and so does the connection.
    async fn tell(&mut self, mut listing: Listing, mut text: Vec<u8>, head: &Head, ending: Ending) -> Result<(), End> {
        let front = self.front.clone();
        let delimiter = match head.version {
            Version::Http10 => Delimiter::End,
            Version::Http11 => Delimiter::Chunked,
        };
        let mut out = Vec::new();
        let response = front.settings.cors.allow(self.grant, Response::json(Status::OK, b"".as_slice()));
        response.write_head(&mut out, front.date(), ending, delimiter);
        if head.method == Method::Head {
            return self.send(out).await;
        }
        loop {
            let is_last = listing.is_at_end();
            match delimiter {
                Delimiter::Chunked => push_chunk(&mut out, &text),
                Delimiter::End => out.extend_from_slice(&text),
            }
            if is_last && delimiter == Delimiter::Chunked {
                out.extend_from_slice(LAST_CHUNK);
            }
            self.send(mem::take(&mut out)).await?;
            if is_last {
                return Ok(());
            }
            text.clear();
            listing.go_on(&front, &mut text).await.map_err(|_| End::Silent)?;
        }
    }

    async fn read_head(&mut self) -> Result<Head, End> {
        let settings = &self.front.settings;
        let (idle_timeout, head_timeout) = (settings.idle_timeout, settings.head_timeout);
        let limits = HeadLimits { len_max: settings.head_len_max, target_len_max: settings.uri_len_max };
        let len_max = limits.len_max;
        let mut is_idle = self.received.is_empty();
        let mut deadline = Instant::now() + if is_idle { idle_timeout } else { head_timeout };
        let mut reader = HeadReader::default();
        loop {
            if let Some(head) = reader.read(&self.received, limits).map_err(ApiError::Head)? {
                return Ok(head);
            }
            if is_idle && !self.received.is_empty() {
                is_idle = false;
                deadline = Instant::now() + head_timeout;
            }
            self.make_room(len_max);
            match self.receive(len_max, deadline, is_idle).await {
                Received::Bytes => {}
                Received::TimedOut if !is_idle => {
                    self.front.metrics.refused(Refusal::HeadTimeout);
                    return Err(ApiError::RequestTimeout.into());
                }
                Received::TimedOut | Received::Stopped | Received::Closed => return Err(End::Silent),
            }
        }
    }

    async fn read_body(&mut self, head: &Head) -> Result<Body, End> {
        let deadline = Instant::now() + self.front.settings.body_timeout;
        let len_max = self.front.settings.body_len_max;
        let is_awaited = head.expects_continue && self.received.len() == head.len;
        match head.framing {
            Framing::None | Framing::Length(0) => Ok(Body::InPlace(head.len..head.len)),
            Framing::Length(len) => {
                let Some(len) = usize::try_from(len).ok().filter(|len| *len <= len_max) else {
                    return Err(ApiError::BodyTooLong { len_max }.into());
                };
                let end = head.len + len;
                if is_awaited {
                    self.send(CONTINUE.to_vec()).await?;
                }
                self.received.reserve_exact(end.saturating_sub(self.received.len()));
                while self.received.len() < end {
                    self.receive_body(end, deadline).await?;
                }
                Ok(Body::InPlace(head.len..end))
            }
            Framing::Chunked => {
                if is_awaited {
                    self.send(CONTINUE.to_vec()).await?;
                }
                let mut decoder = ChunkedDecoder::new(len_max, AROUND_CHUNKS_LEN_MAX);
                let mut content = Vec::new();
                loop {
                    let progress =
                        decoder.decode(&self.received[head.len..], &mut content).map_err(|error| match error {
                            ChunkedError::TooLong => ApiError::BodyTooLong { len_max },
                            other => ApiError::Chunked(other),
                        })?;
                    self.received.drain(head.len..head.len + progress.taken);
                    if progress.done {
                        return Ok(Body::Decoded(content));
                    }
                    self.received.reserve(CHUNKS_RECEIVE_LEN);
                    self.receive_body(head.len + CHUNKS_RECEIVE_LEN, deadline).await?;
                }
            }
        }
    }

    async fn receive_body(&mut self, end: usize, deadline: Instant) -> Result<(), End> {
        match self.receive(end, deadline, false).await {
            Received::Bytes => Ok(()),
            Received::TimedOut => {
                self.front.metrics.refused(Refusal::BodyTimeout);
                Err(ApiError::RequestTimeout.into())
            }
            Received::Stopped | Received::Closed => Err(End::Silent),
        }
    }

    /// Sees to it that there is room behind what was received, which is less than `len_max`.
    fn make_room(&mut self, len_max: usize) {
        if self.received.len() == self.received.capacity() {
            let len = (self.received.capacity() * 2).max(RECEIVE_LEN_MIN).min(len_max);
            self.received.reserve_exact(len - self.received.len());
        }
    }

    /// Receives behind what was received, up to `end` bytes in all; there is capacity for at least one.
    ///
    /// When the time is up the read is dropped. On the ring that cancels it, with the buffer and the socket kept for
    /// the kernel until it is done with them; what it may still have received is lost. So after anything but `Bytes`
    /// the stream is read for no other purpose than to be closed.
    async fn receive(&mut self, end: usize, deadline: Instant, stops_with_front: bool) -> Received {
        let buffer = mem::take(&mut self.received);
        let end = end.min(buffer.capacity());
        debug_assert!(buffer.len() < end, "a read of no bytes would look like the end of the stream");
        let mut read = pin!(self.stream.read(buffer, end));
        let mut time_is_up = pin!(sleep_until(deadline));
        let outcome = poll_fn(|cx| {
            if let Poll::Ready((result, buffer)) = read.as_mut().poll(cx) {
                return Poll::Ready(Ok((result, buffer)));
            }
            if stops_with_front && self.front.live.is_ending() {
                return Poll::Ready(Err(Received::Stopped));
            }
            time_is_up.as_mut().poll(cx).map(|()| Err(Received::TimedOut))
        })
        .await;
        let (result, buffer) = match outcome {
            Ok(done) => done,
            Err(cut_short) => return cut_short,
        };
        self.received = buffer;
        match result {
            Ok(0) | Err(_) => Received::Closed,
            Ok(_) => Received::Bytes,
        }
    }

    /// Forgets the request at the front of what was received; an idle connection keeps little memory.
    fn use_up(&mut self, len: usize) {
        self.received.drain(..len);
        if self.received.capacity() > RECEIVE_LEN_KEPT {
            self.received.shrink_to(RECEIVE_LEN_MIN);
        }
    }

    async fn respond(&mut self, response: Response, ending: Ending, to_head: bool) -> Result<(), End> {
        let mut bytes = Vec::new();
        let response = self.front.settings.cors.allow(self.grant, response);
        response.write(&mut bytes, self.front.date(), ending, to_head);
        self.send(bytes).await
    }

    async fn send(&mut self, bytes: Vec<u8>) -> Result<(), End> {
        let answer_timeout = self.front.settings.answer_timeout;
        match timeout(answer_timeout, self.stream.write_all(bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Silent),
        }
    }

    /// Answers with an error, and sees to it that the client can read it.
    async fn refuse(mut self, error: &ApiError) {
        self.stay();
        self.front.note_refusal(error);
        self.front.metrics.answered(Route::None, error.response().status().code, None);
        // The head may be what is wrong, so this is all that is known of the method.
        let to_head = self.received.starts_with(b"HEAD ");
        if self.respond(error.response(), Ending::Close, to_head).await.is_ok() {
            self.linger().await;
        }
    }

    /// Closes in stages (RFC 9112, section 9.6): says that nothing more will come, and takes what the client still
    /// sends. Closed at once, with bytes unread, the socket would be reset, and the client could lose the answer.
    async fn linger(mut self) {
        self.stay();
        drop(mem::take(&mut self.received));
        if self.stream.shutdown(self.front.settings.answer_timeout).await.is_ok() {
            drain(self.stream.socket()).await;
        }
    }

    /// Hands the socket to the shard that keeps the seat, with every byte received behind the request.
    fn hand_over(mut self, upgrade: Upgrade, permit: Permit) {
        let Upgrade { seat, terms, response, place, head_len } = upgrade;
        let mut received = self.received.split_off(head_len);
        // Every read and write before this one has ended: a connection that cut one short does not come here.
        let (socket, tls, unread) = self.stream.into_parts();
        received.extend(unread);
        seat.join(Upgraded { socket, tls, terms, response, received, permit: both(permit, place) });
    }
}

/// Goes to the end of the runtime's queue.
pub(super) async fn let_others_run() {
    let mut has_waited = false;
    poll_fn(|cx| {
        if mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

enum Received {
    Bytes,
    TimedOut,
    /// The front stops.
    Stopped,
    /// The client closed, or the connection broke.
    Closed,
}

/// The body of a request.
enum Body {
    /// Where it lies in what was received.
    InPlace(Range<usize>),
    /// Taken out of its chunks, which are used up.
    Decoded(Vec<u8>),
}

impl Body {
    fn bytes<'b>(&'b self, received: &'b [u8]) -> &'b [u8] {
        match self {
            Body::InPlace(range) => &received[range.clone()],
            Body::Decoded(content) => content,
        }
    }

    /// Where the request ends in what was received.
    fn end(&self, head: &Head) -> usize {
        match self {
            Body::InPlace(range) => range.end,
            Body::Decoded(_) => head.len,
        }
    }
}

/// Requests of one connection that are served before others are given the chance.
const SERVED_IN_A_ROW_MAX: u32 = 16;
/// What an idle connection holds to receive into, and the first size of a head's buffer.
const RECEIVE_LEN_MIN: usize = 1 << 10;
/// A buffer up to this size is kept for the next request.
const RECEIVE_LEN_KEPT: usize = 4 << 10;
/// Received at once of a chunked body.
const CHUNKS_RECEIVE_LEN: usize = 4 << 10;
/// Most bytes of chunk extensions and trailers, and chunks, of one body.
const AROUND_CHUNKS_LEN_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// Most of it are the timers that it may wait with, 256 bytes each.
    #[test]
    fn a_connection_is_a_small_future() {
        fn len<A, B, F>(_: impl Fn(A, B) -> F) -> usize {
            size_of::<F>()
        }
        let len = len(Connection::serve);
        assert!(len <= 2560, "{len} bytes");
    }
}
