//! The picture: shards, the busiest channels, the slowest clients and refusals, on 80 columns and 24 rows or more.

use std::time::{Duration, Instant};

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Paragraph, Row, Table};

use super::rates::{Rates, refused, short};
use super::snapshot::{Channel, Snapshot};

/// What is shown.
pub(super) struct View {
    server: String,
    /// The last look, and the one before it.
    now: Option<(Snapshot, Instant)>,
    before: Option<(Snapshot, Instant)>,
    /// Why the last question was not answered.
    failure: Option<String>,
    sort: Sort,
    is_paused: bool,
}

/// What channels are sorted by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sort {
    Messages,
    Clients,
    Id,
}

impl View {
    pub(super) fn new(server: &str) -> View {
        let server = server.to_owned();
        View { server, now: None, before: None, failure: None, sort: Sort::Messages, is_paused: false }
    }

    /// Shows what the relay has said at `at`.
    pub(super) fn take(&mut self, snapshot: Snapshot, at: Instant) {
        // What was asked before a pause is not shown in it.
        if !self.is_paused {
            self.before = self.now.replace((snapshot, at));
            self.failure = None;
        }
    }

    /// Shows that it did not answer; what it said before stays.
    pub(super) fn fail(&mut self, error: String) {
        self.failure = Some(error);
    }

    pub(super) fn sort_by_next(&mut self) {
        self.sort = match self.sort {
            Sort::Messages => Sort::Clients,
            Sort::Clients => Sort::Id,
            Sort::Id => Sort::Messages,
        };
    }

