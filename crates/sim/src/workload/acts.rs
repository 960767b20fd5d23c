//! What a Client does next.

use dunlin_packet::{packet::Packet, reason_code::ReasonCode};

use crate::workload::client::{Client, Scene};

impl Client {
    /// Does one thing, as its character and chance will have it.
    pub fn act(&mut self, scene: &mut Scene<'_>) {
        if self.attached.is_none() {
            return self.come_back(scene);
        }
        if !self.is_connected() {
            // It may lose patience, and try from another side.
            if scene.random.once_in(8) && scene.random.percent(scene.plan.churn_percent) {
                self.connect(scene, false);
            }
            return;
        }
        let churn = scene.plan.churn_percent;
        match scene.random.weighted(&[45, 4, 14, 5, 30, 2, 3, 1, churn]) {
            0 => self.publish(scene),
            1 => self.publish_burst(scene),
            2 => self.subscribe(scene),
            3 => self.unsubscribe(scene),
            4 => {
                let max = scene.random.between(1, 6) as usize;
                self.send_answers(scene, max);
            }
            5 => self.send(scene, &Packet::Pingreq),
            6 => self.be_odd(scene),
            7 => self.authenticate_again(scene),
            _ => self.end(scene),
        }
    }

    fn come_back(&mut self, scene: &mut Scene<'_>) {
        if !scene.random.percent(25) {
            return;
        }
        let clean_start = match self.character.is_persistent {
            true => scene.random.once_in(12),
            false => scene.random.once_in(2),
        };
        self.connect(scene, clean_start);
    }

    /// Ends its connection in one of many ways.
    fn end(&mut self, scene: &mut Scene<'_>) {
        match scene.random.below(7) {
            0 | 1 => self.cut(scene),
            2 => self.abandon(scene),
            // The Server has not noticed that the old connection is gone. [MQTT-3.1.4-3]
            3 => self.connect(scene, false),
            4 => {
                let clean_start = scene.random.once_in(3);
                self.connect(scene, clean_start);
                self.connect(scene, false);
            }
            _ => self.leave(scene),
        }
    }

    fn leave(&mut self, scene: &mut Scene<'_>) {
        let is_v5 = self.version.has_properties();
        let reason_code = match is_v5 && scene.random.once_in(3) {
            true => scene.random.pick(&[
                ReasonCode::DisconnectWithWillMessage,
                ReasonCode::UnspecifiedError,
                ReasonCode::ImplementationSpecificError,
            ]),
            false => ReasonCode::NORMAL_DISCONNECTION,
        };
        let expiry_s = scene.random.pick(&[None, None, None, Some(0), Some(5), Some(100_000)]);
        self.disconnect(scene, reason_code, expiry_s);
    }
}
