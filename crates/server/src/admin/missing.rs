//! Why did a Client not get it? Each possible cause in the order in which a message meets them.

use dunlin_admin_api::{
    answer::{Answer, Refusal},
    explain::{Check, Finding, Missing, Step, Verdict},
};
use dunlin_broker::inspect::{
    answer,
    explanation::{Fate, GroupOutlook, Intent, LimitsReport, Loss, Outlook, RightReport, Stated, Trial},
    near::{Miss, near_miss},
    question::{Question, SubscriptionPlace},
    reports::{ConnectionReport, SessionReport},
};
use dunlin_packet::{qos::QoS, reason_code::ReasonCode};

use super::{
    explain_words::{self as words, Asked},
    lines::Lines,
    operator::{Operator, Stopped},
    shards::NoAnswer,
};

/// What is found out step by step.
struct Walk {
    steps: Vec<Step>,
    now_ms: u64,
    is_denied: bool,
}

/// The Client in question, with its Session.
struct Subject<'a> {
    session: &'a SessionReport,
    limits: LimitsReport,
    in_flight_since_ms: Option<u64>,
    trial: &'a Trial,
    /// What would become of the message by its own Subscriptions.
    fate: Option<Fate>,
    overflow: Option<dunlin_broker::limits::Overflow>,
}

impl Operator {
    pub(super) async fn explain_missing(
        &self,
        asked: Asked,
        from: Option<String>,
        lines: &mut Lines,
    ) -> Result<(), Stopped> {
        let trial = match asked.trial(from.as_deref()) {
            Ok(trial) => trial,
            Err(message) => return Ok(lines.refuse(Refusal::BadValue, message).await?),
        };
        let client_id = &asked.client_id;
        let intent = Intent::Receive { topic_name: trial.topic_name.clone() };
        let (home, report) = self.right(client_id, Stated::default(), intent).await?;
        let mut walk = Walk { steps: Vec::new(), now_ms: report.now.as_ms(), is_denied: false };
        match report.session.as_deref() {
            None => {
                let text = "there is none: it has never connected, or its Session has ended with its time";
                walk.add(Check::Session, Finding::Cause, text);
            }
            Some(session) => {
                walk.add(Check::Session, Finding::Fine, &session_words(session));
                self.look_at_client(client_id, session, &report, &trial, from.as_deref(), &mut walk).await?;
            }
        }
        let verdict = walk.verdict();
        let missing = Missing {
            who: words::who(client_id, home, &report.subject, report.session.map(|it| *it), false),
            conclusion: walk.conclusion(client_id),
            steps: walk.steps,
            verdict,
        };
        Ok(lines.say_last(Answer::Missing(Box::new(missing))).await?)
    }

    async fn look_at_client(
        &self,
        client_id: &str,
        session: &SessionReport,
        report: &RightReport,
        trial: &Trial,
        from: Option<&str>,
        walk: &mut Walk,
    ) -> Result<(), NoAnswer> {
        let shards = &self.facts.shards;
        let question = Question::Outlook { client_id: client_id.into(), trial: trial.clone() };
        let answer::Answer::Outlook(Some(outlook)) = shards.ask(shards.home_of(client_id), question).await?
        else {
            return Err(NoAnswer::Gone);
        };
        let Outlook { own, shares } = *outlook;
        let (fate, overflow) = own.as_ref().map_or((None, None), |own| (Some(own.fate), own.overflow));
        let subject = Subject {
            session,
            limits: report.limits,
            in_flight_since_ms: report.in_flight_since.map(|at| at.as_ms()),
            trial,
            fate,
            overflow,
        };
        walk.connection(&subject);
        if own.is_none() && shares.is_empty() {
            let text = self.near_misses(client_id, session, trial).await?;
            walk.add(Check::Subscription, Finding::Cause, &text);
        } else {
            let own = own.iter().flat_map(|own| &own.subscriptions);
            let filters: Vec<&str> = own.chain(&shares).map(|it| &*it.topic_filter).collect();
            walk.add(Check::Subscription, Finding::Fine, &format!("matches: {}", filters.join(", ")));
        }
        walk.receive_right(report);
        self.look_at_publisher(from, trial, walk).await?;
        walk.no_local(client_id, from, fate);
        for share in &shares {
            self.look_at_group(client_id, &share.topic_filter, trial, fate.is_some(), walk).await?;
        }
        walk.drops(&subject);
        walk.packet_size(&subject);
        walk.in_flight(&subject);
        walk.output(&subject);
        walk.queue(&subject);
        Ok(())
    }

