//! `ringrelay top`: a running relay on a terminal, asked over HTTP as anyone would.

mod options;
mod question;
mod rates;
mod snapshot;
mod view;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::{DefaultTerminal, Terminal, backend::TestBackend};

use question::Question;
use snapshot::Snapshot;
use view::View;

pub use options::TopConfig;

/// Shows the relay until the user has seen enough. Exit status 0, 1 if there is no terminal or (`--once`) no answer, 2 if a
/// setting is wrong.
pub fn run(config: &TopConfig) -> ExitCode {
    let question = match Question::new(config) {
        Ok(question) => question,
        Err(failure) => {
            eprintln!("ringrelay: {failure}");
            return ExitCode::from(2);
        }
    };
    let done = if config.once { once(config, &question) } else { watch(config, question) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringrelay: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints what two answers, an interval apart, show.
fn once(config: &TopConfig, question: &Question) -> io::Result<()> {
    let mut view = View::new(&config.server);
    view.take(question.ask().map_err(io::Error::other)?, Instant::now());
    thread::sleep(config.interval());
    view.take(question.ask().map_err(io::Error::other)?, Instant::now());
    let mut terminal = Terminal::new(TestBackend::new(ONCE_SIZE.0, ONCE_SIZE.1)).map_err(io::Error::other)?;
    terminal.draw(|frame| view.draw(frame)).map_err(io::Error::other)?;
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for row in buffer.content().chunks(usize::from(ONCE_SIZE.0)) {
        let line: String = row.iter().map(|cell| cell.symbol()).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    io::stdout().write_all(text.as_bytes())
}

fn watch(config: &TopConfig, question: Question) -> io::Result<()> {
    let paused = Arc::new(AtomicBool::new(false));
    let answers = ask_again_and_again(question, config.interval(), paused.clone())?;
    let mut view = View::new(&config.server);
    let mut terminal = ratatui::try_init()?;
    let ended = show(&mut terminal, &mut view, &answers, &paused);
    ratatui::restore();
    ended
}

/// Asks on a thread of its own: keys are answered while a relay is not.
fn ask_again_and_again(
    question: Question,
    interval: Duration,
    paused: Arc<AtomicBool>,
) -> io::Result<Receiver<Result<Snapshot, String>>> {
    let (answer, answers) = mpsc::sync_channel(1);
    thread::Builder::new().name("question".to_owned()).spawn(move || {
        loop {
            // Ends with the view: nobody takes the answer.
            if !paused.load(Ordering::Relaxed) && answer.send(question.ask()).is_err() {
                return;
            }
            thread::sleep(interval);
        }
    })?;
    Ok(answers)
}

fn show(
    terminal: &mut DefaultTerminal,
    view: &mut View,
    answers: &Receiver<Result<Snapshot, String>>,
    paused: &AtomicBool,
) -> io::Result<()> {
    loop {
        while let Ok(answer) = answers.try_recv() {
            match answer {
                Ok(snapshot) => view.take(snapshot, Instant::now()),
                Err(error) => view.fail(error),
            }
        }
        terminal.draw(|frame| view.draw(frame))?;
        if !event::poll(KEY_PATIENCE)? {
            continue;
        }
        let Event::Key(key) = event::read()? else { continue };
        if key.kind != KeyEventKind::Press {
            continue;
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(()),
            KeyCode::Char('s') => view.sort_by_next(),
            KeyCode::Char('p' | ' ') => paused.store(view.pause_or_go_on(), Ordering::Relaxed),
            _ => {}
        }
    }
}

/// How long keys are waited for until the picture is drawn anew.
const KEY_PATIENCE: Duration = Duration::from_millis(100);

/// Columns and rows of what `--once` prints: those of a small terminal.
const ONCE_SIZE: (u16, u16) = (80, 24);
