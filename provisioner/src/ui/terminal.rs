//! Live progress for a person who watches: what has ended scrolls by, what runs is redrawn below it.

use std::time::{Duration, Instant};

use unicode_width::UnicodeWidthStr;

use super::{
    Document, Renderer,
    out::Out,
    paint::{Paint, bare, clock, coarse, cut, fit, tame, words},
    plain::doing,
    progress::{Progress, Running},
};
use crate::{
    engine::{Event, Verb, What},
    timing::Forecast,
};

pub(super) struct Terminal {
    out: Out,
    paint: Paint,
    size: fn() -> (usize, usize),
    progress: Option<Progress>,
    /// Finished lines that have not been shown yet.
    scroll: String,
    /// How wide each line of the drawn region is, without colours.
    drawn: Vec<usize>,
    frame: usize,
}

/// Columns and rows; where they cannot be told, a classic terminal's.
pub(super) fn size() -> (usize, usize) {
    terminal_size::terminal_size().map_or((80, 24), |(w, h)| (usize::from(w.0), usize::from(h.0)))
}

impl Terminal {
    pub(super) fn new(out: Out, paint: Paint, size: fn() -> (usize, usize)) -> Self {
        Terminal { out, paint, size, progress: None, scroll: String::new(), drawn: Vec::new(), frame: 0 }
    }

    /// Replaces the live region by finished lines and a new region, in one write.
    fn draw(&mut self, lines: Vec<String>) {
        let (columns, _) = (self.size)();
        let mut frame = String::new();
        // After the window became narrower, a drawn line covers several rows.
        let rows: usize = self.drawn.iter().map(|it| it.div_ceil(columns.max(1)).max(1)).sum();
        if 0 < rows {
            frame += &format!("\x1b[{rows}A\r");
        }
        // Each line is overwritten and its rest cleared: nothing is ever blank in between.
        for line in self.scroll.lines().chain(lines.iter().map(String::as_str)) {
            frame += &format!("{line}\x1b[K\n");
        }
        frame += "\x1b[J";
        self.scroll.clear();
        self.drawn = lines.iter().map(|it| bare(it).width()).collect();
        // Terminals that know it hold the picture until the frame is complete.
        self.out.write(&format!("\x1b[?2026h{frame}\x1b[?2026l"));
    }

    /// What runs, whom the rest waits for, and the bar.
    fn region(&self, now: Instant) -> Vec<String> {
        let Some(progress) = &self.progress else { return Vec::new() };
        let (columns, rows) = (self.size)();
        let width = columns.saturating_sub(1).max(20);
        let mut lines = Vec::new();
        let running = progress.running();
        let room = rows.saturating_sub(4).clamp(1, 16);
        for (node, run, usually) in running.iter().take(room) {
            lines.push(self.running(node, run, *usually, now, width));
        }
        if room < running.len() {
            lines.push(self.paint.dim(&format!("   and {} more at work", running.len() - room)));
        }
        let held = progress.blockers(now);
        if !held.is_empty() {
            let held: Vec<String> = held.iter().map(|(by, n)| format!("{n} for {by}")).collect();
            lines.push(self.paint.dim(&cut(&format!("   waiting: {}", held.join(", ")), width)));
        }
        lines.push(self.bar(progress, now, width));
        lines
    }

    fn running(&self, node: &str, run: &Running, usually: Duration, now: Instant, width: usize) -> String {
        const SPIN: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
        let spin = SPIN[self.frame % SPIN.len()].to_string();
        let elapsed = now.saturating_duration_since(run.since);
        let mut time = clock(elapsed);
        // A thing of seconds needs no "usually".
        if Duration::from_secs(20) <= usually {
            time += &format!(" of ~{}", words(usually));
        }
        let names = (width / 2).min(44);
        let rest = width.saturating_sub(4 + names + time.width() + 1);
        let why = run.why.as_deref().map_or_else(|| doing(run.verb).to_owned(), tame);
        let time = if Duration::ZERO < usually && usually * 2 < elapsed && 60 < elapsed.as_secs() {
            self.paint.yellow(&time)
        } else {
            time
        };
        format!(
            " {} {} {} {time}",
            self.paint.cyan(&spin),
            fit(node, names),
            self.paint.dim(&fit(&why, rest))
        )
    }

    fn bar(&self, progress: &Progress, now: Instant, width: usize) -> String {
        let counts = progress.counts();
        let ended = counts.done + counts.failed + counts.skipped;
        let mut says = format!(" {ended}/{}", counts.total);
        if 0 < counts.failed {
            says += &format!(", {} failed", counts.failed);
        }
        if 0 < counts.skipped {
            says += &format!(", {} skipped", counts.skipped);
        }
        says += &format!("  {}", clock(now.saturating_duration_since(progress.began)));
        match progress.left(now) {
            Some(left) if Duration::ZERO < left => says += &format!(", ~{} left on AWS", words(coarse(left))),
            Some(_) if ended < counts.total => says += ", longer than usual",
            _ => (),
        }
        let says = cut(&says, width - 1);
        let room = width.saturating_sub(says.width() + 1).min(40);
        let full = (room * ended).checked_div(counts.total).unwrap_or_default();
        let bar = self.paint.green(&"━".repeat(full)) + &self.paint.dim(&"─".repeat(room - full));
        format!(" {bar}{says}")
    }
}

