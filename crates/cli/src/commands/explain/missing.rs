//! Why a Client does not get a message.

use std::io::{self, Write};

use dunlin_admin_api::explain::{Check, Finding, Missing};

use crate::commands::admin::rows::safe;

pub(super) fn print(missing: &Missing, out: &mut impl Write) -> io::Result<()> {
    for step in &missing.steps {
        let mark = match step.finding {
            Finding::Fine => "yes",
            Finding::Perhaps => "?",
            Finding::Cause => "no",
            Finding::Unknown => "-",
        };
        writeln!(out, "{mark:<3}  {:<17}  {}", question(step.check), safe(&step.words))?;
    }
    writeln!(out, "{}", safe(&missing.conclusion))
}

/// What `yes` and `no` answer.
fn question(check: Check) -> &'static str {
    match check {
        Check::Session => "has a Session?",
        Check::Connection => "is connected?",
        Check::Subscription => "has subscribed?",
        Check::ReceiveRight => "may receive?",
        Check::Publisher => "may be published?",
        Check::NoLocal => "from another?",
        Check::Shared => "is its turn?",
        Check::Drops => "none was dropped?",
        Check::PacketSize => "is small enough?",
        Check::InFlight => "does acknowledge?",
        Check::Output => "does read?",
        Check::Queue => "has room to wait?",
    }
}
