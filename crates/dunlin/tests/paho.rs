//! paho-mqtt for Python at the real program: the scenarios of `tests/clients/paho`, one fresh Server each.

mod support;

use support::{
    clients::{paho, python, scenarios_of},
    on_shards,
    server::Server,
};

const ALL: &[&str] = &["3.1", "3.1.1", "5.0"];
const V5: &[&str] = &["5.0"];

on_shards! {
    /// [MQTT-3.8.4-8] [MQTT3-3.8.4-6]
    fn every_qos_arrives(server) { paho(server, "every_qos_arrives", ALL); }

    /// [MQTT-4.7.3-4] [MQTT3-4.7.3-4]
    fn payloads_of_all_kinds(server) { paho(server, "payloads_of_all_kinds", ALL); }

    fn sensors_report_json(server) { paho(server, "sensors_report_json", ALL); }

    /// [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT-3.3.1-8] [MQTT3-3.3.1-5] [MQTT3-3.3.1-10] [MQTT3-3.3.1-12]
    fn the_last_retained_message_stays(server) { paho(server, "the_last_retained_message_stays", ALL); }

    /// [MQTT-3.3.2-15] [MQTT-3.3.2-16]
    fn a_request_gets_its_response(server) { paho(server, "a_request_gets_its_response", V5); }

    /// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
    fn properties_arrive_unaltered(server) { paho(server, "properties_arrive_unaltered", V5); }

    /// [MQTT-3.3.2-5] [MQTT-3.3.2-6]
    fn a_message_expires(server) { paho(server, "a_message_expires", V5); }

    /// [MQTT-3.3.2-9] [MQTT-3.3.2-10] [MQTT-3.1.2-26]
    fn topic_aliases_of_a_publisher(server) { paho(server, "topic_aliases_of_a_publisher", V5); }

    /// [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2]
    fn receive_maximum_is_kept(server) { paho(server, "receive_maximum_is_kept", V5); }

    /// [MQTT-3.1.2-24] [MQTT-3.1.2-25]
    fn maximum_packet_size_is_kept(server) { paho(server, "maximum_packet_size_is_kept", V5); }

    fn big_payloads_arrive(server) { paho(server, "big_payloads_arrive", ALL); }

    /// [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.2-1] [MQTT3-4.7.1-2] [MQTT3-4.7.1-3] [MQTT3-4.7.2-1]
    fn topic_filters_match_as_the_table_says(server) { paho(server, "topic_filters_match_as_the_table_says", ALL); }

    /// [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.9.3-1] [MQTT3-3.8.4-4] [MQTT3-3.9.3-1]
    fn many_filters_in_one_subscribe(server) { paho(server, "many_filters_in_one_subscribe", ALL); }

    /// [MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.11.3-1] [MQTT3-3.10.4-2] [MQTT3-3.10.4-4]
    fn unsubscribing_ends_delivery(server) { paho(server, "unsubscribing_ends_delivery", ALL); }

    /// [MQTT-3.8.4-3] [MQTT-3.8.4-4] [MQTT3-3.8.4-3]
    fn a_subscription_is_replaced(server) { paho(server, "a_subscription_is_replaced", ALL); }

    /// [MQTT-3.3.4-3] [MQTT-3.3.4-4] [MQTT-3.3.4-5]
    fn subscription_identifiers_come_along(server) { paho(server, "subscription_identifiers_come_along", V5); }

    /// [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]
    fn retain_handling_is_obeyed(server) { paho(server, "retain_handling_is_obeyed", V5); }

    /// [MQTT-3.3.1-12] [MQTT-3.3.1-13]
    fn retain_as_published_keeps_the_flag(server) { paho(server, "retain_as_published_keeps_the_flag", V5); }

    /// [MQTT-3.8.3-3]
    fn no_local_keeps_own_messages_away(server) { paho(server, "no_local_keeps_own_messages_away", V5); }

    /// [MQTT-4.8.2-1] [MQTT-4.8.2-2] [MQTT-4.8.2-3]
    fn a_shared_subscription_spreads(server) { paho(server, "a_shared_subscription_spreads", ALL); }

    /// [MQTT-3.1.2-23] [MQTT-3.2.2-2] [MQTT-3.2.2-3] [MQTT-3.1.2-4] [MQTT3-3.1.2-4] [MQTT3-3.1.2-6] [MQTT3-3.2.2-2]
    fn a_session_waits_for_its_client(server) { paho(server, "a_session_waits_for_its_client", ALL); }

    /// [MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT-4.6.0-1] [MQTT3-4.4.0-1] [MQTT3-3.3.1-1] [MQTT3-4.6.0-1]
    fn unacknowledged_messages_come_again(server) { paho(server, "unacknowledged_messages_come_again", ALL); }

    /// [MQTT-4.1.0-2] [MQTT-3.1.2-23]
    fn a_session_expires(server) { paho(server, "a_session_expires", V5); }

    /// [MQTT-3.1.2-8] [MQTT-3.1.2-14] [MQTT-3.1.2-15] [MQTT-3.14.4-3] [MQTT3-3.1.2-8] [MQTT3-3.1.2-16]
    /// [MQTT3-3.1.2-17] [MQTT3-3.14.4-3]
    fn a_broken_connection_leaves_the_will(server) { paho(server, "a_broken_connection_leaves_the_will", ALL); }

    /// [MQTT-3.1.2-8] [MQTT-3.14.4-3]
    fn a_disconnect_can_ask_for_the_will(server) { paho(server, "a_disconnect_can_ask_for_the_will", V5); }

    /// [MQTT-3.1.3-9] [MQTT-3.1.2-8]
    fn a_will_waits_for_its_delay(server) { paho(server, "a_will_waits_for_its_delay", V5); }

    /// [MQTT-3.1.4-3] [MQTT3-3.1.4-2]
    fn a_newer_client_takes_over(server) { paho(server, "a_newer_client_takes_over", ALL); }

    /// [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16] [MQTT3-3.1.3-6]
    fn an_empty_client_identifier_is_assigned(server) {
        paho(server, "an_empty_client_identifier_is_assigned", &["3.1.1", "5.0"]);
    }
}

/// What `crowds.py` plays is found in `load.rs`.
const IN_LOAD: [&str; 3] = ["a_crowd_reconnects", "home_assistant_starts", "ten_thousand_arrive_in_order"];

/// No scenario is forgotten: each stands in this file or in `load.rs`.
#[test]
fn every_scenario_is_played() {
    let here = include_str!("paho.rs");
    let load = include_str!("load.rs");
    for scenario in scenarios_of(python("run.py")) {
        let text = if IN_LOAD.contains(&scenario.as_str()) { load } else { here };
        assert!(text.contains(&format!("paho(server, \"{scenario}\"")), "{scenario} is played nowhere");
    }
}
