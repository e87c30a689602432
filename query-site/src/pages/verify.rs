//! How anyone checks the registry without believing this site: the genesis hash to pin, a proof form, and a recipe for
//! `openssl` alone, whose commands are run by a test as they stand on the page.

use super::frame::Frame;
use super::{Here, failure, ok};
use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ledger_types::keys::PublicKey;

#[derive(Template)]
#[template(path = "verify.html")]
struct Page {
    f: Frame,
    recipe: String,
}

pub async fn page(State(here): State<Here>, uri: Uri, headers: HeaderMap) -> Response {
    let f = here.frame(&uri, "verify", here.t("verify.title"));
    if f.view.tip.is_none() {
        return failure::no_state(&here, &uri);
    }
    let base = here.site.config().public_url.clone().unwrap_or_else(|| format!("http://{}", host(&headers)));
    ok(&Page { recipe: recipe(&f, base.trim_end_matches('/')), f })
}

/// Where the reader reached this site, if the header says so plainly.
fn host(headers: &HeaderMap) -> &str {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or("localhost");
    let is_plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    if is_plain && host.len() <= 100 { host } else { "localhost" }
}

/// SubjectPublicKeyInfo of an Ed25519 key (RFC 8410): a fixed head and the 32 bytes.
fn pem(key: &PublicKey) -> String {
    const HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    STANDARD.encode([&HEAD[..], &key.0[..]].concat())
}

fn recipe(f: &Frame, base: &str) -> String {
    let (origin, log, cosigners) = f.site.ledger().belief.judge(|trust| {
        let genesis = trust.genesis();
        let cosigners: Vec<(String, String)> = trust
            .validators()
            .iter()
            .map(|validator| (genesis.cosigner_name(validator.number), pem(&validator.cosign)))
            .collect();
        (genesis.origin.as_str().to_owned(), pem(&genesis.directory.central_bank_keys().log), cosigners)
    });
    let keys: String = cosigners.iter().map(|(name, key)| format!("{name} {key}\n")).collect();
    format!(
        r#"# {fetch}
curl -sS {base}/v1/checkpoint.txt -o checkpoint

# {split}
sed -n '1,3p' checkpoint > text
signature() {{ grep "^— $1 " checkpoint | cut -d' ' -f3 | openssl base64 -d -A; }}
pem() {{ printf -- '-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n' "$1"; }}

# {log_key}
pem {log} > log.pem
signature {origin} | tail -c 64 > log.sig
openssl pkeyutl -verify -pubin -inkey log.pem -rawin -in text -sigfile log.sig

# {cosign}
while read -r name key; do
  pem "$key" > cosigner.pem
  signature "$name" > blob
  [ -s blob ] || {{ echo "$name: no line"; continue; }}
  tail -c 64 blob > cosigner.sig
  time=$((0x$(head -c 12 blob | tail -c 8 | od -An -v -tx1 | tr -d ' \n')))
  printf 'cosignature/v1\ntime %s\n' "$time" | cat - text > message
  printf '%s at %s: ' "$name" "$time"
  openssl pkeyutl -verify -pubin -inkey cosigner.pem -rawin -in message -sigfile cosigner.sig
done <<KEYS
{keys}KEYS
"#,
        fetch = f.t("recipe.fetch"),
        split = f.t("recipe.split"),
        log_key = f.t("recipe.log_key"),
        cosign = f.t("recipe.cosign"),
    )
}
