//! What the server tells a front.

use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};

use crate::pulse::Beat;

/// A message to a front.
#[derive(Debug)]
pub enum ToFront {
    /// Asks whether the front still turns.
    Beat(Beat),
    /// Accept nothing more, say that the relay closes, and let each answer be the last of its connection.
    Drain,
}

/// The sending end. A front ends when it is dropped.
#[derive(Debug)]
pub struct FrontHandle(UnboundedSender<ToFront>);

/// The receiving end.
#[derive(Debug)]
pub struct Control(UnboundedReceiver<ToFront>);

/// Both ends.
pub fn control() -> (FrontHandle, Control) {
    let (sender, receiver) = unbounded();
    (FrontHandle(sender), Control(receiver))
}

impl FrontHandle {
    /// A front that is gone drops it.
    pub fn send(&self, message: ToFront) {
        let _ = self.0.unbounded_send(message);
    }
}

impl Control {
    /// `None` = the front is to end.
    pub(super) async fn next(&mut self) -> Option<ToFront> {
        self.0.recv().await.ok()
    }
}