    /// That no Subscription matches, and which nearly do.
    async fn near_misses(
        &self,
        client_id: &str,
        session: &SessionReport,
        trial: &Trial,
    ) -> Result<String, NoAnswer> {
        let (shards, mut place) = (&self.facts.shards, Some(SubscriptionPlace::default()));
        let (home, mut near) = (shards.home_of(client_id), Vec::<(Miss, Box<str>)>::new());
        while let Some(from) = place.take() {
            let question = Question::Subscriptions { client_id: Some(client_id.into()), from };
            let answer::Answer::Subscriptions { rows, next } = shards.ask(home, question).await? else {
                break;
            };
            let found = rows.into_iter().filter_map(|row| {
                near_miss(&row.topic_filter, &trial.topic_name).map(|miss| (miss, row.topic_filter))
            });
            near.extend(found);
            near.sort_by_key(|(miss, _)| *miss);
            near.truncate(NEAR_MAX);
            place = next;
        }
        let mut text = format!("none of its {} Subscriptions matches", session.subscriptions);
        if session.denials.subscribe > 0 {
            text += &format!("; rules denied it {} Subscriptions", session.denials.subscribe);
        }
        for (miss, filter) in near {
            text += &format!("; {filter:?} nearly does: {}", miss.words());
        }
        Ok(text)
    }

    async fn look_at_publisher(
        &self,
        from: Option<&str>,
        trial: &Trial,
        walk: &mut Walk,
    ) -> Result<(), NoAnswer> {
        let Some(from) = from else {
            let text = "not looked into: --from CLIENT_ID says who publishes";
            walk.add(Check::Publisher, Finding::Unknown, text);
            return Ok(());
        };
        let (_, report) = self.right(from, Stated::default(), Intent::Publish(trial.clone())).await?;
        let RightReport { session, ruling, refusal, .. } = report;
        let known = match &session {
            None => "; it has no Session now: it is taken for one without user name",
            Some(_) => "",
        };
        let denials = session.as_ref().map_or(0, |session| session.denials.publish);
        let counted =
            if denials > 0 { format!("; {denials} of its messages were denied") } else { String::new() };
        match refusal {
            Some((code, reason)) => {
                walk.is_denied |= code == ReasonCode::NotAuthorized;
                let text = format!("{from:?} is refused with {code}: {reason}{counted}{known}");
                walk.add(Check::Publisher, Finding::Cause, &text);
            }
            None => {
                let text = format!("{from:?} may publish it: {}{counted}{known}", ruling.reason);
                let finding = match session {
                    None => Finding::Unknown,
                    Some(_) if denials > 0 => Finding::Perhaps,
                    Some(_) => Finding::Fine,
                };
                walk.add(Check::Publisher, finding, &text);
            }
        }
        walk.put_rule(ruling.rule);
        Ok(())
    }

    /// Who gets the next message of a group.
    async fn look_at_group(
        &self,
        client_id: &str,
        group: &str,
        trial: &Trial,
        gets_it_anyway: bool,
        walk: &mut Walk,
    ) -> Result<(), NoAnswer> {
        let shards = &self.facts.shards;
        let question = Question::Groups { topic_name: trial.topic_name.clone(), rows_max: usize::MAX };
        let answer::Answer::Groups { rows, .. } = shards.ask(shards.home_of(group), question).await? else {
            return Ok(());
        };
        let is_it = |outlook: &GroupOutlook| *outlook.report.topic_filter == *group;
        let Some(outlook) = rows.into_iter().find(is_it) else { return Ok(()) };
        let outlook = self.group_outlook(outlook, trial).await?;
        let members = outlook.group.members;
        let (finding, text) = match outlook.next {
            None => (Finding::Cause, format!("no member of {group} may receive it")),
            Some(next) if next.client_id == client_id => {
                let finding = if members > 1 { Finding::Perhaps } else { Finding::Fine };
                let text = format!("{group} gives each message to one of {members}: the next one goes to it");
                (finding, format!("{text}, {}", next.why))
            }
            Some(next) => {
                let finding = if gets_it_anyway { Finding::Fine } else { Finding::Cause };
                let next = next.client_id;
                (
                    finding,
                    format!("{group} gives each message to one of {members}: the next goes to {next:?}"),
                )
            }
        };
        walk.add(Check::Shared, finding, &text);
        Ok(())
    }
}

impl Walk {
    fn add(&mut self, check: Check, finding: Finding, words: &str) {
        self.steps.push(Step { check, finding, words: words.to_owned(), rule: None });
    }

