//! The page as HTML. Whatever comes from the database or the configuration goes through [`Escaped`].

use std::{
    fmt::{self, Write},
    time::SystemTime,
};

use base64::Engine;
use sha2::{Digest, Sha256};

use super::{
    answer::{CREATE, Role, Sample, Trouble},
    escaped::Escaped,
    share::Content,
};
use crate::{converge::State, feed::Feed, steps::php::digest};

static STYLE: &str = include_str!("../../data/page.css");

/// The style sheet's hash, for the content security policy.
pub fn style_hash() -> String {
    format!("sha256-{}", base64::engine::general_purpose::STANDARD.encode(Sha256::digest(STYLE)))
}

/// The whole page.
pub fn html(content: &Content) -> Vec<u8> {
    let rows = content.good.as_ref().map_or(0, |it| it.answer.rows.len());
    let mut out = String::with_capacity(6 * 1024 + rows * 96);
    // Writing into a String does not fail.
    let _ = write(&mut out, content);
    out.into_bytes()
}

fn write(out: &mut String, content: &Content) -> fmt::Result {
    let host = &content.feed.identity;
    let name = if host.hostname.is_empty() { "This host" } else { &host.hostname };
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{name}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<header>\n<h1>{name}</h1>\n",
        name = Escaped(name)
    )?;
    if let Some(ip) = &host.private_ip {
        writeln!(out, "<p>private IP <b class=\"ip\">{}</b></p>", Escaped(ip))?;
    }
    out.push_str("</header>\n");
    notice(out, content)?;
    out.push_str("<div class=\"cards\">\n");
    host_card(out, &content.feed)?;
    database_card(out, content)?;
    files_card(out, &content.feed)?;
    out.push_str("</div>\n");
    table(out, content)?;
    footer(out, content)?;
    out.push_str("</main>\n</body>\n</html>\n");
    Ok(())
}

/// What is wrong, and how old that makes the rows.
fn notice(out: &mut String, content: &Content) -> fmt::Result {
    let Some(trouble) = &content.trouble else { return Ok(()) };
    match &content.good {
        Some(good) => {
            let age = words(content.now.duration_since(good.at).unwrap_or_default());
            let of = if content.server().is_some() { "" } else { ", of another database" };
            write!(
                out,
                "<div class=\"note mild\" role=\"alert\"><strong>These rows are {age} old{of}.</strong>"
            )?;
        }
        None => {
            out.push_str("<div class=\"note\" role=\"alert\"><strong>There are no rows to show.</strong>")
        }
    }
    match trouble {
        Trouble::NoTable => {
            write!(
                out,
                "The table SAMPLE is missing. It comes with <kbd>lamp db seed</kbd>, or by hand with<code>{CREATE};</code>"
            )?;
        }
        other => write!(out, "{}", Escaped(&sentence(&other.words())))?,
    }
    out.push_str("</div>\n");
    Ok(())
}

fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    match letters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), letters.as_str()),
        None => String::new(),
    }
}

fn row(out: &mut String, name: &str, value: &str) -> fmt::Result {
    writeln!(out, "<dt>{name}</dt><dd>{}</dd>", Escaped(value))
}

fn card(out: &mut String, title: &str, (kind, tag): (&str, &str)) -> fmt::Result {
    write!(
        out,
        "<section class=\"card\"><h2>{title}<span class=\"tag {kind}\">{}</span></h2>\n<dl>\n",
        Escaped(tag)
    )
}

