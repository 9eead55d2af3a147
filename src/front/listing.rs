//! The list of all channels, asked for page by page: however many there are and however slowly the client reads, it takes
//! the memory of one page per shard.

use std::collections::VecDeque;

use super::Front;
use super::exchange::ask;
use crate::channel::{ChannelId, ChannelView};
use crate::handoff::ToShard;
use crate::rest::{ApiError, ListWriter};

/// A list that is being told: sorted by id, merged from the shards' pages. A channel that is there all the time is in it
/// once, whatever is created and deleted meanwhile.
pub(super) struct Listing {
    /// One per shard, in order.
    pages: Vec<Page>,
    writer: ListWriter,
}

/// What is left of a shard's last page.
struct Page {
    views: VecDeque<ChannelView>,
    /// The last channel that the shard has told; `None` = none yet.
    last: Option<ChannelId>,
    /// Whether there is nothing behind it.
    is_last: bool,
}

impl Page {
    /// Whether the shard has to be asked before the list can go on.
    fn is_missing(&self) -> bool {
        self.views.is_empty() && !self.is_last
    }
}

impl Listing {
    /// Begins a list; `text` becomes its first piece.
    ///
    /// # Errors
    /// A shard does not answer.
    pub(super) async fn begin(front: &Front, text: &mut Vec<u8>) -> Result<Listing, ApiError> {
        let first = || Page { views: VecDeque::new(), last: None, is_last: false };
        let mut listing =
            Listing { pages: front.registry.shards().iter().map(|_| first()).collect(), writer: ListWriter::default() };
        listing.writer.begin(text);
        listing.go_on(front, text).await?;
        Ok(listing)
    }

    /// Whether all of it has been told.
    pub(super) fn is_at_end(&self) -> bool {
        self.pages.iter().all(|page| page.views.is_empty() && page.is_last)
    }

    /// Appends the next piece.
    ///
    /// # Errors
    /// A shard does not answer.
    pub(super) async fn go_on(&mut self, front: &Front, text: &mut Vec<u8>) -> Result<(), ApiError> {
        self.ask(front).await?;
        // Until a page is used up behind which there may be more: the shard's next channel may be the list's next.
        while !self.pages.iter().any(Page::is_missing) {
            let next = self.pages.iter_mut().filter(|page| !page.views.is_empty());
            let next = next.min_by(|one, other| one.views[0].id.cmp(&other.views[0].id));
            match next.and_then(|page| page.views.pop_front()) {
                Some(view) => self.writer.channel(text, &view, front.settings.public_port),
                None => {
                    self.writer.end(text);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Asks for the pages that are missing, all before the first is waited for.
    async fn ask(&mut self, front: &Front) -> Result<(), ApiError> {
        let asked: Vec<_> = front
            .registry
            .shards()
            .iter()
            .zip(&mut self.pages)
            .filter(|(_, page)| page.is_missing())
            .map(|(shard, page)| {
                let after = page.last.clone();
                (page, ask(shard, |reply| ToShard::List { after, max: PAGE_LEN, reply }))
            })
            .collect();
        for (page, reply) in asked {
            page.views = front.answered(reply).await?.into();
            page.is_last = page.views.len() < PAGE_LEN;
            page.last = page.views.back().map(|view| view.id.clone()).or(page.last.take());
        }
        Ok(())
    }
}

/// Channels that are asked for at once: some 20 KiB here, and as much text.
const PAGE_LEN: usize = 128;
