//! Which names AWS accepts, service by service, in the words of its documentation.

/// What a service asks of a name.
pub(super) struct NameRule {
    /// The rule, after "AWS wants".
    pub(super) rule: &'static str,
    pub(super) longest: usize,
    pub(super) shortest: usize,
    holds: fn(&str) -> bool,
}

impl NameRule {
    pub(super) fn accepts(&self, name: &str) -> bool {
        (self.shortest..=self.longest).contains(&name.chars().count()) && (self.holds)(name)
    }
}

pub(super) const STACK: NameRule = NameRule {
    rule: "lower-case letters, digits and single hyphens, with a letter first and no hyphen last, \
           and not beginning with internal-, aws, sg-, sthree- or amzn-s3-demo-",
    longest: 63,
    shortest: 1,
    holds: |it| {
        let lower = it.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        let taken = ["internal-", "aws", "sg-", "sthree-", "amzn-s3-demo-"];
        lower && is_identifier(it) && !taken.iter().any(|prefix| it.starts_with(prefix))
    },
};

pub(super) const BALANCER: NameRule = NameRule {
    rule: "at most 32 letters, digits and hyphens, no hyphen at either end, and not internal- at the start",
    longest: 32,
    shortest: 1,
    holds: |it| is_hyphened(it) && !it.starts_with("internal-"),
};

pub(super) const TARGET_GROUP: NameRule = NameRule {
    rule: "at most 32 letters, digits and hyphens, no hyphen at either end",
    longest: 32,
    shortest: 1,
    holds: is_hyphened,
};

pub(super) const SECURITY_GROUP: NameRule = NameRule {
    rule: "at most 255 letters, digits, spaces and ._-:/()#,@[]+=&;{}!$*, not sg- at the start, and not \
           the word default",
    longest: 255,
    shortest: 1,
    holds: |it| {
        let fits = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
        it.chars().all(fits) && !it.starts_with("sg-") && it != "default" && it.trim() == it
    },
};

pub(super) const KEY_PAIR: NameRule = NameRule {
    rule: "at most 255 printable ASCII characters, no slash, no space at either end",
    longest: 255,
    shortest: 1,
    // A slash would lead out of the folder in which the private key is kept under this name.
    holds: |it| is_printable(it) && it.trim() == it && !it.contains(['/', '\\']) && it != "." && it != "..",
};

pub(super) const IMAGE: NameRule = NameRule {
    rule: "3 to 128 letters, digits, spaces and ()[]./-'@_",
    longest: 128,
    shortest: 3,
    holds: |it| it.chars().all(|c| c.is_ascii_alphanumeric() || "()[] ./-'@_".contains(c)),
};

pub(super) const DATABASE: NameRule = NameRule {
    rule: "at most 63 lower-case letters, digits and single hyphens, with a letter first and no hyphen last \
           (RDS would turn capitals into small letters)",
    longest: 63,
    shortest: 1,
    holds: |it| is_identifier(it) && !has_capitals(it),
};

pub(super) const DATABASE_SUBNETS: NameRule = NameRule {
    rule: "at most 255 lower-case letters, digits, spaces and ._-, with a letter first, and not the word \
           default (RDS would turn capitals into small letters)",
    longest: 255,
    shortest: 1,
    holds: |it| {
        !has_capitals(it)
            && it.starts_with(|c: char| c.is_ascii_alphabetic())
            && it.chars().all(|c| c.is_ascii_alphanumeric() || " ._-".contains(c))
            && it != "default"
    },
};

pub(super) const DATABASE_PARAMETERS: NameRule = NameRule {
    rule: "at most 255 lower-case letters, digits and single hyphens, with a letter first and no hyphen last \
           (RDS would turn capitals into small letters)",
    longest: 255,
    shortest: 1,
    holds: |it| is_identifier(it) && !has_capitals(it),
};

pub(super) const LAUNCH_TEMPLATE: NameRule = NameRule {
    rule: "3 to 128 letters, digits and ()./_-",
    longest: 128,
    shortest: 3,
    holds: |it| it.chars().all(|c| c.is_ascii_alphanumeric() || "()./_-".contains(c)),
};

pub(super) const SCALING_GROUP: NameRule = NameRule {
    rule: "at most 255 printable ASCII characters without spaces and colons",
    longest: 255,
    shortest: 1,
    holds: |it| it.chars().all(|c| c.is_ascii_graphic() && c != ':'),
};

pub(super) const SCALING_POLICY: NameRule = NameRule {
    rule: "at most 255 printable ASCII characters without colons",
    longest: 255,
    shortest: 1,
    holds: |it| is_printable(it) && !it.contains(':') && it.trim() == it,
};

pub(super) const ROLE: NameRule = NameRule {
    rule: "at most 64 letters, digits and _+=,.@-",
    longest: 64,
    shortest: 1,
    holds: |it| it.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c)),
};

pub(super) const ORIGIN_ACCESS: NameRule =
    NameRule { rule: "at most 64 printable ASCII characters", longest: 64, shortest: 1, holds: is_printable };

/// A value of the tag `Name`.
pub(super) const TAG: NameRule = NameRule {
    rule: "at most 256 letters, digits, spaces and _.:/=+-@",
    longest: 256,
    shortest: 1,
    holds: is_tag_text,
};

pub(super) const BUCKET: NameRule = NameRule {
    rule: "3 to 63 lower-case letters, digits, hyphens and dots, a letter or digit at both ends, no two \
           dots together, no IP address, and none of the prefixes and suffixes that S3 keeps for itself",
    longest: 63,
    shortest: 3,
    holds: |it| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        let is_end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let prefixes = ["xn--", "sthree-", "amzn-s3-demo-"];
        let suffixes = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];
        it.chars().all(fits)
            && it.starts_with(is_end)
            && it.ends_with(is_end)
            && !it.contains("..")
            && it.parse::<std::net::Ipv4Addr>().is_err()
            && !prefixes.iter().any(|prefix| it.starts_with(prefix))
            && !suffixes.iter().any(|suffix| it.ends_with(suffix))
    },
};

/// Letters, spaces and digits of any script and the few signs that every service takes in tags.
pub(super) fn is_tag_text(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c))
}

fn is_hyphened(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn is_identifier(name: &str) -> bool {
    is_hyphened(name) && !name.contains("--") && name.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// RDS keeps its names in lower case: another spelling would differ for ever from what it answers.
fn has_capitals(name: &str) -> bool {
    name.chars().any(|c| c.is_ascii_uppercase())
}

fn is_printable(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_graphic() || c == ' ')
}
