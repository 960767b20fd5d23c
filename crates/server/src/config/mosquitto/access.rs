//! Who may connect, by a `mosquitto.conf`: for all listeners, or for each by itself.

use super::{lines::Line, outcome::Outcome};

/// What is set about it, with the numbers of the lines in the report.
#[derive(Clone, Debug, Default)]
pub(super) struct Access {
    pub(super) password_file: Option<(usize, String)>,
    pub(super) acl_file: Option<(usize, String)>,
    pub(super) allows_anonymous: Option<(usize, bool)>,
    pub(super) allows_empty_id: Option<(usize, bool)>,
    /// Whether a plugin says who may do what.
    pub(super) has_plugin: bool,
}

impl Access {
    /// What becomes of an option about it, which is line `number` of the report; nothing if it is none.
    pub(super) fn option(&mut self, line: &Line, number: usize) -> Option<Outcome> {
        let value = line.value.clone();
        let is_true = value == "true";
        Some(match &*line.key {
            "password_file" => {
                self.password_file = Some((number, value));
                Outcome::taken("an [[auth]] of kind `password_file`, with the same file")
            }
            "acl_file" => {
                self.acl_file = Some((number, value));
                Outcome::taken("`acl_file` in [rights], the same file")
            }
            "allow_anonymous" => {
                self.allows_anonymous = Some((number, is_true));
                Outcome::taken("`allow_anonymous` of the listeners")
            }
            "allow_zero_length_clientid" => {
                self.allows_empty_id = Some((number, is_true));
                Outcome::taken("`allow_empty_client_id` in [mqtt]")
            }
            "auto_id_prefix" if value == "auto-" => Outcome::not_needed("it is always that one"),
            "auto_id_prefix" => Outcome::not_supported("an Assigned Client Identifier begins with `auto-`"),
            "psk_file" => Outcome::not_supported("there are no pre-shared keys: give Clients certificates"),
            "auth_plugin" | "plugin" | "global_plugin" | "plugin_load" | "plugin_use" => {
                self.has_plugin = true;
                Outcome::not_supported(
                    "there are no plugins: [[auth]] asks files, tokens and services, [rights] has rules",
                )
            }
            "auth_plugin_deny_special_chars" => Outcome::not_needed("there are no plugins"),
            key if key.starts_with("auth_opt_") || key.starts_with("plugin_opt_") => {
                Outcome::not_supported("there are no plugins")
            }
            _ => return None,
        })
    }
}
