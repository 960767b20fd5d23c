//! Who may not come in: what `[[ban]]` has, and what `[limits]` has about Clients that connect again and again.

/// Bans that are configured, and when the Server makes one itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BansConfig {
    /// Those that are configured.
    pub bans: Vec<BanConfig>,
    /// A Client that connects more often than this in the window is banned; 0 turns it off.
    pub flapping_connects_max: u32,
    /// Seconds of the window.
    pub flapping_window_s: u32,
    /// Seconds of such a ban.
    pub flapping_ban_s: u32,
}

/// One ban; whoever fits all that it names may not come in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BanConfig {
    /// A user name, or its beginning and `*`.
    pub user: Option<String>,
    /// A Client Identifier, or its beginning and `*`.
    pub client_id: Option<String>,
    /// An address, or a range of them.
    pub address: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

impl Default for BansConfig {
    fn default() -> Self {
        Self { bans: Vec::new(), flapping_connects_max: 0, flapping_window_s: 60, flapping_ban_s: 300 }
    }
}
