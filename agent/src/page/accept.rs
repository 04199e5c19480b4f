//! Which of two forms of a page somebody wants (RFC 9110, 12.5.1).

use axum::http::{HeaderMap, header};

/// How much a type is wanted, in thousandths, and which of the ranges said so.
#[derive(Clone, Copy)]
struct Wish {
    weight: u16,
    place: usize,
}

/// Whether JSON is wanted more than HTML; whoever has no wish, as well as whoever takes anything, gets HTML.
pub(super) fn wants_json(headers: &HeaderMap) -> bool {
    match (wish(headers, "application", "json"), wish(headers, "text", "html")) {
        (Some(json), _) if json.weight == 0 => false,
        (Some(json), Some(html)) if json.weight == html.weight => json.place < html.place,
        (Some(json), Some(html)) => json.weight > html.weight,
        (json, None) => json.is_some(),
        (None, Some(_)) => false,
    }
}

/// What the most precise range says about a type; `None` where it is not accepted.
fn wish(headers: &HeaderMap, kind: &str, form: &str) -> Option<Wish> {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|it| it.to_str().ok());
    let mut best: Option<(u8, Wish)> = None;
    for (place, range) in lines.flat_map(|it| it.split(',')).enumerate() {
        let mut parts = range.split(';').map(str::trim);
        let Some((a, b)) = parts.next().and_then(|it| it.split_once('/')) else { continue };
        let precision = match (a, b) {
            ("*", "*") => 0,
            (a, "*") if a.eq_ignore_ascii_case(kind) => 1,
            (a, b) if a.eq_ignore_ascii_case(kind) && b.eq_ignore_ascii_case(form) => 2,
            _ => continue,
        };
        let weight = parts.find_map(weight).unwrap_or(1000);
        if best.is_none_or(|(it, _)| precision > it) {
            best = Some((precision, Wish { weight, place }));
        }
    }
    best.map(|(_, it)| it)
}

/// `q=0.8` in thousandths; `None` for other parameters, and for what is no weight.
fn weight(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    let (whole, rest) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    let thousandths = format!("{whole}{rest:0<3}").parse().ok().filter(|it| *it <= 1000);
    thousandths.filter(|_| name.trim().eq_ignore_ascii_case("q"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn wants(lines: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::ACCEPT, HeaderValue::from_static(line));
        }
        wants_json(&headers)
    }

    #[test]
    fn json_goes_to_who_asks_for_it_and_html_to_browsers() {
        assert!(wants(&["application/json"]));
        assert!(wants(&["Application/JSON, text/plain;q=0.5"]));
        assert!(wants(&["application/json, text/plain, */*"]));
        assert!(!wants(&["text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8"]));
        assert!(!wants(&["*/*"]));
        assert!(!wants(&["image/png"]));
        assert!(!wants(&[]));
    }

    #[test]
    fn the_weight_decides_before_the_place_does() {
        assert!(!wants(&["application/json;q=0.5, text/html"]));
        assert!(wants(&["text/html;q=0.5, application/json"]));
        assert!(wants(&["*/*;q=0.8, application/json"]));
        assert!(wants(&["text/html ; charset=utf-8 ; Q=0.25, application/json;q=0.251"]));
        assert!(wants(&["application/json;q=0.5, text/html;q=0.500"]));
        assert!(!wants(&["text/html, application/json"]));
        assert!(wants(&["application/*, text/html;q=0.9"]));
    }

    #[test]
    fn a_weight_of_nothing_excludes() {
        assert!(!wants(&["application/json;q=0"]));
        assert!(!wants(&["application/json;q=0.0, text/html;q=0"]));
        assert!(wants(&["text/html;q=0, */*"]));
        assert!(!wants(&["application/*, application/json;q=0"]));
    }

    #[test]
    fn all_lines_count_and_what_is_no_weight_does_not() {
        assert!(wants(&["text/html;q=0.5", "application/json"]));
        assert!(!wants(&["text/html", "application/json"]));
        assert!(wants(&["text/html;q=0.5, application/json;q=7"]));
    }
}