    /// Says which rule the last step is about.
    fn put_rule(&mut self, rule: Option<(Box<str>, u32)>) {
        let rule = rule.map(|(file, line)| dunlin_admin_api::explain::RulePlace { file: file.into(), line });
        if let Some(step) = self.steps.last_mut() {
            step.rule = rule;
        }
    }

    fn connection(&mut self, subject: &Subject<'_>) {
        let SessionReport { connection, expires_at, .. } = subject.session;
        let (finding, text) = match connection {
            Some(connection) => {
                let time = self.since(connection.connected_at.as_ms());
                (Finding::Fine, format!("connected for {time}, from {}", connection.peer))
            }
            None => {
                let end = expires_at.map_or("has no end".to_owned(), |at| {
                    format!("ends in {}", time_words(at.as_ms().saturating_sub(self.now_ms)))
                });
                let fate = match subject.trial.qos {
                    QoS::AtMostOnce => "a message with QoS 0 is dropped",
                    _ => "a message waits until it is back",
                };
                (Finding::Cause, format!("it is away, and its Session {end}: {fate}"))
            }
        };
        self.add(Check::Connection, finding, &text);
    }

    fn receive_right(&mut self, report: &RightReport) {
        let RightReport { ruling, refusal, .. } = report;
        match refusal {
            Some((_, reason)) => {
                self.is_denied = true;
                self.add(Check::ReceiveRight, Finding::Cause, reason);
            }
            None => {
                self.add(Check::ReceiveRight, Finding::Fine, &ruling.reason);
            }
        }
        self.put_rule(ruling.rule.clone());
    }

    fn no_local(&mut self, client_id: &str, from: Option<&str>, fate: Option<Fate>) {
        let (finding, text) = match (from, fate) {
            (_, Some(Fate::NoLocal)) => {
                (Finding::Cause, "it is its own message, and the Subscription says No Local")
            }
            (Some(from), _) if from == client_id => (Finding::Fine, "it gets its own messages"),
            _ => (Finding::Fine, "it is another Client's message"),
        };
        self.add(Check::NoLocal, finding, text);
    }

