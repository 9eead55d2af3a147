//! The peer `tokio-tungstenite`: a room per path, one thread, a task to read and a task to write per connection. The
//! writer flushes once for all messages that are waiting. With a certificate and its key behind the port, over tokio-rustls.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

type Room = Rc<RefCell<Vec<UnboundedSender<Message>>>>;
type Rooms = Rc<RefCell<HashMap<String, Room>>>;

#[tokio::main(flavor = "local")]
async fn main() {
    let port: u16 = std::env::args().nth(1).and_then(|port| port.parse().ok()).expect("a port");
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
    println!("listening on {port}");
    let acceptor = acceptor();
    let rooms = Rooms::default();
    loop {
        let (stream, _) = listener.accept().await.expect("accept");
        tokio::task::spawn_local(accept(stream, acceptor.clone(), Rc::clone(&rooms)));
    }
}

fn acceptor() -> Option<TlsAcceptor> {
    let (cert_path, key_path) = (std::env::args().nth(2)?, std::env::args().nth(3).expect("a key"));
    let chain = CertificateDer::pem_file_iter(cert_path).expect("a certificate").map(|cert| cert.expect("PEM")).collect();
    let key = PrivateKeyDer::from_pem_file(key_path).expect("a key");
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).expect("a pair");
    Some(TlsAcceptor::from(Arc::new(config)))
}

async fn accept(stream: TcpStream, acceptor: Option<TlsAcceptor>, rooms: Rooms) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    match acceptor {
        None => serve(stream, rooms).await,
        Some(acceptor) => serve(acceptor.accept(stream).await.ok()?, rooms).await,
    }
}

/// Ends when the connection does, for whatever reason.
async fn serve<S>(stream: S, rooms: Rooms) -> Option<()>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let mut path = String::new();
    let remember = |request: &Request, response: Response| {
        path = request.uri().path().to_owned();
        Ok(response)
    };
    let socket = tokio_tungstenite::accept_hdr_async(stream, remember).await.ok()?;
    let room = Rc::clone(rooms.borrow_mut().entry(path).or_default());
    let (sender, queue) = unbounded_channel();
    room.borrow_mut().push(sender.clone());
    let (sink, mut messages) = socket.split();
    let writer = tokio::task::spawn_local(write(sink, queue));
    while let Some(Ok(message)) = messages.next().await {
        if message.is_binary() || message.is_text() {
            // The payload is shared; a receiver that is gone leaves the room by itself below.
            room.borrow().iter().for_each(|member| _ = member.send(message.clone()));
        }
    }
    room.borrow_mut().retain(|member| !member.same_channel(&sender));
    writer.abort();
    Some(())
}

async fn write<S>(mut sink: S, mut queue: UnboundedReceiver<Message>) -> Result<(), S::Error>
where
    S: SinkExt<Message> + Unpin,
{
    while let Some(message) = queue.recv().await {
        sink.feed(message).await?;
        while let Ok(message) = queue.try_recv() {
            sink.feed(message).await?;
        }
        sink.flush().await?;
    }
    Ok(())
}
