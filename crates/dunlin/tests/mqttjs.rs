//! MQTT.js at the real program: the scenarios of `tests/clients/mqttjs`, one fresh Server each.

mod support;

use support::{
    clients::{mqttjs, node, scenarios_of},
    on_shards,
    server::Server,
};

const ALL: &[&str] = &["3.1", "3.1.1", "5.0"];
const V5: &[&str] = &["5.0"];

on_shards! {
    /// [MQTT-3.8.4-8] [MQTT3-3.8.4-6]
    fn every_qos_arrives(server) { mqttjs(server, "everyQosArrives", ALL); }

    fn sensors_report_json(server) { mqttjs(server, "sensorsReportJson", ALL); }

    /// [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT3-3.3.1-5] [MQTT3-3.3.1-10]
    fn the_last_retained_message_stays(server) { mqttjs(server, "theLastRetainedMessageStays", ALL); }

    /// [MQTT-3.3.2-15] [MQTT-3.3.2-16]
    fn a_request_gets_its_response(server) { mqttjs(server, "aRequestGetsItsResponse", V5); }

    /// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-20]
    fn properties_arrive_unaltered(server) { mqttjs(server, "propertiesArriveUnaltered", V5); }

    /// [MQTT-3.3.2-10] [MQTT-3.1.2-26]
    fn topic_aliases_of_a_publisher(server) { mqttjs(server, "topicAliasesOfAPublisher", V5); }

    /// [MQTT-3.3.2-11] [MQTT-3.1.2-26] [MQTT-3.1.2-27]
    fn topic_aliases_towards_a_subscriber(server) { mqttjs(server, "topicAliasesTowardsASubscriber", V5); }

    fn payloads_of_all_kinds(server) { mqttjs(server, "payloadsOfAllKinds", ALL); }

    fn big_payloads_arrive(server) { mqttjs(server, "bigPayloadsArrive", ALL); }

    /// [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.2-1] [MQTT3-4.7.1-2] [MQTT3-4.7.1-3] [MQTT3-4.7.2-1]
    fn topic_filters_match_as_the_table_says(server) { mqttjs(server, "topicFiltersMatchAsTheTableSays", ALL); }

    /// [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.9.3-1] [MQTT3-3.8.4-4] [MQTT3-3.9.3-1]
    fn many_filters_in_one_subscribe(server) { mqttjs(server, "manyFiltersInOneSubscribe", ALL); }

    /// [MQTT-3.3.4-3] [MQTT-3.3.4-4] [MQTT-3.3.4-5]
    fn subscription_identifiers_come_along(server) { mqttjs(server, "subscriptionIdentifiersComeAlong", V5); }

    /// [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]
    fn retain_handling_is_obeyed(server) { mqttjs(server, "retainHandlingIsObeyed", V5); }

    /// [MQTT-3.8.3-3] [MQTT-3.3.1-12] [MQTT-3.3.1-13]
    fn no_local_and_retain_as_published(server) { mqttjs(server, "noLocalAndRetainAsPublished", V5); }

    /// [MQTT-4.8.2-1] [MQTT-4.8.2-2]
    fn a_shared_subscription_spreads(server) { mqttjs(server, "aSharedSubscriptionSpreads", ALL); }

    /// [MQTT-3.1.2-23] [MQTT-3.2.2-2] [MQTT-3.2.2-3] [MQTT3-3.1.2-4] [MQTT3-3.2.2-2]
    fn a_session_waits_for_its_client(server) { mqttjs(server, "aSessionWaitsForItsClient", ALL); }

    /// [MQTT-4.3.3-10] [MQTT-4.4.0-1] [MQTT3-4.3.3-2] [MQTT3-4.4.0-1]
    fn a_broken_connection_heals(server) { mqttjs(server, "aBrokenConnectionHeals", ALL); }

    /// [MQTT-3.1.2-8] [MQTT-3.1.2-15] [MQTT-3.14.4-3] [MQTT3-3.1.2-8] [MQTT3-3.1.2-17] [MQTT3-3.14.4-3]
    fn a_broken_connection_leaves_the_will(server) { mqttjs(server, "aBrokenConnectionLeavesTheWill", ALL); }

    /// [MQTT-3.1.3-9] [MQTT-3.1.2-8]
    fn a_will_waits_for_its_delay(server) { mqttjs(server, "aWillWaitsForItsDelay", V5); }

    /// [MQTT-3.1.4-3] [MQTT3-3.1.4-2]
    fn a_newer_client_takes_over(server) { mqttjs(server, "aNewerClientTakesOver", ALL); }
}

/// What `crowds.mjs` plays is found in `load.rs`.
const IN_LOAD: [&str; 3] = ["aCrowdReconnects", "homeAssistantStarts", "tenThousandArriveInOrder"];

/// No scenario is forgotten: each stands in this file or in `load.rs`.
#[test]
fn every_scenario_is_played() {
    let here = include_str!("mqttjs.rs");
    let load = include_str!("load.rs");
    for scenario in scenarios_of(node("run.mjs")) {
        let text = if IN_LOAD.contains(&scenario.as_str()) { load } else { here };
        assert!(text.contains(&format!("mqttjs(server, \"{scenario}\"")), "{scenario} is played nowhere");
    }
}