    fn drops(&mut self, subject: &Subject<'_>) {
        let drops = &subject.session.drops;
        let causes = [
            ("slow", drops.slow),
            ("offline", drops.offline),
            ("queue-full", drops.queue_full),
            ("expired", drops.expired),
            ("too-large", drops.too_large),
            ("damaged", drops.damaged),
        ];
        let counted: Vec<String> = causes
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(cause, count)| format!("{cause} {count}"))
            .collect();
        let denied = subject.session.denials.receive;
        match (counted.is_empty(), denied) {
            (true, 0) => self.add(Check::Drops, Finding::Fine, "no message for it was dropped"),
            (true, denied) => {
                self.add(Check::Drops, Finding::Perhaps, &format!("{denied} messages were denied by rules"));
            }
            (false, denied) => {
                let denied = if denied > 0 { format!("; denied {denied}") } else { String::new() };
                let text = format!("messages for it were dropped: {}{denied}", counted.join(", "));
                self.add(Check::Drops, Finding::Perhaps, &text);
            }
        }
    }

    fn packet_size(&mut self, subject: &Subject<'_>) {
        let Some(connection) = &subject.session.connection else { return };
        let maximum = match connection.maximum_packet_size {
            u32::MAX => "it takes packets of any size".to_owned(),
            maximum => format!("it takes packets of at most {maximum} bytes"),
        };
        let lost = subject.session.drops.too_large;
        let (finding, more) = match subject.fate {
            Some(Fate::Dropped(Loss::TooLarge)) => (Finding::Cause, "; this one is larger".to_owned()),
            _ if lost > 0 => (Finding::Perhaps, format!("; {lost} were larger")),
            _ => (Finding::Fine, String::new()),
        };
        self.add(Check::PacketSize, finding, &(maximum + &more));
    }

    fn in_flight(&mut self, subject: &Subject<'_>) {
        let Some(connection) = &subject.session.connection else { return };
        let (in_flight, max) = (subject.session.in_flight, usize::from(connection.in_flight_max));
        let mut text = format!("{in_flight} of {max} messages in flight");
        if in_flight > 0 {
            text += &format!("; it acknowledged nothing for {}", self.since(connection.progress_at.as_ms()));
        }
        if let Some(since) = subject.in_flight_since_ms {
            text += &format!("; the oldest came {} ago", self.since(since));
        }
        let is_full = in_flight >= max;
        let finding = match subject.trial.qos {
            QoS::AtMostOnce if is_full => Finding::Perhaps,
            _ if is_full => Finding::Cause,
            _ => Finding::Fine,
        };
        self.add(Check::InFlight, finding, &text);
    }

    fn output(&mut self, subject: &Subject<'_>) {
        let Some(ConnectionReport { output_bytes, .. }) = subject.session.connection else { return };
        let max = u64::from(subject.limits.output_bytes_max);
        let (finding, more) = match output_bytes {
            0 => (Finding::Fine, ""),
            _ if output_bytes < max => (Finding::Perhaps, "; it reads slowly"),
            _ => (Finding::Cause, "; it does not read what it is sent"),
        };
        let text = format!("{output_bytes} of {max} bytes wait for its socket{more}");
        self.add(Check::Output, finding, &text);
    }

    fn queue(&mut self, subject: &Subject<'_>) {
        let (queue, limits) = (&subject.session.queue, subject.limits);
        let (messages, bytes) = (queue.messages(), queue.bytes());
        let mut text = format!("{messages} of {} messages wait ({bytes} bytes)", limits.queue_messages_max);
        let (is_cause, is_connected) = (
            matches!(subject.fate, Some(Fate::Queued(_) | Fate::Dropped(Loss::QueueFull))),
            subject.session.connection.is_some(),
        );
        if let Some(overflow) = subject.overflow {
            text += &format!("; it is full: {}", words::overflow_words(overflow));
        }
        let finding = match (messages, is_cause) {
            (_, true) if is_connected || subject.overflow.is_some() => Finding::Cause,
            (0, _) => Finding::Fine,
            _ => Finding::Perhaps,
        };
        self.add(Check::Queue, finding, &text);
    }

    fn since(&self, then_ms: u64) -> String {
        time_words(self.now_ms.saturating_sub(then_ms))
    }

    fn verdict(&self) -> Verdict {
        match self.steps.iter().any(|step| step.finding == Finding::Cause) {
            _ if self.is_denied => Verdict::Denied,
            true => Verdict::NotDelivered,
            false => Verdict::Delivered,
        }
    }

    /// The most likely cause: what would stop the next message first, or else what has stopped others.
    fn conclusion(&self, client_id: &str) -> String {
        let found = |finding: Finding| {
            let mut steps: Vec<&Step> = self.steps.iter().filter(|step| step.finding == finding).collect();
            steps.sort_by_key(|step| LIKELY.iter().position(|&other| other == step.check));
            steps
        };
        if let [cause, others @ ..] = &found(Finding::Cause)[..] {
            let others: Vec<&str> = others.iter().map(|step| name_of(step.check)).collect();
            let others = match others.is_empty() {
                true => String::new(),
                false => format!(" There is more in its way: {}.", others.join(", ")),
            };
            let (name, words) = (name_of(cause.check), &cause.words);
            return format!("{client_id:?} does not get it now. {name}: {words}.{others}");
        }
        let now = format!("{client_id:?} would get a message that came now.");
        match found(Finding::Perhaps).first() {
            Some(step) => {
                format!("{now} It may have missed others. {}: {}.", name_of(step.check), step.words)
            }
            None => format!("{now} Nothing that the Server knows has kept others from it."),
        }
    }
}

fn session_words(session: &SessionReport) -> String {
    match (session.expiry_s, session.is_kept) {
        (0, _) => "there is one; it ends with its Network Connection".to_owned(),
        (u32::MAX, _) => "there is one; it has no end".to_owned(),
        (seconds, _) => {
            format!(
                "there is one; it is kept for {} without connection",
                time_words(u64::from(seconds) * 1_000)
            )
        }
    }
}

fn name_of(check: Check) -> &'static str {
    match check {
        Check::Session => "Session",
        Check::Connection => "Connection",
        Check::Subscription => "Subscription",
        Check::ReceiveRight => "Right to receive",
        Check::Publisher => "Publisher",
        Check::NoLocal => "No Local",
        Check::Shared => "Shared Subscription",
        Check::Drops => "Drops",
        Check::PacketSize => "Maximum Packet Size",
        Check::InFlight => "In flight",
        Check::Output => "Output",
        Check::Queue => "Queue",
    }
}

/// A length of time, roughly.
fn time_words(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// What is told first if there are several causes.
const LIKELY: [Check; 12] = [
    Check::Session,
    Check::Subscription,
    Check::ReceiveRight,
    Check::Publisher,
    Check::NoLocal,
    Check::Shared,
    Check::Connection,
    Check::PacketSize,
    Check::Output,
    Check::InFlight,
    Check::Queue,
    Check::Drops,
];
/// Topic Filters that nearly match, in one answer.
const NEAR_MAX: usize = 3;