fn host_card(out: &mut String, feed: &Feed) -> fmt::Result {
    let host = &feed.identity;
    card(out, "Host", if feed.converged { ("good", "in order") } else { ("bad", "not in order yet") })?;
    row(out, "Instance", &host.instance)?;
    row(out, "Zone", host.zone.as_deref().unwrap_or("unknown"))?;
    row(out, "Private IP", host.private_ip.as_deref().unwrap_or("unknown"))?;
    if !feed.os.is_empty() {
        row(out, "System", &feed.os)?;
    }
    // Visitors need not know what it is made of.
    let generation = feed.generation.as_ref().map(|it| digest([it]));
    row(out, "Generation", generation.as_deref().unwrap_or("none yet"))?;
    out.push_str("</dl>");
    let failed = feed.steps.iter().find(|(_, it)| it.required && it.state == State::Failed);
    if let Some((name, report)) = failed {
        let words = report.words.as_deref().unwrap_or_default();
        write!(out, "<p class=\"words\">{}: {}</p>", Escaped(name), Escaped(words))?;
    }
    out.push_str("</section>\n");
    Ok(())
}

fn database_card(out: &mut String, content: &Content) -> fmt::Result {
    let server = content.server();
    let tag = match (&content.trouble, server.map(|it| it.role)) {
        (None | Some(Trouble::NoTable), Some(Role::Primary)) => ("good", "primary"),
        (None | Some(Trouble::NoTable), Some(Role::Replica)) => ("lamp", "replica, read-only"),
        (Some(Trouble::Unknown(_)), _) => ("soft", "not known"),
        (Some(Trouble::NoTable), None) => ("lamp", "empty"),
        _ => ("bad", "away"),
    };
    card(out, "Database", tag)?;
    match (server, &content.feed.database) {
        (Some(server), _) => {
            row(out, "Endpoint", &server.endpoint)?;
            row(out, "Address", &server.address)?;
            row(out, "Server", &server.hostname)?;
            row(out, "Version", &server.version)?;
            row(out, "Connection", if server.encrypted { "TLS, verified" } else { "not encrypted" })?;
        }
        (None, Some(database)) => row(out, "Endpoint", &database.endpoint)?,
        (None, None) => row(out, "Endpoint", "none yet")?,
    }
    out.push_str("</dl></section>\n");
    Ok(())
}

fn files_card(out: &mut String, feed: &Feed) -> fmt::Result {
    let step = feed.steps.get("efs");
    let state = step.map(|it| it.state);
    let tag = match (&feed.files, state) {
        (None, _) => ("soft", "none"),
        (Some(_), Some(State::Ok)) => ("good", "mounted"),
        (Some(_), Some(State::Failed)) => ("bad", "away"),
        (Some(_), _) => ("lamp", "not mounted yet"),
    };
    card(out, "Shared files", tag)?;
    if let Some(files) = &feed.files {
        row(out, "File system", &files.id)?;
        row(out, "Mounted at", "/efs")?;
        row(out, "Transport", &files.transport)?;
    }
    out.push_str("</dl>");
    if let Some(words) = step.filter(|it| it.state != State::Ok).and_then(|it| it.words.as_ref()) {
        write!(out, "<p class=\"words\">{}</p>", Escaped(words))?;
    }
    out.push_str("</section>\n");
    Ok(())
}