impl Renderer for Terminal {
    fn begin(&mut self, forecast: &Forecast) {
        self.progress = Some(Progress::new(forecast, Instant::now()));
    }

    fn event(&mut self, event: &Event) {
        let now = Instant::now();
        let Some(progress) = &mut self.progress else { return };
        let was = progress.event(event, now);
        let node = &event.node;
        let columns = (self.size)().0.saturating_sub(1).max(20);
        let line = match &event.what {
            What::Done { took } => {
                let names = columns.saturating_sub(26).min(56);
                let done = match was.map(|it| it.verb) {
                    Some(Verb::Delete) => "deleted",
                    Some(Verb::Configure) => "changed",
                    _ => "created",
                };
                format!(
                    " {} {} {done}  {}",
                    self.paint.green("✓"),
                    fit(node, names),
                    self.paint.dim(&words(*took))
                )
            }
            What::Failed { why } => format!(" {} {}", self.paint.red(&format!("✗ {node}:")), tame(why)),
            // Many nodes can be skipped at once; the report lists them by what stopped them.
            _ => return,
        };
        self.scroll += &format!("{line}\n");
    }

    fn tick(&mut self) {
        self.frame += 1;
        let lines = self.region(Instant::now());
        self.draw(lines);
    }

    fn end(&mut self) {
        self.draw(Vec::new());
        self.progress = None;
    }

    fn show(&mut self, document: &Document<'_>) {
        let text = document.text(self.paint);
        match &self.progress {
            None => self.out.write(&text),
            // In the middle of a run it scrolls by like everything else.
            Some(_) => self.scroll += &text,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{timing::Expected, ui::plain::tests::Screen};

    fn forecast() -> Forecast {
        let node = |node: &str, needs: &[usize], usually| Expected {
            node: node.to_owned(),
            needs: needs.to_vec(),
            usually: Duration::from_secs(usually),
            work: true,
        };
        let nodes = vec![
            node("vpc/lab-vpc", &[], 2),
            node("db-instance/lab-vpc-rds", &[0], 900),
            node("nat-gateway/nat-gw-a1-with-a-name-that-is-longer-than-a-screen-has-room-for", &[0], 90),
            node("replica/lab-vpc-rds-rr", &[1], 900),
            node("route-table/private-subnet-a1-rt", &[2], 2),
        ];
        Forecast { nodes, total: Duration::from_secs(1802), chain: Vec::new() }
    }

    fn tell(terminal: &mut Terminal, node: usize, what: What) {
        let node = forecast().nodes[node].node.clone();
        terminal.event(&Event { at: SystemTime::UNIX_EPOCH, node, what });
    }

    fn started(colours: bool) -> (Terminal, Screen) {
        let screen = Screen::default();
        let out = Out::new(Box::new(screen.clone()));
        let mut terminal = Terminal::new(out, Paint { colours }, || (80, 24));
        terminal.begin(&forecast());
        tell(&mut terminal, 0, What::Started { verb: Verb::Create });
        tell(&mut terminal, 0, What::Done { took: Duration::from_millis(1800) });
        tell(&mut terminal, 1, What::Started { verb: Verb::Create });
        tell(&mut terminal, 2, What::Started { verb: Verb::Create });
        tell(
            &mut terminal,
            2,
            What::Waiting { why: "pending,\x1b[2J and\nmore words than there is room for".into() },
        );
        (terminal, screen)
    }

    #[test]
    fn the_live_region_tells_what_runs_who_waits_and_what_is_left() {
        let (terminal, _) = started(false);
        let began = terminal.progress.as_ref().unwrap().began;
        insta::assert_snapshot!(terminal.region(began + Duration::from_millis(187_500)).join("\n"));
    }

    #[test]
    fn no_live_line_is_wider_than_the_screen() {
        for colours in [false, true] {
            let (terminal, _) = started(colours);
            for line in terminal.region(Instant::now()) {
                assert!(bare(&line).width() < 80, "{line}");
            }
        }
    }

    #[test]
    fn a_frame_overwrites_exactly_the_lines_of_the_one_before() {
        let (mut terminal, screen) = started(false);
        terminal.tick();
        let first = screen.text();
        assert!(first.contains("✓ vpc/lab-vpc"), "{first}");
        let lines = terminal.drawn.len();
        terminal.tick();
        let second = screen.text()[first.len()..].to_owned();
        assert!(second.starts_with(&format!("\x1b[?2026h\x1b[{lines}A\r")), "{second:?}");
        assert!(!second.contains("✓"), "a finished line is written once: {second:?}");
        terminal.end();
        let last = screen.text()[first.len() + second.len()..].to_owned();
        assert_eq!(
            last,
            format!("\x1b[?2026h\x1b[{lines}A\r\x1b[J\x1b[?2026l"),
            "nothing of the region stays"
        );
    }

    #[test]
    fn a_note_during_a_run_scrolls_by() {
        let (mut terminal, screen) = started(false);
        terminal.show(&Document::Note("stopping: what runs is finished first"));
        terminal.tick();
        let text = screen.text();
        let note = text.find("stopping").unwrap();
        assert!(note < text.find("⠙").unwrap(), "{text}");
    }

    #[test]
    fn more_nodes_than_rows_are_counted() {
        let (mut terminal, _) = started(false);
        terminal.size = || (80, 5);
        let lines = terminal.region(Instant::now());
        assert!(lines.iter().any(|it| it.contains("and 1 more at work")), "{lines:?}");
    }
}