    /// Whether it is paused now.
    pub(super) fn pause_or_go_on(&mut self) -> bool {
        self.is_paused = !self.is_paused;
        self.is_paused
    }

    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let shard_count = self.now.as_ref().map_or(0, |(now, _)| now.shards.len());
        let shard_rows = shard_count.clamp(1, SHARD_ROWS_MAX) as u16;
        let parts = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(shard_rows + 2),
            Constraint::Min(4),
            Constraint::Length(REFUSAL_ROWS as u16 + 1),
            Constraint::Length(1),
        ]);
        let [head, shards, lists, refusals, foot] = parts.areas(frame.area());
        frame.render_widget(Paragraph::new(self.headline()).style(Style::new().add_modifier(Modifier::REVERSED)), head);
        if let Some((now, _)) = &self.now {
            self.draw_shards(frame, shards, now);
            let [channels, clients] =
                Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).spacing(1).areas(lists);
            self.draw_channels(frame, channels, now);
            draw_clients(frame, clients, now);
            self.draw_refusals(frame, refusals, now);
        }
        let keys = format!("q quit  s sort by {}  p pause", self.sort.next_name());
        let line = self.failure.as_deref().map_or(keys, |failure| format!("q quit  {failure}"));
        frame.render_widget(Line::raw(line), foot);
    }

    fn headline(&self) -> String {
        let Some((now, _)) = &self.now else { return format!(" ringrelay  {}", self.server) };
        let clients: u64 = now.shards.iter().map(|shard| shard.clients).sum();
        let channels: u64 = now.shards.iter().map(|shard| shard.channels).sum();
        let state = match (self.is_paused, now.complete) {
            (true, _) => "  PAUSED",
            (false, true) => "",
            (false, false) => "  not all were looked at",
        };
        format!(" ringrelay {}  {}  clients {clients}  channels {channels}{state}", now.version, self.server)
    }

    /// Between the last two looks.
    fn passed(&self) -> Duration {
        match (&self.before, &self.now) {
            (Some((_, before)), Some((_, now))) => now.saturating_duration_since(*before),
            (None, _) | (_, None) => Duration::ZERO,
        }
    }

    fn draw_shards(&self, frame: &mut Frame<'_>, area: Rect, now: &Snapshot) {
        let rows = now.shards.iter().take(SHARD_ROWS_MAX).map(|shard| {
            let before = self.before.iter().flat_map(|(before, _)| &before.shards);
            let before = before.into_iter().find(|before| before.shard == shard.shard);
            let rates = before.and_then(|before| Rates::between(before, shard, self.passed())).unwrap_or_default();
            Row::new([
                shard.shard.to_string(),
                rates.cpu.map_or_else(|| "-".to_owned(), percent),
                percent(rates.busy),
                shard.clients.to_string(),
                shard.channels.to_string(),
                short(rates.received),
                short(rates.delivered),
                short(rates.sent_bytes),
                format!("{:.1}", rates.batch),
                short(shard.lag as f64),
                short(shard.memory as f64),
            ])
        });
        let widths = [5, 4, 5, 8, 8, 6, 6, 7, 8, 6, 7].map(Constraint::Length);
        let head =
            ["shard", "cpu", "turns", "clients", "channels", "in/s", "out/s", "bytes/s", "per send", "lag", "memory"];
        let title = match now.shards.len() {
            ..=SHARD_ROWS_MAX => "shards".to_owned(),
            count => format!("shards ({SHARD_ROWS_MAX} of {count})"),
        };
        frame.render_widget(table(rows, &widths, &head, title), area);
    }

    fn draw_channels(&self, frame: &mut Frame<'_>, area: Rect, now: &Snapshot) {
        let mut channels: Vec<&Channel> = now.channels.iter().collect();
        match self.sort {
            Sort::Messages => channels.sort_by_key(|channel| std::cmp::Reverse(channel.messages_per_second)),
            Sort::Clients => channels.sort_by_key(|channel| std::cmp::Reverse(channel.clients)),
            Sort::Id => channels.sort_by(|one, other| one.id.cmp(&other.id)),
        }
        let rows = channels.into_iter().map(|channel| {
            Row::new([
                channel.id.clone(),
                channel.shard.to_string(),
                channel.pattern.clone(),
                channel.clients.to_string(),
                short(channel.messages_per_second as f64),
            ])
        });
        let [shard, pattern, clients, messages] = [5, 10, 7, 6].map(Constraint::Length);
        let widths = [Constraint::Fill(1), shard, pattern, clients, messages];
        let head = ["id", "shard", "pattern", "clients", "msg/s"];
        let title = format!("busiest channels, by {}", self.sort.name());
        frame.render_widget(table(rows, &widths, &head, title), area);
    }

    fn draw_refusals(&self, frame: &mut Frame<'_>, area: Rect, now: &Snapshot) {
        let before = self.before.as_ref().map_or(&[][..], |(before, _)| &before.refusals);
        let block = Block::new().borders(Borders::TOP).title("refused: reason, in all, per second");
        let mut texts = now.refusals.iter().map(|refusal| {
            let rate = if before.is_empty() { 0.0 } else { refused(before, refusal, self.passed()) };
            format!("{:<26}{:>6}{:>6}", refusal.reason, short(refusal.count as f64), short(rate))
        });
        // Two columns, filled row by row.
        let lines: Vec<Line<'_>> = (0..REFUSAL_ROWS)
            .map(|_| {
                let [left, right] = [texts.next().unwrap_or_default(), texts.next().unwrap_or_default()];
                Line::raw(format!("{left:<41}{right}"))
            })
            .collect();
        frame.render_widget(Paragraph::new(lines).block(block), area);
    }
}

impl Sort {
    fn name(self) -> &'static str {
        match self {
            Sort::Messages => "messages",
            Sort::Clients => "clients",
            Sort::Id => "id",
        }
    }

    fn next_name(self) -> &'static str {
        match self {
            Sort::Messages => "clients",
            Sort::Clients => "id",
            Sort::Id => "messages",
        }
    }
}

fn draw_clients(frame: &mut Frame<'_>, area: Rect, now: &Snapshot) {
    let rows =
        now.clients.iter().map(|slow| Row::new([slow.client.clone(), slow.channel.clone(), short(slow.behind as f64)]));
    let widths = [Constraint::Length(9), Constraint::Fill(1), Constraint::Length(7)];
    let head = ["client", "channel", "behind"];
    frame.render_widget(table(rows, &widths, &head, "slowest clients, bytes".to_owned()), area);
}

fn table<'a>(
    rows: impl IntoIterator<Item = Row<'a>>,
    widths: &'a [Constraint],
    head: &[&'static str],
    title: String,
) -> Table<'a> {
    let head = Row::new(head.to_vec()).style(Style::new().add_modifier(Modifier::BOLD));
    Table::new(rows, widths.to_vec()).header(head).block(Block::new().borders(Borders::TOP).title(title))
}

fn percent(part: f64) -> String {
    format!("{:.0}%", part * 100.0)
}