fn table(out: &mut String, content: &Content) -> fmt::Result {
    let Some(good) = &content.good else { return Ok(()) };
    let rows = &good.answer.rows;
    let count = match (rows.len(), good.answer.truncated) {
        (n, true) => format!("the first {n}"),
        (1, _) => "1 row".to_owned(),
        (n, _) => format!("{n} rows"),
    };
    writeln!(out, "<section class=\"rows\"><h2>Sample<span class=\"tag soft\">{count}</span></h2>")?;
    if rows.is_empty() {
        out.push_str("<p class=\"empty\">The table is empty.</p>\n");
    } else {
        out.push_str("<table>\n<thead><tr><th scope=\"col\">ID</th><th scope=\"col\">Name</th><th scope=\"col\">Address</th></tr></thead>\n<tbody>\n");
        for Sample { id, name, address } in rows {
            out.push_str("<tr>");
            for value in [id, name, address] {
                match value {
                    Some(text) => write!(out, "<td>{}</td>", Escaped(text))?,
                    None => out.push_str("<td><i>NULL</i></td>"),
                }
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody>\n</table>\n");
    }
    out.push_str("</section>\n");
    Ok(())
}

fn footer(out: &mut String, content: &Content) -> fmt::Result {
    out.push_str("<footer>");
    match &content.good {
        Some(good) => write!(out, "<span>Rows as of <time>{}</time></span>", time(good.at))?,
        None => write!(out, "<span>Asked at <time>{}</time></span>", time(content.now))?,
    }
    if !content.feed.agent_version.is_empty() {
        write!(out, "<span>lampd {}</span>", Escaped(&content.feed.agent_version))?;
    }
    out.push_str("<span><a href=\"/index.json\">as JSON</a></span></footer>\n");
    Ok(())
}

/// A moment, to the millisecond, in UTC.
pub fn time(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at)
        .map_or_else(|_| "unknown".to_owned(), |it| it.strftime("%F %T.%3f UTC").to_string())
}

/// An age for a reader.
fn words(age: std::time::Duration) -> String {
    match age.as_secs() {
        0 => format!("{} ms", age.as_millis()),
        it @ 1..120 => format!("{it} s"),
        it @ 120..7200 => format!("{} min", it / 60),
        it => format!("{} h", it / 3600),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        time::{Duration, Instant},
    };

    use super::*;
    use crate::page::{
        answer::{Answer, Server},
        share::Good,
    };

    fn good(rows: Vec<Sample>) -> Good {
        let server = Server {
            endpoint: "db".into(),
            address: "10.1.5.4".into(),
            hostname: "ip-10-1-5-4".into(),
            version: "8.4".into(),
            role: Role::Primary,
            encrypted: true,
        };
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        Good { answer: Answer { server, rows, truncated: false }, begun: Instant::now(), at }
    }

    /// The page of a stack whose database is `endpoint`.
    fn page(good: Option<Good>, trouble: Option<Trouble>, age: u64, endpoint: &str) -> String {
        let now = good.as_ref().map_or(SystemTime::now(), |it| it.at + Duration::from_secs(age));
        let database = serde_json::json!({
            "endpoint": endpoint, "port": 3306, "name": "n", "user": "u", "password": "p", "roots": null
        });
        let database = serde_json::from_value(database).unwrap();
        let feed = Arc::new(Feed { database: Some(database), ..Feed::default() });
        String::from_utf8(html(&Content { feed, good: good.map(Arc::new), trouble, now })).unwrap()
    }

    #[test]
    fn nothing_that_a_row_holds_becomes_markup() {
        let hostile = "<script>alert('1')</script>\"&\0😀";
        let rows = vec![Sample { id: Some("1".into()), name: Some(hostile.into()), address: None }];
        let page = page(Some(good(rows)), None, 0, "db");
        assert!(
            page.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;\u{fffd}😀"),
            "{page}"
        );
        assert!(page.contains("<td><i>NULL</i></td>"));
        assert!(!page.contains("<script"));
    }

    #[test]
    fn old_rows_are_marked_with_their_age_and_the_reason() {
        let away = Trouble::Away("the database at db cannot be reached: refused".into());
        let page = page(Some(good(Vec::new())), Some(away), 75, "db");
        assert!(
            page.contains("These rows are 75 s old.")
                && page.contains("The database at db cannot be reached: refused."),
            "{page}"
        );
    }

    #[test]
    fn a_former_database_is_not_shown_as_the_one_that_has_no_table() {
        let page = page(Some(good(Vec::new())), Some(Trouble::NoTable), 3, "another");
        assert!(page.contains("These rows are 3 s old, of another database."), "{page}");
        assert!(page.contains("<dd>another</dd>") && !page.contains("10.1.5.4"), "{page}");
        assert!(page.contains(">empty<") && !page.contains(">primary<"), "{page}");
    }

    #[test]
    fn a_missing_table_says_how_to_create_it() {
        assert!(page(None, Some(Trouble::NoTable), 0, "db").contains(CREATE));
    }
}
