//! `[auth]`: who may connect.

use dunlin_auth::{
    providers::{certificate::NameSource, http::OnFailure},
    secret::Secret,
};

use super::setting::{
    Draft, Objection, Setting, boolean, integer, listed, object, quoted, quoted_or_none, setting, shown_or,
    shown_path,
};
use crate::config::{
    authentication::{AuthConfig, AuthKind},
    model::Config,
    value::Kind,
};

pub(super) const SETTINGS: &[Setting] = &[
    setting!("name", Kind::Text(1..=64), "", auth.name => text
        |name: &String| if name.is_empty() { "the kind".to_owned() } else { quoted(name) },
        "What listeners call it. Without it: its kind, and a number from the second on."),
    setting!("kind", Kind::Choice(&KINDS), "", auth.kind => auth_kind
        |kind: &Option<AuthKind>| quoted_or_none(&kind.map(AuthKind::word)),
        "What it is; the keys below belong to the kinds in brackets."),
    setting!("file", Kind::Text(1..=4_096), "", auth.file => path shown_path,
        "(`password_file`, `scram`) The file of users that `dunlin passwd` writes. It is read again when it changes."),
    setting!("cache_s", Kind::Integer(0..=31_536_000), "seconds", auth.cache_s => some_integer
        |seconds: &Option<u32>| shown_or("by kind", seconds),
        "(`password_file`) How long a right password is remembered, so that it need not be hashed again: a day. \
         A changed one acts at once. (`http`) How long the service is not asked again about a Client that it has let \
         in: a minute. 0 turns it off."),
    integer!(
        "cache_entries_max",
        0..=100_000_000,
        "Clients",
        auth.cache_entries_max,
        "(`password_file`, `http`) How many are remembered; beyond it those are forgotten that have not come for longest."
    ),
    setting!("user_name", Kind::Choice(&SOURCES), "", auth.user_name => name_source
        |source: &NameSource| quoted(&source.word()),
        "(`certificate`) Which name of the certificate is the user name: its common name, its whole subject, or the first \
         alternative name of this type."),
    setting!("secret", Kind::Secret(16..=65_535), "", auth.secret => some_secret shown_secret,
        "(`jwt`) The secret that tokens are signed with (HS256, HS384, HS512). Better in a file of its own:"),
    setting!("secret_file", Kind::Text(1..=4_096), "", auth.secret_file => path shown_path,
        "(`jwt`) A file with this secret, and perhaps the end of a line."),
    setting!("public_key_file", Kind::Text(1..=4_096), "", auth.public_key_file => path shown_path,
        "(`jwt`) The public key that tokens are signed with, in PEM: RSA, P-256, P-384 or Ed25519."),
    setting!("jwks_file", Kind::Text(1..=4_096), "", auth.jwks_file => path shown_path,
        "(`jwt`) A JSON Web Key Set with the keys, at most 100."),
    setting!("jwks_url", Kind::Text(1..=4_096), "", auth.jwks_url => some_text quoted_or_none,
        "(`jwt`) A service that publishes such a set, by `https://` or `http://`. It is asked when the first token comes."),
    integer!(
        "jwks_refresh_s",
        1..=31_536_000,
        "seconds",
        auth.jwks_refresh_s,
        "(`jwt`) How long such a set is used before it is fetched again; a key that is not in it has it fetched at once, at \
         most every 10 seconds."
    ),
    setting!("algorithms", Kind::Texts, "", auth.algorithms => texts |names: &Vec<String>| listed(names),
        "(`jwt`) The algorithms that are taken, such as `\"RS256\"`; empty for all that the keys are for."),
    setting!("issuers", Kind::Texts, "", auth.issuers => texts |names: &Vec<String>| listed(names),
        "(`jwt`) The issuers (`iss`) that are taken; empty for all."),
    setting!("audiences", Kind::Texts, "", auth.audiences => texts |names: &Vec<String>| listed(names),
        "(`jwt`) The audiences (`aud`) that are taken, one is enough; empty for all."),
    integer!(
        "leeway_s",
        0..=3_600,
        "seconds",
        auth.leeway_s,
        "(`jwt`) By how much clocks may differ (`exp`, `nbf`)."
    ),
    boolean!(
        "needs_expiry",
        auth.needs_expiry,
        "(`jwt`) Whether a token that does not end (`exp`) is refused."
    ),
    setting!("user_name_claim", Kind::Text(1..=256), "", auth.user_name_claim => text quoted,
        "(`jwt`) The claim with the user name; a dot goes into a nested one."),
    setting!("client_id_claim", Kind::Text(1..=256), "", auth.client_id_claim => text quoted,
        "(`jwt`) The claim with the only Client Identifier that the Client may have, if the token has it."),
    setting!("groups_claim", Kind::Text(1..=256), "", auth.groups_claim => text quoted,
        "(`jwt`) The claim with the groups of the user, a list or a text with blanks, if the token has it."),
    setting!("rights_claim", Kind::Text(1..=256), "", auth.rights_claim => text quoted,
        "(`jwt`) The claim with rights, `{\"publish\": [Topic Filters], \"subscribe\": [Topic Filters]}`, if the token has it: \
         they stand in the place of the listener's rules."),
    setting!("url", Kind::Text(1..=4_096), "", auth.url => some_text quoted_or_none,
        "(`http`) The service that is asked with POST."),
    setting!("authorization", Kind::Secret(1..=65_535), "", auth.authorization => some_secret shown_secret,
        "(`http`) The header `Authorization` for it, such as `\"Bearer ...\"`. Better in a file of its own:"),
    setting!("authorization_file", Kind::Text(1..=4_096), "", auth.authorization_file => path shown_path,
        "(`http`) A file with this header, and perhaps the end of a line."),
    setting!("ca_file", Kind::Text(1..=4_096), "", auth.ca_file => path shown_path,
        "(`http`, `jwt`) The CA of the service's certificate, in PEM. Without it: those that the operating system trusts."),
    integer!(
        "time_limit_ms",
        1..=3_600_000,
        "milliseconds",
        auth.time_limit_ms,
        "(`http`, `jwt`) Time for the answer of the service, connecting included."
    ),
    integer!(
        "concurrent_max",
        1..=65_535,
        "questions",
        auth.concurrent_max,
        "(`http`) Questions to the service at a time; further ones wait, within their time."
    ),
    setting!("on_failure", Kind::Choice(&FAILURES), "", auth.on_failure => on_failure
        |choice: &OnFailure| quoted(&choice.word()),
        "(`http`) What happens if the service does not answer, or with a status of 500 or more: the Client is refused \
         (Server unavailable), or the next provider is asked."),
];

