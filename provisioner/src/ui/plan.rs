//! A plan as a diff that a person can read.

use serde_json::{Value as Json, json};

use super::{
    areas::by_area,
    paint::{Paint, about, tame},
};
use crate::{
    engine::{Action, Change, Plan, Step, short},
    timing::Forecast,
};

/// How many steps of each sort.
#[derive(Default)]
struct Counts {
    keep: usize,
    create: usize,
    change: usize,
    delete: usize,
    refuse: usize,
    wait: usize,
}

fn count(plan: &Plan) -> Counts {
    let mut counts = Counts::default();
    for it in &plan.steps {
        match it.action {
            Action::Keep => counts.keep += 1,
            Action::Create | Action::Remake { .. } => counts.create += 1,
            Action::Configure { .. } => counts.change += 1,
            Action::Delete => counts.delete += 1,
            Action::Refuse { .. } => counts.refuse += 1,
            Action::Wait { .. } => counts.wait += 1,
        }
    }
    counts
}

pub(super) fn text(plan: &Plan, forecast: &Forecast, paint: Paint) -> String {
    let counts = count(plan);
    if plan.is_empty() {
        return format!("Nothing to do: all {} resources are as wanted.\n", counts.keep);
    }
    let mut text = String::new();
    let steps = plan.steps.iter().filter(|it| it.action != Action::Keep);
    for (area, steps) in by_area(steps, |it| it.node.as_str()) {
        text += &format!("{}\n", paint.bold(area));
        for step in steps {
            step_text(step, paint, &mut text);
        }
        text.push('\n');
    }
    text + &last_line(&counts, forecast, paint)
}

fn step_text(step: &Step, paint: Paint, text: &mut String) {
    let node = &step.node;
    let line = match &step.action {
        Action::Keep => return,
        Action::Create => paint.green(&format!("  + {node}")),
        Action::Remake { why } => {
            format!("{}  failed ({}), made anew", paint.green(&format!("  + {node}")), tame(why))
        }
        Action::Wait { state } => format!("{}  {}", paint.cyan(&format!("  … {node}")), tame(state)),
        Action::Configure { .. } => paint.yellow(&format!("  ~ {node}")),
        Action::Refuse { .. } => paint.magenta(&format!("  ! {node}")),
        Action::Delete => paint.red(&format!("  - {node}")),
    };
    *text += &format!("{line}\n");
    match &step.action {
        Action::Configure { changes } => changes.iter().for_each(|it| change(it, paint, text)),
        Action::Refuse { why, changes } => {
            *text += &format!("      {}\n", paint.magenta(&tame(why)));
            changes.iter().for_each(|it| change(it, paint, text));
        }
        _ => (),
    }
}

/// One field; of a list, or of the lines of a text, only what comes and goes.
pub(super) fn change(it: &Change, paint: Paint, text: &mut String) {
    let (Some(have), Some(want)) = (parts(&it.have), parts(&it.want)) else {
        *text += &format!("      {}\n", tame(&it.to_string()));
        return;
    };
    *text += &format!("      {}:\n", it.field);
    for gone in have.iter().filter(|it| !want.contains(it)) {
        *text += &format!("        {}\n", paint.red(&format!("- {}", tame(&short(gone)))));
    }
    for new in want.iter().filter(|it| !have.contains(it)) {
        *text += &format!("        {}\n", paint.green(&format!("+ {}", tame(&short(new)))));
    }
}

fn parts(value: &Json) -> Option<Vec<Json>> {
    match value {
        Json::Array(all) => Some(all.clone()),
        Json::String(text) if text.contains('\n') => Some(text.lines().map(Json::from).collect()),
        _ => None,
    }
}

fn last_line(counts: &Counts, forecast: &Forecast, paint: Paint) -> String {
    let mut line = format!(
        "Plan: {} to create, {} to change, {} to delete, {} refused",
        counts.create, counts.change, counts.delete, counts.refuse
    );
    if 0 < counts.wait {
        line += &format!(", {} still under way", counts.wait);
    }
    if 0 < counts.keep {
        line += &format!(", {} as wanted", counts.keep);
    }
    let mut line = paint.bold(&line);
    if !forecast.total.is_zero() {
        line += &format!(
            "; takes about {} on AWS (longest chain: {})",
            about(forecast.total),
            forecast.chain.join(" → ")
        );
    }
    line + ".\n"
}

pub(super) fn object(plan: &Plan, forecast: &Forecast) -> Json {
    let counts = count(plan);
    json!({
        "event": "plan",
        "empty": plan.is_empty(),
        "create": counts.create,
        "change": counts.change,
        "delete": counts.delete,
        "refused": counts.refuse,
        "under-way": counts.wait,
        "as-wanted": counts.keep,
        "seconds": forecast.total.as_secs(),
        "chain": forecast.chain,
        "steps": plan.steps,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sample() -> Plan {
        let change = |field: &str, have: Json, want: Json| Change { field: field.into(), have, want };
        let step = |node: &str, action| Step { node: node.into(), action };
        let routes = (json!(["10.1.0.0/16 local"]), json!(["10.1.0.0/16 local", "0.0.0.0/0 igw-1"]));
        Plan {
            steps: vec![
                step("vpc/lab-vpc", Action::Keep),
                step("db-instance/lab-vpc-rds", Action::Create),
                step(
                    "route-table/public-subnet-a1-rt",
                    Action::Configure {
                        changes: vec![
                            change("routes", routes.0, routes.1),
                            change("tag Name", Json::Null, json!("rt")),
                        ],
                    },
                ),
                step(
                    "launch-template/asg-lt",
                    Action::Configure {
                        changes: vec![change("user_data", json!("a\nsum=1\nb\n"), json!("a\nsum=2\nb\n"))],
                    },
                ),
                step(
                    "subnet/private-subnet-a2",
                    Action::Refuse {
                        why: "AWS cannot change cidr in place".into(),
                        changes: vec![change("cidr", json!("10.1.5.0/24"), json!("10.1.7.0/24"))],
                    },
                ),
                step("nat-gateway/nat-gw-a1", Action::Wait { state: "pending".into() }),
                step("image/ami-old", Action::Delete),
                step("nat-gateway/nat-gw-c1", Action::Remake { why: "InsufficientFreeAddresses".into() }),
            ],
        }
    }

    fn forecast() -> Forecast {
        Forecast {
            total: Duration::from_secs(1900),
            chain: vec!["db-instance/lab-vpc-rds".into(), "replica/lab-vpc-rds-rr".into()],
            ..Forecast::default()
        }
    }

    #[test]
    fn a_plan_reads_as_a_diff_by_area() {
        insta::assert_snapshot!(text(&sample(), &forecast(), Paint { colours: false }));
    }

    #[test]
    fn each_sort_of_step_has_its_colour() {
        let text = text(&sample(), &forecast(), Paint { colours: true });
        for (sign, colour) in [("  + db", 32), ("  ~ route", 33), ("  - image", 31), ("  ! subnet", 35)] {
            assert!(text.contains(&format!("\x1b[{colour}m{sign}")), "{sign} in {text:?}");
        }
    }

    #[test]
    fn an_empty_plan_says_so_in_one_line() {
        let plan = Plan { steps: vec![Step { node: "vpc/lab-vpc".into(), action: Action::Keep }] };
        let text = text(&plan, &Forecast::default(), Paint { colours: false });
        assert_eq!(text, "Nothing to do: all 1 resources are as wanted.\n");
    }
}
