//! tungstenite as a well-behaved client.

use std::net::TcpStream;

use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

use super::PATIENCE;
use super::relay::{Channel, Relay};

pub struct Client(WebSocket<TcpStream>);

impl Client {
    /// Connects to a channel.
    ///
    /// # Panics
    /// If it is refused.
    pub fn connect(relay: &Relay, channel: &Channel) -> Client {
        let stream = TcpStream::connect(relay.address()).expect("the relay accepts connections");
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a TCP socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a TCP socket");
        let url = format!("ws://{}{}", relay.address(), channel.target());
        let (socket, _) = tungstenite::client(url, stream).expect("the relay upgrades");
        Client(socket)
    }

    pub fn send(&mut self, message: impl Into<Message>) {
        self.0.send(message.into()).expect("the relay reads");
    }

    /// The next data message.
    pub fn message(&mut self) -> Message {
        loop {
            match self.0.read().expect("a message was due") {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    pub fn expect(&mut self, message: impl Into<Message>) {
        assert_eq!(self.message(), message.into());
    }

    /// Waits for a close with this code and gives its reason; the answer to it is sent.
    pub fn expect_close(&mut self, code: u16) -> String {
        match self.message() {
            Message::Close(Some(close)) => {
                assert_eq!(close.code, CloseCode::from(code), "with reason {:?}", close.reason.as_str());
                // Flushes the answer; it fails when the relay has closed the connection already.
                let _ = self.0.flush();
                close.reason.as_str().to_owned()
            }
            other => panic!("a close was due: {other:?}"),
        }
    }

    /// Closes in good order: 1000, and waits for the answer and the end.
    pub fn leave(mut self) {
        self.0.close(None).expect("a close can be sent");
        loop {
            match self.0.read() {
                Ok(_) => {}
                Err(tungstenite::Error::ConnectionClosed) => return,
                Err(error) => panic!("the close was not answered: {error}"),
            }
        }
    }

    pub fn stream(&self) -> &TcpStream {
        self.0.get_ref()
    }
}