const KINDS: [&str; 5] = ["password_file", "scram", "certificate", "jwt", "http"];
const SOURCES: [&str; 5] = ["common_name", "subject", "dns", "uri", "mail"];
const FAILURES: [&str; 2] = ["deny", "ignore"];

fn shown_secret(secret: &Option<Secret>) -> String {
    secret.as_ref().map_or("none".to_owned(), |secret| format!("{secret:?}"))
}

/// Another provider begins.
pub(super) fn begin(draft: &mut Draft) {
    draft.auth = AuthConfig::default();
}

/// The provider with this number.
pub(super) fn pick(draft: &mut Draft, config: &Config, number: usize) -> bool {
    config.auths.get(number).map(|provider| draft.auth = provider.clone()).is_some()
}

/// The provider is complete: checks what only the whole shows.
pub(super) fn end(draft: &mut Draft) -> Result<(), Objection> {
    let mut provider = draft.auth.clone();
    let Some(kind) = provider.kind else {
        return object(
            "name",
            "an [[auth]] without `kind`",
            &format!("`kind`, one of {}", KINDS.map(|it| quoted(&it)).join(", ")),
        );
    };
    let word = kind.word();
    let fresh = Draft::default();
    let is_given = |setting: &&Setting| (setting.show)(draft) != (setting.show)(&fresh);
    let is_foreign =
        |setting: &&Setting| !["name", "kind"].contains(&setting.key) && !kind.keys().contains(&setting.key);
    if let Some(setting) = SETTINGS.iter().filter(is_given).find(is_foreign) {
        let owners = AuthKind::ALL.into_iter().filter(|kind| kind.keys().contains(&setting.key));
        let owners = owners.map(|kind| quoted(&kind.word())).collect::<Vec<_>>().join(" or ");
        let found = format!("`{}` of a provider of kind `{word}`", setting.key);
        return object(setting.key, &found, &format!("`kind = {owners}` with it"));
    }
    check_whole(&provider, kind)?;
    name(&mut provider, word, &draft.auths)?;
    draft.auths.push(provider);
    Ok(())
}

fn check_whole(provider: &AuthConfig, kind: AuthKind) -> Result<(), Objection> {
    let missing = |key: &str, expected: &str| {
        object("kind", &format!("a provider of kind `{}` without `{key}`", kind.word()), expected)
    };
    match kind {
        AuthKind::PasswordFile | AuthKind::Scram if provider.file.is_none() => {
            missing("file", "`file = \"...\"`, a file of users; `dunlin passwd -c FILE USER` makes one")
        }
        AuthKind::Http if provider.url.is_none() => {
            missing("url", "`url = \"https://...\"`, the service that is asked")
        }
        AuthKind::Http if provider.authorization.is_some() && provider.authorization_file.is_some() => {
            object("authorization", "`authorization` and `authorization_file`", "one of them")
        }
        AuthKind::Jwt => {
            let sources = [
                provider.secret.is_some(),
                provider.secret_file.is_some(),
                provider.public_key_file.is_some(),
                provider.jwks_file.is_some(),
                provider.jwks_url.is_some(),
            ];
            match sources.into_iter().filter(|is_given| *is_given).count() {
                1 => Ok(()),
                0 => missing("a key", KEYS),
                _ => object("kind", "a provider of kind `jwt` with several kinds of keys", KEYS),
            }
        }
        _ => Ok(()),
    }
}

const KEYS: &str = "one of `secret`, `secret_file`, `public_key_file`, `jwks_file`, `jwks_url`; there may be several [[auth]]";

/// Gives a name to a provider without one, and refuses one that another has.
fn name(provider: &mut AuthConfig, word: &str, others: &[AuthConfig]) -> Result<(), Objection> {
    let is_taken = |name: &str| others.iter().any(|other| other.name == name);
    if provider.name.is_empty() {
        let numbered = (2..).map(|number| format!("{word}_{number}"));
        let free = std::iter::once(word.to_owned()).chain(numbered).find(|name| !is_taken(name));
        provider.name = free.unwrap_or_default();
    }
    if is_taken(&provider.name) {
        let found = format!("a second provider with the name `{}`", provider.name);
        return object("name", &found, "a name of its own");
    }
    Ok(())
}
