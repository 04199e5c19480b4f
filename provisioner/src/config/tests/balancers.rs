//! The balancers and their health checks.

use super::refuses;

#[test]
fn a_check_times_out_before_the_next_one() {
    refuses(
        "[balancers.web_check]\ninterval = 10\ntimeout = 10",
        (3, 11),
        "balancers.web_check.timeout = 10",
        "a check must fail before the next one begins, every 10 seconds",
        "write at most 9, or a longer interval",
    );
}

#[test]
fn a_shorter_interval_than_the_default_timeout_is_refused() {
    refuses(
        "[balancers.index_check]\ninterval = 5",
        (2, 12),
        "balancers.index_check.timeout = 5",
        "a check must fail before the next one begins, every 5 seconds",
        "write at most 4, or a longer interval",
    );
}

#[test]
fn an_interval_begins_at_5() {
    refuses(
        "[balancers.web_check]\ninterval = 4",
        (2, 12),
        "balancers.web_check.interval = 4",
        "is not between 5 and 300",
        "write a number from 5 to 300, such as 10",
    );
}

#[test]
fn thresholds_begin_at_2() {
    refuses(
        "[balancers.index_check]\nhealthy = 1",
        (2, 11),
        "balancers.index_check.healthy = 1",
        "is not between 2 and 10",
        "write a number from 2 to 10, such as 2",
    );
}

#[test]
fn thresholds_end_at_10() {
    refuses(
        "[balancers.index_check]\nunhealthy = 11",
        (2, 13),
        "balancers.index_check.unhealthy = 11",
        "is not between 2 and 10",
        "write a number from 2 to 10, such as 3",
    );
}

#[test]
fn a_path_begins_with_a_slash() {
    refuses(
        "[balancers.web_check]\npath = \"healthz\"",
        (2, 8),
        r#"balancers.web_check.path = "healthz""#,
        "is not a path: it begins with a slash and has at most 1024 characters, none of them a space",
        r#"write a path such as "/healthz""#,
    );
}

#[test]
fn codes_lie_between_200_and_499() {
    refuses(
        "[balancers.web_check]\ncodes = \"200-599\"",
        (2, 9),
        r#"balancers.web_check.codes = "200-599""#,
        "a balancer takes codes from 200 to 499: one, a list or a range",
        r#"write "200", "200,302" or "200-299", for example"#,
    );
}

#[test]
fn somebody_may_open_the_page() {
    refuses(
        "[balancers]\nopen_to = []",
        (2, 11),
        "balancers.open_to = []",
        "nobody could open the page",
        r#"write ["0.0.0.0/0"] for everybody, or the addresses of those who may"#,
    );
}

#[test]
fn a_host_drains_for_an_hour_at_most() {
    refuses(
        "[balancers]\nderegistration_delay = 3601",
        (2, 24),
        "balancers.deregistration_delay = 3601",
        "is not between 0 and 3600",
        "write a number from 0 to 3600, such as 300",
    );
}
