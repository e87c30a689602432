//! Who validates, when each signed last, how long a confirmation takes, and the observers behind this site.

use super::frame::Frame;
use super::{Here, failure, ok};
use crate::api::ROLES;
use crate::chart::{Chart, Line, Shape};
use crate::ledger::UpstreamStanding;
use crate::show;
use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;

const BARS: usize = 120;

#[derive(Template)]
#[template(path = "network.html")]
struct Page {
    f: Frame,
    validators: Vec<Validator>,
    total_power: u64,
    quorum_power: u64,
    others: Vec<(u16, String, String)>,
    observers: Vec<Observer>,
    chart: Option<String>,
    median: Option<String>,
    slowest: Option<String>,
    samples: usize,
}

struct Validator {
    number: u16,
    name: String,
    roles: String,
    power: u64,
    signed_at_ms: Option<u64>,
    keys: [(&'static str, String); 3],
}

struct Observer {
    name: String,
    height: u64,
    standing: String,
    is_good: bool,
    verified_at_ms: Option<u64>,
}

pub async fn page(State(here): State<Here>, uri: Uri) -> Response {
    let f = here.frame(&uri, "network", here.t("network.title"));
    let Some(tip) = f.view.tip.clone() else { return failure::no_state(&here, &uri) };
    let signed = |number| tip.cosigned.iter().find(|(signer, _)| *signer == number).map(|(_, at_s)| at_s * 1_000);
    let (validators, total_power, others) = here.site.ledger().belief.judge(|trust| {
        let directory = &trust.genesis().directory;
        let roles = |number| {
            let held = directory.get(number).map(|line| line.roles);
            let held = ROLES.iter().filter(|(role, _)| held.is_some_and(|held| held.include(*role)));
            let names: Vec<&str> = held.map(|(_, name)| f.t(&format!("role.{name}"))).collect();
            names.join(f.t("list.comma"))
        };
        let name = |number| directory.get(number).map_or(String::new(), |line| line.name.as_str().to_owned());
        let validators = trust.validators().iter().map(|validator| Validator {
            number: validator.number.0,
            name: name(validator.number),
            roles: roles(validator.number),
            power: validator.power,
            signed_at_ms: signed(validator.number),
            keys: [
                (f.t("network.key_consensus"), validator.consensus.to_string()),
                (f.t("network.key_cosign"), validator.cosign.to_string()),
                (f.t("network.key_bundle"), validator.bundle.to_string()),
            ],
        });
        let others = directory.iter().filter(|line| trust.validators().get(line.number).is_none());
        let others = others.map(|line| (line.number.0, line.name.as_str().to_owned(), roles(line.number))).collect();
        (validators.collect(), trust.validators().total_power(), others)
    });
    let observers = f.view.upstreams.iter().map(|upstream| Observer {
        name: upstream.name.clone(),
        height: upstream.height,
        standing: match &upstream.standing {
            UpstreamStanding::Lies(failure) => {
                let (number, name, _) = failure::named(&f, *failure);
                f.fill("standing.lies", &[&name, &number])
            }
            standing => f.t(&format!("standing.{}", standing.code())).to_owned(),
        },
        is_good: upstream.standing == UpstreamStanding::Answers,
        verified_at_ms: upstream.verified_at_ms,
    });
    let observers = observers.collect();
    let mut lags: Vec<(u64, u64)> = f
        .view
        .tail
        .states()
        .iter()
        .rev()
        .filter_map(|state| Some((state.leaf.time_ms, state.lag_ms()?)))
        .take(BARS)
        .collect();
    lags.reverse();
    let mut sorted: Vec<u64> = lags.iter().map(|(_, lag)| *lag).collect();
    sorted.sort_unstable();
    let median = sorted.get(sorted.len() / 2).map(|ms| show::seconds(f.language, *ms));
    let slowest = sorted.last().map(|ms| show::seconds(f.language, *ms));
    let chart = chart(&f, &lags, median.as_deref(), slowest.as_deref());
    let quorum_power = total_power * 2 / 3 + 1;
    let samples = lags.len();
    ok(&Page { f, validators, total_power, quorum_power, others, observers, chart, median, slowest, samples })
}

fn chart(f: &Frame, lags: &[(u64, u64)], median: Option<&str>, slowest: Option<&str>) -> Option<String> {
    let points = lags.iter().map(|(at, lag)| (*at, *lag as f64 / 1_000.0)).collect();
    let lines = [Line { class: "line-a", points, shape: Shape::Bars }];
    Chart {
        id: "lag",
        title: f.t("network.lag_title"),
        description: &f.fill("network.lag_chart", &[&lags.len(), &median?, &slowest?]),
        lines: &lines,
        x_label: &show::short_time,
        // Ticks are sums of steps such as 0.2: to a thousandth they are exact again.
        y_label: &|value| f.fill("seconds", &[&((value * 1_000.0).round() / 1_000.0)]),
    }
    .svg()
}
