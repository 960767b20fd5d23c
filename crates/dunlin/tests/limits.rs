//! Limits of the real program: what happens at each of them, and that those beside it do not notice.

#[allow(unused_macros, unused_imports, reason = "each test file uses a part of it")]
mod support;

#[path = "admin/tool.rs"]
#[allow(dead_code, reason = "the tests of `dunlin admin` use the rest")]
mod tool;

#[path = "limits/bans.rs"]
mod bans;
#[path = "limits/connections.rs"]
mod connections;
#[path = "limits/exceptions.rs"]
mod exceptions;
#[path = "limits/fights.rs"]
mod fights;
#[path = "limits/memory.rs"]
mod memory;
#[path = "limits/rates.rs"]
mod rates;
#[path = "limits/words.rs"]
mod words;
