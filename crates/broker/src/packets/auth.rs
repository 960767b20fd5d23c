//! AUTH on a living connection: re-authentication (4.12.1).

use dunlin_packet::{auth::Auth, reason_code::ReasonCode};
use dunlin_protocol::time::Instant;

use crate::{
    connection::Flow,
    handshake::auth_bytes,
    ids::ConnectionId,
    input::Decision,
    output::{Outbox, Reauthentication},
    permissions::Permissions,
    state::State,
};

impl State {
    pub(crate) fn receive_auth(
        &mut self,
        now: Instant,
        id: ConnectionId,
        packet: &Auth<'_>,
        out: &mut Outbox,
    ) -> Flow {
        let (connection, session) = self.both(id);
        let is_start = packet.reason_code == ReasonCode::ReAuthenticate;
        let extras = connection.extras.as_deref_mut();
        let is_under_way = extras.as_ref().is_some_and(|extras| extras.is_reauthenticating);
        let is_expected = match packet.reason_code {
            ReasonCode::ReAuthenticate => !is_under_way,
            ReasonCode::ContinueAuthentication => is_under_way,
            _ => false,
        };
        let method = extras.as_ref().and_then(|extras| extras.authentication.clone());
        match (extras, method) {
            // [MQTT-4.12.0-7] [MQTT-4.12.1-1]
            (Some(extras), Some(method))
                if is_expected && packet.properties.authentication_method() == Some(&*method) =>
            {
                extras.is_reauthenticating = true;
                let data = packet.properties.authentication_data().unwrap_or_default().to_vec();
                let client_id = session.client_id.clone();
                out.authentications.push(Reauthentication {
                    connection: id,
                    is_start,
                    method,
                    data,
                    client_id,
                });
                Flow::Open
            }
            _ => self.fault(
                now,
                id,
                ReasonCode::ProtocolError,
                "AUTH that does not belong to an exchange",
                out,
            ),
        }
    }

    /// Gives a Client new rights; `false` if they are somebody else's: the Session stays, so the Client must be the one
    /// it was.
    fn takes_rights(
        &mut self,
        now: Instant,
        id: ConnectionId,
        permissions: Permissions,
        out: &mut Outbox,
    ) -> bool {
        let index = self.connection(id).session;
        let known = self.sessions[index].permissions.subject();
        if !known.is_same_identity(permissions.subject()) {
            return false;
        }
        self.give_rights(now, index, permissions, out);
        self.withdraw_subscriptions(now, index, out);
        true
    }

    /// Takes the providers' answer.
    pub(crate) fn authenticated(
        &mut self,
        now: Instant,
        id: ConnectionId,
        decision: Decision,
        out: &mut Outbox,
    ) {
        if self.find_connection(id).is_none() {
            return;
        }
        let (connection, session) = self.both(id);
        let client_id = session.client_id.clone();
        let Some(extras) = connection.extras.as_deref_mut().filter(|extras| extras.is_reauthenticating)
        else {
            return;
        };
        let Some(method) = extras.authentication.clone() else { return };
        let (code, data) = match decision {
            Decision::Grant { permissions, data, terms } => {
                extras.is_reauthenticating = false;
                let is_same = terms.client_id.is_none_or(|id| id == client_id);
                if !is_same || !self.takes_rights(now, id, permissions, out) {
                    let reason = "re-authentication as somebody else";
                    self.disconnect(now, id, ReasonCode::NotAuthorized, reason, out);
                    return;
                }
                self.limit_stay(now, id, terms.valid_for);
                (ReasonCode::Success, data)
            }
            Decision::Challenge(data) => (ReasonCode::ContinueAuthentication, data),
            Decision::Deny(code) => {
                // [MQTT-4.12.1-2]
                self.disconnect(now, id, code, "re-authentication failed", out);
                return;
            }
        };
        out.buffer(id).extend_from_slice(&auth_bytes(code, &method, &data)); // [MQTT-4.12.0-2] [MQTT-4.12.0-5]
    }
}
