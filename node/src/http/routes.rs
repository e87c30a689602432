//! Every path of the interface, from the very lines that the routers are built of: what is served stands in the list, so a test
//! can hold each path to a refusal of its own.

use super::{contracts, desk, events, ledger, lending, log, metrics, reconciliation, state_copy};

/// One method of one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub method: &'static str,
    /// Its parameters in braces: `/v1/coins/{coin}`.
    pub path: &'static str,
}

/// `const LIST, fn build -> Router<State> { GET "/path" => handler; … }`: the list, and the router of the same lines.
macro_rules! routes {
    (const $list:ident, fn $build:ident -> Router<$state:ty> { $($method:ident $path:literal => $handler:expr;)+ }) => {
        pub(super) const $list: &[$crate::http::routes::Route] =
            &[$($crate::http::routes::Route { method: stringify!($method), path: $path }),+];

        fn $build() -> axum::Router<$state> {
            axum::Router::new()
                $(.route($path, axum::routing::on(axum::routing::MethodFilter::$method, $handler)))+
        }
    };
}

pub(super) use routes;

/// What everyone who reaches the node may ask. A list that is left out here and below is dead code, which the lints refuse.
pub fn public() -> Vec<Route> {
    [ledger::PUBLIC, ledger::BUNDLES, contracts::CONTRACTS, log::LOG, events::EVENTS, metrics::METRICS].concat()
}

/// What takes the node's own token.
pub fn own() -> Vec<Route> {
    let desks = [desk::DESK, desk::BATCHES, lending::LENDING, reconciliation::RECONCILIATION].concat();
    [ledger::OWN, ledger::ENVELOPES, state_copy::STATE_COPY, &desks].concat()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn no_path_is_served_beside_the_list() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if name == "routes.rs" || name == "tests.rs" {
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            // Tests have small routers of their own.
            let source = source.split("#[cfg(test)]").next().unwrap();
            for builds in [".route(", ".nest(", ".route_service("] {
                assert!(!source.contains(builds), "{name}: {builds}…) serves what stands in no list");
            }
        }
    }
}