/// With more shards, the first ones: the lists below need the rows.
const SHARD_ROWS_MAX: usize = 8;

/// Rows of refusals, two to a row.
const REFUSAL_ROWS: usize = 3;

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::snapshot::{Client, Refusal, Shard};
    use super::*;

    fn snapshot(count: u64, shards: u16) -> Snapshot {
        let shard = |shard| Shard {
            shard,
            clients: 12_000,
            channels: 340,
            messages_received: count,
            messages_delivered: count * 100,
            sends: count * 10,
            sent_bytes: count * 6400,
            busy_micros: count * 10,
            cpu_micros: Some(count * 15),
            memory: 64 << 20,
            lag: 5 << 20,
        };
        let channel = |number: u64| Channel {
            id: format!("room-{number}-{}", "x".repeat(50)),
            shard: 1,
            pattern: "fan-in-out".to_owned(),
            clients: 100 - number,
            messages_per_second: 20_000 + number,
        };
        Snapshot {
            version: "0.1.0".to_owned(),
            shards: (0..shards).map(shard).collect(),
            channels: (0..16).map(channel).collect(),
            clients: (0..16)
                .map(|slot| Client { client: format!("1023-{slot}"), channel: "lobby".to_owned(), behind: 4 << 20 })
                .collect(),
            refusals: vec![Refusal { reason: "too_many_connections_from_address".to_owned(), count: 812 }],
            complete: true,
        }
    }

    fn drawn(view: &View) -> String {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| view.draw(frame)).unwrap();
        let cells = terminal.backend().buffer().content().chunks(80);
        cells.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>() + "\n").collect()
    }

    fn view() -> View {
        let mut view = View::new("http://127.0.0.1:8080");
        let start = Instant::now();
        view.take(snapshot(1000, 2), start);
        view.take(snapshot(41_000, 2), start + Duration::from_secs(2));
        view
    }

    #[test]
    fn everything_stands_on_80_columns_and_24_rows() {
        let text = drawn(&view());
        for part in [
            "clients 24000  channels 680",
            "shards",
            "shard cpu  turns clients",
            "0     30%  20%   12000 ",
            "20.0k",
            "2.0M",
            "128.0M",
            "10.0",
            "5.2M",
            "67.1M",
            "busiest channels, by messages",
            "fan-in-out",
            "20.0k",
            "slowest clients",
            "1023-11",
            "lobby",
            "4.2M",
            "too_many_connections_from_address",
            "812",
            "q quit  s sort by clients  p pause",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert_eq!(text.lines().count(), 24);
    }

    #[test]
    fn with_many_shards_the_lists_keep_their_rows() {
        let mut view = View::new("http://127.0.0.1:8080");
        view.take(snapshot(1, 1024), Instant::now());
        let text = drawn(&view);
        for part in ["shards (8 of 1024)", "room-15", "1023-0", "q quit"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn channels_are_sorted_by_what_the_user_wants() {
        let mut view = view();
        let first = |view: &View| {
            let text = drawn(view);
            let at = text.find("room-").expect("there are channels");
            text[at..].chars().take_while(|c| *c != 'x').collect::<String>()
        };
        assert_eq!(first(&view), "room-15-");
        view.sort_by_next();
        assert_eq!(first(&view), "room-0-");
        view.sort_by_next();
        assert_eq!(first(&view), "room-0-");
        assert!(drawn(&view).contains("by id"));
        view.sort_by_next();
        assert_eq!(first(&view), "room-15-");
    }

    #[test]
    fn a_pause_keeps_the_picture() {
        let mut view = view();
        assert!(view.pause_or_go_on());
        view.take(snapshot(99_000, 2), Instant::now());
        let text = drawn(&view);
        assert!(text.contains("PAUSED") && text.contains("20.0k"), "{text}");
        assert!(!view.pause_or_go_on());
    }

    #[test]
    fn a_relay_that_does_not_answer_is_told_and_its_last_picture_stays() {
        let mut view = view();
        view.fail("no answer from 127.0.0.1:8080".to_owned());
        let text = drawn(&view);
        assert!(text.contains("no answer from") && text.contains("busiest channels"), "{text}");
        let text = drawn(&View::new("http://127.0.0.1:8080"));
        assert!(text.contains("127.0.0.1:8080"), "{text}");
    }
}
