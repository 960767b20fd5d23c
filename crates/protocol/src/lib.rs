//! The rules both ends of an MQTT connection keep, as pure machines
