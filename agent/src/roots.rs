//! The certificates that Amazon's databases answer to.

/// Every region's, each after a line `# <region> <name>`; where it is from is in its first line.
static ALL: &str = include_str!("../data/rds-roots.pem");

/// The roots of one region; all of them where the region is unknown, since a new region may be older than this list.
pub fn of_region(region: &str) -> String {
    let own = pick(|it| it == region);
    if own.is_empty() { pick(|_| true) } else { own }
}

fn pick(wanted: impl Fn(&str) -> bool) -> String {
    let (mut out, mut taking) = (String::new(), false);
    for line in ALL.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            taking = comment.contains(" Root CA ") && wanted(comment.split(' ').next().unwrap_or_default());
        } else if taking {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificates(pem: &str) -> usize {
        use rustls::pki_types::{CertificateDer, pem::PemObject};
        CertificateDer::pem_slice_iter(pem.as_bytes()).filter(Result::is_ok).count()
    }

    #[test]
    fn seoul_has_three_roots_and_an_unknown_region_gets_all() {
        assert_eq!(certificates(&of_region("ap-northeast-2")), 3);
        assert_eq!(certificates(&of_region("mars-north-1")), ALL.matches("BEGIN").count());
    }
}
